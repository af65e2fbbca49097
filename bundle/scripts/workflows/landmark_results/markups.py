"""Predictions as point lists of 3D Slicer."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...volumes import Landmarks, convert_landmarks, open_volume, write_landmarks
from .case import LandmarkCase

logger = logging.getLogger(__name__)


def write_markups(folder: Path, names: Mapping[str, str], cases: Sequence[LandmarkCase]) -> None:
    """Write each image's prediction as a point list that 3D Slicer opens, where the image's unit is known.

    Args:
        folder: of the files, made where it is missing.
        names: of the files, without suffix, by case.
        cases: images. Those whose file cannot be opened, or has another size, have none, which the log says.
    """
    faults = []
    for case in cases:
        if case.unit is None:
            continue
        try:
            volume = open_volume(case.path)
            if not volume.states_geometry:  # its positions are known to these tables alone
                continue
            if tuple(volume.spatial_shape) != tuple(case.shape):
                raise ValueError(f"has {list(volume.spatial_shape)} voxels; expected {list(case.shape)}")
            voxels = Landmarks(tuple(case.landmarks), case.rescaled(case.prediction, case.shape))
            write_landmarks(folder / f"{names[case.name]}.mrk.json", convert_landmarks(voxels, "ras", volume))
        except (OSError, ValueError) as error:
            faults.append(f"'{case.name}': {case.path}: {error}")
    if faults:
        logger.warning("no markups of %d of %d images; the first is %s", len(faults), len(cases), faults[0])
