"""DICOM files, and folders of a series of them, as volumes."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import PydicomReader

from .grid import Grid
from .source import FileSource, OpenedArray

logger = logging.getLogger(__name__)

_MAGIC = b"DICM"
_PREAMBLE = 128  # bytes before it

_AXES = {2: "xy", 3: "xyz"}
_COLOUR_AXES = {3: "xyc", 4: "xycz"}

_DECIMALS = 3  # to which slices of one series agree

_SAME_GAP = 0.1
"""Share by which the distance of neighbouring slices may differ within a series before it is said."""


class DicomSource(FileSource):
    """A DICOM file, or a series of slices in a folder; read as a whole once per process and kept.

    Axes are x, y[, c][, z], and slices lie in the order of their positions, whatever their file names and numbers.
    `RescaleSlope` and `RescaleIntercept` are applied, the result is then float32.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.affine: np.ndarray | None = None
        self.axes = ""
        self.grid: Grid | None = None
        array = self.handle
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{path}: the voxels are {array.dtype}; expected integers or floats")
        self.shape, self.dtype, self.chunks = array.shape, array.dtype, array.shape

    def open_handle(self) -> np.ndarray:
        slices = _sorted_slices(self.path, _datasets(self.path))
        array, affine = _read(self.path, slices)
        is_colour = int(getattr(slices[0], "SamplesPerPixel", 1)) > 1
        self.axes = (_COLOUR_AXES if is_colour else _AXES)[array.ndim]
        self.affine, self.grid = _geometry(slices, affine)
        return array

    def read_box(self, selection: tuple[slice, ...]) -> np.ndarray:
        block = np.array(self.handle[selection])
        self.decoded.add(block.nbytes)
        return block

    def signature(self) -> Iterator[str]:
        """Size and time of change of each file."""
        yield f"{self.shape} {self.dtype}"
        for file in _files(self.path):
            status = file.stat()
            yield f"{file.name} {status.st_size} {status.st_mtime_ns}"


def open_dicom(path: str) -> OpenedArray:
    """Open a DICOM file, or the folder of a series.

    As with a NIfTI file, spacing is stated, and orientation is kept as attribute `nifti_affine` (4 x 4 from voxel x y z
    to right, front, top in mm) and not applied. A radiograph that has no position has no such attribute.

    Raises:
        ImportError: without pydicom.
        ValueError: for files that are no DICOM, several series, and what is no stack of slices.
    """
    try:
        import pydicom  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{path}: DICOM needs the package pydicom; install it with: pip install 'polytome[dicom]'"
        ) from error
    source = DicomSource(path)
    attributes = {} if source.affine is None else {"nifti_affine": source.affine.tolist()}
    return OpenedArray(source, source.axes, source.grid, attributes)


def is_dicom_folder(path: str | Path) -> bool:
    """Whether a folder holds a DICOM file; stops at the first."""
    return any(_is_dicom(file) for file in Path(path).iterdir())


def _is_dicom(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        opened.seek(_PREAMBLE)
        return opened.read(len(_MAGIC)) == _MAGIC


def _files(path: str) -> list[Path]:
    """The file itself, or the DICOM files in a folder."""
    if not Path(path).is_dir():
        return [Path(path)]
    return sorted(file for file in Path(path).iterdir() if _is_dicom(file))


def _datasets(path: str) -> list[Any]:
    """The images among the files, as pydicom reads them."""
    reader = PydicomReader()
    try:
        datasets = [reader.read(str(file)) for file in _files(path)]
    except Exception as error:  # pydicom's own classes, which need not be installed
        raise ValueError(f"{path}: no readable DICOM: {error}") from error
    images = [dataset for dataset in datasets if "PixelData" in dataset]  # a DICOMDIR has none
    if not images:
        raise ValueError(f"{path}: none of {len(datasets)} DICOM files holds an image; expected a slice, or several")
    return images


def _sorted_slices(path: str, slices: list[Any]) -> list[Any]:
    """Slices of one series, ascending along their normal.

    Raises:
        ValueError: for what is no stack of slices.
    """
    if frames := [s for s in slices if int(getattr(s, "NumberOfFrames", 1)) > 1]:
        raise ValueError(
            f"{path}: an image of {frames[0].NumberOfFrames} frames, whose geometry cannot be read here; expected one "
            "slice per file. Convert it to NIfTI, for example with dcm2niix"
        )
    if len(slices) == 1:
        return slices
    series = Counter(str(getattr(s, "SeriesInstanceUID", "")) for s in slices)
    if len(series) > 1:
        found = ", ".join(f"{name or 'without number'} ({n} files)" for name, n in series.items())
        raise ValueError(f"{path}: expected one series in a folder, found {len(series)}: {found}")
    for key in ("Rows", "Columns", "PixelSpacing", "ImageOrientationPatient"):
        values = {tuple(np.round(np.ravel(s[key].value).astype(float), _DECIMALS)) for s in slices if key in s}
        if len(values) > 1:
            found = " and ".join(str([float(v) for v in value]) for value in sorted(values))
            raise ValueError(f"{path}: the slices have different {key}: {found}; expected one")
    without = [s for s in slices if "ImagePositionPatient" not in s or "ImageOrientationPatient" not in s]
    if without:
        raise ValueError(
            f"{path}: {len(without)} of {len(slices)} slices have no ImagePositionPatient or ImageOrientationPatient, "
            "and nothing says in which order they lie; expected one image, or slices with positions"
        )
    along = np.array(slices[0].ImageOrientationPatient, float).reshape(2, 3)
    normal = np.cross(along[0], along[1])
    heights = np.array([normal @ np.array(s.ImagePositionPatient, float) for s in slices])
    order = np.argsort(heights, kind="stable")
    _check_gaps(path, np.diff(heights[order]))
    return [slices[n] for n in order]


def _check_gaps(path: str, gaps: np.ndarray) -> None:
    """Refuse slices on top of each other, and say where one seems to be missing."""
    if gaps.min() < 10**-_DECIMALS:
        raise ValueError(
            f"{path}: several slices at one position, as in a series of several times or echoes; expected one slice "
            "per position: put those that belong together into a folder of their own"
        )
    usual = float(np.median(gaps))
    if np.abs(gaps - usual).max() > _SAME_GAP * usual:
        logger.warning(
            "%s: slices lie %g to %g mm apart; one may be missing. They are taken to lie %g mm apart",
            path, gaps.min(), gaps.max(), gaps.mean(),
        )  # fmt: skip


def _read(path: str, slices: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Voxels x y [c] [z], and MONAI's affine from voxel x y z to right, front, top."""
    reader: Any = PydicomReader(affine_lps_to_ras=True, swap_ij=True)
    reader.has_series = len(slices) > 1  # as after reading a folder; the names are for messages
    reader.filenames = [[path] * len(slices)] if reader.has_series else [path]
    for number, one in enumerate(slices):
        one.InstanceNumber = number  # by which the reader sorts; files number in any direction, or not at all
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "PydicomReader: ImageOrientationPatient")  # see `_geometry`
            array, meta = reader.get_data(list(slices) if reader.has_series else slices[0])
    except Exception as error:  # a damaged file, or a compression that needs a package
        raise ValueError(f"{path}: the DICOM image cannot be read: {error}") from error
    array = array.astype(np.float32) if array.dtype.kind == "f" else array
    return array, np.asarray(meta["affine"], np.float64)


def _geometry(slices: Sequence[Any], affine: np.ndarray) -> tuple[np.ndarray | None, Grid | None]:
    """Orientation, and grid, as far as they are stated."""
    first = slices[0]
    if "PixelSpacing" not in first:
        return None, None
    depth = float(getattr(first, "SpacingBetweenSlices", None) or getattr(first, "SliceThickness", None) or 1.0)
    if "ImagePositionPatient" not in first or "ImageOrientationPatient" not in first:
        y, x = (float(size) for size in first.PixelSpacing)
        return None, Grid((depth, y, x), unit="mm")
    if len(slices) == 1:  # MONAI lets a single slice's normal point up
        normal = np.cross(affine[:3, 0], affine[:3, 1])
        affine = affine.copy()
        affine[:3, 2] = normal / np.linalg.norm(normal) * abs(depth)
    x, y, z = (float(size) for size in np.linalg.norm(affine[:3, :3], axis=0))
    return affine, Grid((z, y, x), unit="mm")
