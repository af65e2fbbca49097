"""Label maps in the naming of nnU-Net, from what an inference has streamed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ..geometry import IMAGE_KEY
from ..volumes import Volume, create_ome_zarr, open_resampled, open_volume, write_nifti

logger = logging.getLogger(__name__)

_LIKELY = 0.5


class NnunetLabels:
    """Write `CASE.nii.gz` for every case of an inference, on the voxels of its image.

    A label map is taken as it is where the prediction has the image's voxels. Probabilities at another spacing are
    interpolated linearly, and the most probable class is taken then.

    Args:
        cases: `input_data` of the inference: `name` and `image` of each.
        output: of the inference, with `{name}`.
        folder: where the files go.
        target: which target.
        ending: of the files, `.nii.gz` or `.nii`.
        region_order: where channels are regions, the class that each becomes, in this order: later ones lie above.
    """

    def __init__(
        self,
        cases: Sequence[Mapping[str, Any]],
        output: str,
        folder: str | Path,
        target: str,
        ending: str = ".nii.gz",
        region_order: Sequence[int] | None = None,
    ) -> None:
        self.cases, self.output, self.folder = cases, output, Path(folder)
        self.target, self.region_order = target, region_order
        self.ending = ending if ending.startswith(".nii") else ".nii.gz"

    def __call__(self) -> list[str]:
        """Write the files; returns their paths."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return [self._write(case) for case in self.cases]

    def _write(self, case: Mapping[str, Any]) -> str:
        given = case[IMAGE_KEY]
        image = open_volume(given if isinstance(given, str) else given[0])
        store = f"{self.output.format(name=case['name']).rstrip('/')}/{self.target}"
        labels = self._labels(store, image)
        with TemporaryDirectory(dir=self.folder) as scratch:
            writer = create_ome_zarr(
                Path(scratch) / "labels.zarr",
                (1, *labels.shape),
                labels.dtype,
                spacing=image.spacing,
                translation=image.translation,
                unit=image.unit,
            )
            writer.write((0, 0, 0), labels[None])  # D H W -> 1 D H W
            writer.finish()
            path = write_nifti(
                self.folder / f"{case['name']}{self.ending}", Path(scratch) / "labels.zarr", like=image, overwrite=True
            )
        logger.info("%s: %s", case["name"], path)
        return path

    def _labels(self, store: str, image: Volume) -> np.ndarray:
        """Classes D H W uint8 (uint16 beyond 256) on the image's voxels."""
        predicted = open_volume(store)
        if predicted.spatial_shape != image.spatial_shape:
            predicted = open_resampled(store, image.spacing, None, like=image)
        values = predicted.read((0, 0, 0), image.spatial_shape)
        if self.region_order is not None:
            labels = np.zeros(image.spatial_shape, np.uint8 if max(self.region_order) < 256 else np.uint16)
            for channel, value in zip(predicted.decode(values), self.region_order, strict=True):
                labels[channel > _LIKELY] = value
            return labels
        if predicted.channels > 1:
            return values.argmax(axis=0).astype(np.uint8 if predicted.channels <= 256 else np.uint16)
        return values[0]
