"""Pictures of what a training on landmarks is given: images as augmented, and the heatmaps of their landmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

from ..geometry import IMAGE_KEY
from ..landmarks import gaussian_heatmaps
from .landmark_results.pictures import write_heatmap_picture


class LandmarkSamples:
    """Write a picture of each sample of the first batches of a run, `sample_0001.png` and so on.

    Args:
        directory: where the pictures go.
        target: key of the landmarks as points, B N 3.
        sigma: standard deviation of the heatmaps that are drawn, in voxels.
        spacing: physical size of a voxel along z, y, x.
        count: number of pictures.
    """

    def __init__(
        self,
        directory: str | Path,
        target: str,
        sigma: float | Sequence[float] = 4.0,
        spacing: Sequence[float] = (1.0, 1.0, 1.0),
        count: int = 8,
    ) -> None:
        self.directory = Path(directory)
        self.target = target
        self.sigma, self.spacing, self.count = sigma, list(spacing), count
        self._written = 0

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.GET_BATCH_COMPLETED, self._write)

    def _write(self, engine: Engine) -> None:
        batch: Mapping[str, Any] = engine.state.batch  # type: ignore[assignment]
        images, points = (torch.as_tensor(batch[key]).cpu().float() for key in (IMAGE_KEY, self.target))
        for image, places in zip(images, points, strict=True):
            if self._written == self.count:
                return
            self._written += 1
            size = torch.tensor(image.shape[1:])
            is_shown = ((places >= -0.5) & (places < size - 0.5)).all(dim=1, keepdim=True)
            places = torch.where(is_shown, places, torch.nan)  # marks beyond the patch would widen the picture
            maps = gaussian_heatmaps(places[None], image.shape[1:], self.sigma)[0].nan_to_num()
            path = self.directory / f"sample_{self._written:04d}.png"
            write_heatmap_picture(path, image[0].numpy(), maps.numpy(), places.double().numpy(), self.spacing)
