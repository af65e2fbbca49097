"""The list of crops that a submission is asked for: CellMap's `test_crop_manifest.csv`."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

COLUMNS = ("crop_name", "dataset", "class_label", "voxel_size", "translation", "shape")

_CROP = re.compile(r"crop[\w-]+")


@dataclass(frozen=True)
class WantedLabel:
    """The grid on which one class of one crop is scored.

    Args:
        crop: such as `crop557`.
        dataset: in which it lies.
        label: the class.
        voxel_size: z, y, x in nm.
        translation: position of voxel 0, z, y, x in nm.
        shape: D, H, W.
    """

    crop: str
    dataset: str
    label: str
    voxel_size: tuple[float, float, float]
    translation: tuple[float, float, float]
    shape: tuple[int, int, int]


def read_manifest(path: str | Path) -> list[WantedLabel]:
    """Read a manifest: lines `crop_name,dataset,class_label,voxel_size,translation,shape` below these words.

    Lists are written `[8.0;8.0;8.0]`. A crop's name may be its number.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: for a file without these columns, and for a line that is not of this form; the message names it.
    """
    source = Path(path)
    with source.open(newline="") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
        if missing:
            raise ValueError(f"{source}: expected the columns {', '.join(COLUMNS)}; {', '.join(missing)} not found")
        wanted = [_parsed(row, f"{source}, line {reader.line_num}") for row in reader]
    if not wanted:
        raise ValueError(f"{source}: lists no crops")
    return wanted


def crop_folder(name: str) -> str:
    """Name of a crop's folder, such as `crop557`; a number gets the word before it."""
    return f"crop{name}" if name.isdecimal() else name


def is_crop_folder(name: str) -> bool:
    """Whether a folder of a submission is one of a crop."""
    return _CROP.fullmatch(name) is not None


def _parsed(row: dict[str, str], where: str) -> WantedLabel:
    try:
        voxel_size, translation, shape = (
            tuple(float(number) for number in row[name].strip(" []").split(";")) for name in COLUMNS[3:]
        )
        (vz, vy, vx), (tz, ty, tx), (d, h, w) = voxel_size, translation, shape
    except (ValueError, AttributeError):
        raise ValueError(
            f"{where}: expected voxel_size, translation and shape as [z;y;x]; got "
            f"{', '.join(str(row[name]) for name in COLUMNS[3:])}"
        ) from None
    if min(vz, vy, vx) <= 0 or min(d, h, w) < 1 or any(n != int(n) for n in (d, h, w)):
        raise ValueError(f"{where}: voxel_size must be positive and shape whole; got {voxel_size} and {shape}")
    sizes = int(d), int(h), int(w)
    return WantedLabel(
        crop_folder(row["crop_name"].strip()), row["dataset"].strip(), row["class_label"].strip(),
        (vz, vy, vx), (tz, ty, tx), sizes,
    )  # fmt: skip
