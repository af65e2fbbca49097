"""Submissions to CellMap's challenge: a zip file with a zarr v2 array per crop and class."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import zarr
from zarr.storage import ZipStore

from ...geometry import did_you_mean
from .checks import Triple, check_array, check_members, read_json, stated_grid
from .manifest import crop_folder, is_crop_folder

ROOT = "submission.zarr"
"""Folder in the zip file that holds the crops."""

_GIB = 2**30


@dataclass(frozen=True)
class SubmittedLabel:
    """One class of one crop.

    Args:
        crop: such as `crop557`.
        label: the class.
        array: D H W; read from the zip file piece by piece, inside of the `with` statement.
        voxel_size: z, y, x in nm.
        translation: position of voxel 0, z, y, x in nm.
    """

    crop: str
    label: str
    array: zarr.Array
    voxel_size: Triple
    translation: Triple


class Submission:
    """The labels of a zip file that has been checked; made by `read_submission`, to be used in a `with` statement.

    Iterating gives a `SubmittedLabel` for every class of every crop, in order of their names.

    Args:
        path: of the zip file.
        grids: (crop, label) -> path of the array in it, voxel size, translation.
    """

    def __init__(self, path: Path, grids: dict[tuple[str, str], tuple[str, Triple, Triple]]) -> None:
        self.path, self._grids = path, grids
        self._store = ZipStore(path, mode="r")

    def __enter__(self) -> Submission:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._grids)

    def __iter__(self) -> Iterator[SubmittedLabel]:
        for (crop, label), (inner, voxel_size, translation) in sorted(self._grids.items()):
            array = zarr.open_array(self._store, path=inner, mode="r", zarr_format=2)
            yield SubmittedLabel(crop, label, array, voxel_size, translation)

    def close(self) -> None:
        """Close the zip file."""
        if self._store._is_open:
            self._store.close()


def read_submission(
    path: str | Path,
    *,
    classes: Iterable[str] | None = None,
    max_total_bytes: int = 50 * _GIB,
    max_entry_bytes: int = 2 * _GIB,
    max_array_bytes: int = 16 * _GIB,
) -> Submission:
    """Check a submission, and open it without unpacking it.

    The zip file holds `<crop>/<class>` arrays, in the root or in one folder such as `submission.zarr`. Its entries
    must stay inside of it and be files; arrays are zarr v2, of whole numbers, without codecs that could run code, and
    state `voxel_size` and `translation`.

    Args:
        path: the zip file.
        classes: names that a label may have; `None`: any.
        max_total_bytes: most bytes of all entries, unpacked.
        max_entry_bytes: most bytes of one entry, unpacked, and of one chunk, decoded.
        max_array_bytes: most bytes of one array.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: for what is no such file; the message names the entry.
    """
    source = Path(path)
    known = None if classes is None else list(classes)
    grids: dict[tuple[str, str], tuple[str, Triple, Triple]] = {}
    try:
        archive = zipfile.ZipFile(source)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{source}: expected a zip file: {error}") from error
    with archive:
        files = check_members(str(source), archive.infolist(), max_total_bytes, max_entry_bytes)
        newer = [name for name in files if name.rpartition("/")[2] == "zarr.json"]
        if newer:
            raise ValueError(f"{source}: the entry {newer[0]!r} is of zarr v3; expected zarr v2")
        roots = set()
        for name in (name for name in files if name.rpartition("/")[2] == ".zarray"):
            where = f"{source}: the entry {name!r}"
            *folders, crop, label = ["", "", *name.split("/")[:-1]]
            crop = crop_folder(crop)
            if not is_crop_folder(crop):
                raise ValueError(
                    f"{where} is no label of a crop; expected <crop>/<class>/.zarray, such as crop1/nuc/.zarray"
                )
            if known is not None and label not in known:
                raise ValueError(f"{where} is of no known class{did_you_mean(label, known)}; known: {', '.join(known)}")
            roots.add("/".join(filter(None, folders)))
            if len(roots) > 1:
                raise ValueError(f"{where} lies in another folder than other labels: {', '.join(sorted(roots))!r}")
            if (crop, label) in grids:
                raise ValueError(f"{where} is a second {label} of {crop}")
            shape = check_array(where, read_json(str(source), archive, files[name]), max_array_bytes, max_entry_bytes)
            stated = files.get(f"{name.removesuffix('.zarray')}.zattrs")
            attributes = {} if stated is None else read_json(str(source), archive, stated)
            if attributes.get("shape", list(shape)) != list(shape):
                raise ValueError(f"{where} has shape {list(shape)}, but its attributes state {attributes['shape']}")
            grids[crop, label] = (name.removesuffix("/.zarray"), *stated_grid(where, attributes))
    if not grids:
        raise ValueError(f"{source}: holds no labels; expected arrays such as {ROOT}/crop1/nuc")
    return Submission(source, grids)
