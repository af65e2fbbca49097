"""Files of landmarks, by suffix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .landmark_markups import read_fcsv, read_markups, write_markups
from .landmark_tables import read_landmark_table, write_landmark_table
from .landmarks import PHYSICAL, RAS, VOXELS, Landmarks

_READERS: dict[str, Callable[[Path], Landmarks]] = {
    ".mrk.json": read_markups,
    ".fcsv": read_fcsv,
    ".csv": read_landmark_table,
}


def read_landmarks(path: str | Path) -> Landmarks:
    """Read the landmarks of one volume.

    A `.mrk.json` or `.fcsv` of 3D Slicer is in the frame `ras`, whatever coordinate system it states; a `.csv` is in
    voxels or physical, as its header says (see `read_landmark_table`).

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: for another suffix, and a file with a fault.
    """
    source = Path(path)
    for suffix, read in _READERS.items():
        if source.name.lower().endswith(suffix):
            return read(source)
    raise ValueError(f"{path}: expected landmarks in a file that ends in {', '.join(_READERS)}")


def write_landmarks(path: str | Path, landmarks: Landmarks) -> None:
    """Write landmarks as `.mrk.json` (frame `ras`) or `.csv` (voxels, or physical with a unit).

    Args:
        path: the file; its folder is made where it is missing.
        landmarks: see `convert_landmarks` for another frame.

    Raises:
        ValueError: for another suffix, and a frame that the file cannot state.
    """
    target = Path(path)
    name = target.name.lower()
    is_markup = name.endswith(".mrk.json")
    if not is_markup and not name.endswith(".csv"):
        raise ValueError(f"{path}: landmarks are written to a file that ends in .mrk.json or .csv")
    is_stated = landmarks.frame == VOXELS or (landmarks.frame == PHYSICAL and landmarks.unit is not None)
    if not (landmarks.frame == RAS if is_markup else is_stated):
        wanted = f"'{RAS}'" if is_markup else f"'{VOXELS}', or '{PHYSICAL}' with a unit"
        raise ValueError(
            f"{path}: expected landmarks in the frame {wanted}; got '{landmarks.frame}' in {landmarks.unit}: "
            "convert_landmarks(landmarks, frame, volume) changes it"
        )
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    (write_markups if is_markup else write_landmark_table)(target, landmarks)
