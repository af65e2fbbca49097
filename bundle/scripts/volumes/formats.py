"""Which file is opened by what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .dicom import is_dicom_folder, open_dicom
from .nifti import open_nifti
from .npy import open_npy
from .npz import open_npz
from .png import open_png
from .source import OpenedArray
from .tiff import open_tiff

OPENERS: dict[str, Callable[[str], OpenedArray]] = {
    ".nii": open_nifti,
    ".nii.gz": open_nifti,
    ".tif": open_tiff,
    ".tiff": open_tiff,
    ".npy": open_npy,
    ".npz": open_npz,
    ".png": open_png,
    ".dcm": open_dicom,
}
"""Opener by suffix, for files that are no zarr."""

_ZARR_METADATA = ("zarr.json", ".zarray", ".zgroup")


def opener_of(path: str) -> Callable[[str], OpenedArray]:
    """The opener for a file.

    Raises:
        ValueError: for a suffix that is none of `OPENERS`.
    """
    name = Path(path).name.lower()
    for suffix, opener in OPENERS.items():
        if name.endswith(suffix):
            return opener
    raise ValueError(
        f"{path}: '{Path(path).suffix or name}' is no known suffix; expected a zarr folder, or a file ending in "
        f"{', '.join(OPENERS)}"
    )


def folder_opener_of(path: str) -> Callable[[str], OpenedArray] | None:
    """The opener for a folder that is no zarr: one of a DICOM series; `None` for every other."""
    is_zarr = any((Path(path) / name).exists() for name in _ZARR_METADATA)
    return open_dicom if not is_zarr and is_dicom_folder(path) else None
