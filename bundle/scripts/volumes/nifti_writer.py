"""Write volumes that fit in memory as NIfTI files."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from .derived import DerivedVolume
from .paths import is_url
from .stacked import StackedVolume
from .volume import Volume, open_volume

logger = logging.getLogger(__name__)

SUFFIXES = (".nii.gz", ".nii")

_UNITS = {"mm": ("mm", 1.0), "um": ("micron", 1.0), "nm": ("micron", 1e-3), "meter": ("meter", 1.0)}
"""NIfTI's word for a unit, and how many of these one is."""

_LONGEST = np.iinfo(np.int16).max
"""Most voxels along an axis of NIfTI-1; what is longer becomes NIfTI-2."""

_SAME = 1e-5

_REVERSE = np.array([[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
"""z y x <-> x y z."""


def write_nifti(
    path: str | Path,
    volume: Volume | str | Path,
    *,
    like: Volume | str | Path | None = None,
    max_bytes: int | None = None,
    overwrite: bool = False,
) -> str:
    """Write a volume as .nii or .nii.gz, such that it lies in any viewer where its input does.

    Axes are x y z, and a fourth one for channels. Where `like`, or else the volume, has the attribute `nifti_affine`
    of a NIfTI file, orientation and position are those of that file. Otherwise x, y and z are taken to point right,
    forward and up, as NIfTI has them. Nanometers become micrometers, encoded values float32, float16 float32 and bool
    uint8, since NIfTI has no such things. The file appears under its name when it is complete.

    Args:
        path: the file to write.
        volume: what is written, or its path.
        like: whose orientation is taken, such as the input of a prediction.
        max_bytes: most bytes of voxels to write, before compression; default any number.
        overwrite: replace a file that is there.

    Returns:
        the file's path.

    Raises:
        FileExistsError: where the file is there.
        ValueError: for another suffix, more than `max_bytes`, or units that differ.
    """
    target = Path(path)
    if is_url(str(path)) or not target.name.lower().endswith(SUFFIXES):
        raise ValueError(f"{path}: expected a local file whose name ends in .nii or .nii.gz")
    if target.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; choose another path, or pass overwrite=True to replace it")
    source = _opened(volume)
    dtype = _written_dtype(source)
    needed = math.prod(source.shape) * dtype.itemsize
    if max_bytes is not None and needed > max_bytes:
        raise ValueError(
            f"{source.path}: C D H W = {source.shape} as {dtype} are {needed:,} bytes of NIfTI, more than "
            f"max_bytes = {max_bytes:,}; use the OME-Zarr, which viewers read piece by piece, write a coarser level of "
            "it (PATH::1), or raise max_bytes"
        )
    unit, factor = _unit(source)
    affine = np.diag([factor] * 3 + [1.0]) @ nifti_affine(source, None if like is None else _opened(like))
    voxels = source.read((0, 0, 0), source.spatial_shape)
    voxels = voxels.astype(dtype, copy=False) if source.encoding is None else source.decode(voxels)
    array = voxels[0].T if source.channels == 1 else voxels.T  # C D H W -> x y z (c)
    image_class: Any = nibabel.Nifti1Image if max(array.shape) <= _LONGEST else nibabel.Nifti2Image
    image = image_class(array, affine, dtype=dtype)
    image.header.set_xyzt_units(unit)
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"partial.{target.name}")
    try:
        nibabel.save(image, partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return str(path)


def nifti_affine(volume: Volume, like: Volume | None = None) -> np.ndarray:
    """4 x 4 float64 from voxel (x, y, z) to NIfTI's position (x, y, z), in the volume's unit.

    Args:
        volume: whose voxels.
        like: whose attribute `nifti_affine` counts before the volume's own.

    Raises:
        ValueError: where the two have different units.
    """
    carrier = next((v for v in (like, volume) if v is not None and "nifti_affine" in v.attributes), None)
    if carrier is None:
        return np.asarray(_REVERSE @ volume.affine @ _REVERSE)
    if None not in (volume.unit, carrier.unit) and volume.unit != carrier.unit:
        raise ValueError(
            f"{volume.path} is in {volume.unit}, {carrier.path} in {carrier.unit}; expected one unit, since the one is "
            "oriented like the other by physical position"
        )
    affine = np.array(carrier.attributes["nifti_affine"], np.float64)
    if carrier.path.lower().endswith(SUFFIXES):
        file_grid = _as_stored(carrier).affine
    else:  # what was converted from the file, perhaps a coarser level
        file_grid = _REVERSE @ np.diag([*np.linalg.norm(affine[:3, :3], axis=0), 1.0]) @ _REVERSE
    steps = _REVERSE @ np.linalg.inv(file_grid) @ volume.affine @ _REVERSE  # voxel x y z -> the file's voxel x y z
    return affine if np.allclose(steps, np.eye(4), atol=_SAME) else affine @ steps


def _as_stored(volume: Volume) -> Volume:
    """What is stored, where a volume is resampled from it, or stacked from several."""
    while isinstance(volume, (DerivedVolume, StackedVolume)):
        volume = volume.base if isinstance(volume, DerivedVolume) else volume.parts[0]
    return volume


def _opened(volume: Volume | str | Path) -> Volume:
    return volume if isinstance(volume, Volume) else open_volume(volume)


def _written_dtype(volume: Volume) -> np.dtype:
    if volume.encoding is not None or volume.dtype == np.float16:
        return np.dtype(np.float32)
    return np.dtype(np.uint8) if volume.dtype.kind == "b" else volume.dtype


def _unit(volume: Volume) -> tuple[str, float]:
    if volume.unit is not None and volume.unit not in _UNITS:
        logger.warning("%s: NIfTI has no word for the unit %s, and is written without one", volume.path, volume.unit)
    return _UNITS.get(volume.unit or "", ("unknown", 1.0))
