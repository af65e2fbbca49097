"""A picture of raw data, truth and prediction at every validation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from monai.utils.enums import CommonKeys
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from ..geometry import TargetGrid, parse_targets
from ..viewers import preview_panels, write_panels
from ..viewers.dashboard_files import SLICES_SUFFIX, as_json, replace_text
from ..viewers.dashboard_slices import slice_atlases
from .optional_file import OptionalFile


class Preview:
    """Write the evaluator's first sample as `epoch_0001.png` and `epoch_0001.gif` (one frame per z slice).

    Args:
        directory: where the pictures go.
        targets: the `targets` table.
        log_dir: folder of TensorBoard's files, where the still picture goes too; `None`: it does not.
        grid: where the targets lie if they have a grid of their own; the image is shown on it.
        slices: whether the slices of each panel are written, too, as `epoch_0001_slices.json`, for the dashboard.
    """

    def __init__(
        self,
        directory: str | Path,
        targets: Mapping[str, Any],
        log_dir: str | Path | None = None,
        grid: TargetGrid | None = None,
        slices: bool = False,
    ) -> None:
        self.log_dir = log_dir
        self.grid = grid
        self.slices = slices
        self.directory = Path(directory)
        self.targets = parse_targets(targets)
        self._sample: dict[str, Any] | None = None
        self._file = OptionalFile()

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self._forget)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._keep_first)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._write)

    def _forget(self) -> None:
        self._sample = None

    def _keep_first(self, engine: Engine) -> None:
        if self._sample is None:
            output: Any = engine.state.output
            image = output[CommonKeys.IMAGE][0].cpu()  # B C D H W -> C D H W
            self._sample = {
                "image": image if self.grid is None else self.grid.shown_image(image),
                "labels": {name: value[0].cpu() for name, value in output[CommonKeys.LABEL].items()},
                "predictions": {name: value[0].cpu() for name, value in output[CommonKeys.PRED].items()},
            }

    def _write(self, engine: Engine) -> None:
        with self._file.written(self.directory):
            self._write_sample(engine)

    def _write_sample(self, engine: Engine) -> None:
        if self._sample is not None:
            self.directory.mkdir(parents=True, exist_ok=True)
            stem = self.directory / f"epoch_{engine.state.epoch:04d}"
            upper, lower = preview_panels(targets=self.targets, **self._sample)
            if self.slices:  # first: an epoch with a picture alone is one of a run that knows no slices
                replace_text(stem.with_name(stem.name + SLICES_SUFFIX), as_json(slice_atlases([*upper, *lower])))
            picture, _ = write_panels(stem, upper, lower)
            if self.log_dir is not None:
                with SummaryWriter(str(self.log_dir), filename_suffix=".images") as writer:
                    writer.add_image("preview", _read(picture), engine.state.epoch, dataformats="HWC")


def _read(picture: Path) -> np.ndarray:
    """Pixels of a picture, H W 3."""
    with Image.open(picture) as image:
        return np.asarray(image.convert("RGB"))
