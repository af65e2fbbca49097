"""Files that list volumes: MSD-style datalists (JSON) and CellMap's data splits (CSV), read and written."""

from __future__ import annotations

import csv
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..geometry import IMAGE_KEY, Kind, did_you_mean, parse_targets, stored_keys
from ..volumes import LANDMARKS_KEY, POINTS_KEY, is_url, open_volume
from .cellmap_scale import is_as_fine, scale_limit
from .table import OPTION_KEYS, array_keys

logger = logging.getLogger(__name__)

Row = dict[str, Any]

_SPLIT_OF_USAGE = {"train": "train", "validate": "val"}
_USAGE_OF_SPLIT = {split: usage for usage, split in _SPLIT_OF_USAGE.items()}
_POINT_FILES = (POINTS_KEY, LANDMARKS_KEY)
"""Keys that are no arrays, but may name a file."""

_COLUMNS = "train or validate, raw store, raw dataset, label store, label group/[class,...]"


def read_datalist(
    path: str | Path, targets: Mapping[str, Any], *, label: str | None = None, fold: int | None = None
) -> list[Row]:
    """Read a datalist as the Medical Segmentation Decathlon has it into a `volumes` table.

    `{"training": [{"image": PATH, "label": PATH, ...}, ...], "validation": [...]}`: paths are relative to the file; an
    entry may hold everything that a row of `volumes` may hold. With a `validation` list, its volumes validate and the
    others train. Without one, entries may state a `fold`, of which one validates. Further lists, such as `test`, are
    left out.

    Args:
        path: the JSON file.
        targets: the `targets` table.
        label: the target that `label` in the file stands for; `None`: the only one of kind `label`.
        fold: which fold validates; `None`: folds are left out, and `split_method` decides.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: for what is no datalist; the message names the entry.
    """
    source = Path(path)
    content = _json(source)
    if not isinstance(content, Mapping) or not isinstance(content.get("training"), list):
        found = ", ".join(content) if isinstance(content, Mapping) else type(content).__name__
        raise ValueError(f"{source}: expected a dictionary with a list 'training'; found {found}")
    validation = content.get("validation") or []
    listed = [("training", entry) for entry in content["training"]] + [("validation", entry) for entry in validation]
    rows = []
    for number, (part, entry) in enumerate(listed):
        where = f"{source}: {part}[{number if part == 'training' else number - len(content['training'])}]"
        if not isinstance(entry, Mapping) or IMAGE_KEY not in entry:
            raise ValueError(f"{where}: expected a dictionary with '{IMAGE_KEY}'; got {entry!r}")
        row = {key: value for key, value in entry.items() if key != "fold"}
        if "label" in row and "label" not in stored_keys(targets):
            row[label or _only_label(targets, where)] = row.pop("label")
        for key in [*array_keys(row), *(key for key in _POINT_FILES if isinstance(row.get(key), str))]:
            values = row[key] if isinstance(row[key], list) else [row[key]]
            placed = [_relative_to(source.parent, str(value)) for value in values]
            row[key] = placed if isinstance(row[key], list) else placed[0]
        if validation:
            row["split"] = "val" if part == "validation" else "train"
        elif fold is not None:
            if "fold" not in entry:
                raise ValueError(f"{where}: has no 'fold', and fold = {fold} is asked for")
            row["split"] = "val" if int(entry["fold"]) == fold else "train"
        rows.append(row)
    if fold is not None and not any(row.get("split") == "val" for row in rows):
        raise ValueError(f"{source}: no volume is of fold {fold}")
    return rows


def write_datalist(
    path: str | Path, volumes: Sequence[Mapping[str, Any]], n_folds: int | None = None, seed: int = 0
) -> None:
    """Write a `volumes` table as a datalist; what validates goes to `validation`, everything else to `training`.

    Args:
        path: the JSON file.
        volumes: the table; its paths are written as they are, absolute ones where they are local.
        n_folds: give each volume a `fold`, at random, all of about the same size.
        seed: of the folds.
    """
    rows = [{key: _absolute(key, value) for key, value in row.items()} for row in volumes]
    if n_folds is not None:
        folds = np.random.default_rng(seed).permutation(np.arange(len(rows)) % n_folds)
        rows = [{**row, "fold": int(fold)} for row, fold in zip(rows, folds, strict=True)]
    content = {"training": [row for row in rows if row.get("split") != "val"]}
    if validation := [row for row in rows if row.get("split") == "val"]:
        content["validation"] = validation
    Path(path).write_text(json.dumps(content, indent=1) + "\n")


def read_datasplit(
    path: str | Path,
    targets: Mapping[str, Any],
    *,
    spacing: Sequence[float] | None = None,
    filter_by_scale: bool | float | Sequence[float] = False,
) -> list[Row]:
    """Read a data split of CellMap's toolbox into a `volumes` table.

    Lines, without header: `"train"|"validate", "<raw store>", "<raw dataset>", "<label store>",
    "<label group>/[class1,class2]"`. Each class is an array of its own in the group, and a target of its name; classes
    that no target reads are left out, and so are lines without any class that is. A class that a line does not list is
    unknown there.

    Args:
        path: the CSV file; stores are relative to it.
        targets: the `targets` table.
        spacing: voxel size z, y, x at which everything is read. Needed where label crops are parts of the raw volume,
            or of another resolution: arrays are then placed by their physical position.
        filter_by_scale: leave out labels whose finest level is coarser along any axis: false: none; true: than
            `spacing`; than a number, or than one per axis. Such a label is unknown there.

    Raises:
        FileNotFoundError: if the file does not exist, or with `filter_by_scale` a label.
        ValueError: for a line that is not of this form; the message names it. If no line is left.
    """
    source = Path(path)
    wanted = stored_keys(targets)
    limit = scale_limit(filter_by_scale, spacing)
    rows: list[Row] = []
    for where, (usage, raw_store, raw_dataset, label_store, group) in _csv_lines(source):
        if usage not in _SPLIT_OF_USAGE:
            raise ValueError(f"{where}: column 1 must be train or validate; got {usage!r}")
        listed = re.fullmatch(r"(.*?)/?\[([^\[\]]*)\]", group)
        if listed is None:
            raise ValueError(f"{where}: column 5 must be a group and its classes, group/[class,...]; got {group!r}")
        for number, value in ((2, raw_store), (4, label_store)):
            if not value:
                raise ValueError(f"{where}: column {number} must name a store; it is empty")
        classes = [name.strip() for name in listed[2].split(",") if name.strip()]
        known = [name for name in classes if name in wanted]
        if not known:
            logger.info("%s: none of its classes %s is a target; left out", where, classes)
            continue
        store = _relative_to(source.parent, label_store)
        labels = {name: _join(store, listed[1], name) for name in known}
        if limit is not None:
            labels = {name: label for name, label in labels.items() if is_as_fine(open_volume(label).spacing, limit)}
            if coarse := [name for name in known if name not in labels]:
                logger.info("%s: %s coarser than %s, left out", where, ", ".join(coarse), list(limit))
            if not labels:
                continue
        row: Row = {IMAGE_KEY: _join(_relative_to(source.parent, raw_store), raw_dataset), **labels}
        row["split"] = _SPLIT_OF_USAGE[usage]
        if spacing is not None:
            row["spacing"] = [float(value) for value in spacing]
        rows.append(row)
    if not rows:
        fine = "" if limit is None else f" and is as fine as filter_by_scale = {list(limit)}"
        raise ValueError(f"{source}: no line has a class that a target reads{fine}; targets read: {', '.join(wanted)}")
    return rows


def write_datasplit(path: str | Path, volumes: Sequence[Mapping[str, Any]]) -> None:
    """Write a `volumes` table as a data split of CellMap's toolbox.

    Args:
        path: the CSV file.
        volumes: rows with one image and labels that lie in one group of a zarr store, each under its own name.

    Raises:
        ValueError: for a row that such a line cannot hold.
    """
    lines = []
    for number, row in enumerate(volumes):
        keys = [key for key in array_keys(row) if key != IMAGE_KEY]
        if isinstance(row[IMAGE_KEY], list) or not keys:
            raise ValueError(f"volumes[{number}]: a data split holds one image and at least one label; got {dict(row)}")
        places = {key: str(row[key]).rstrip("/").rpartition("/") for key in keys}
        groups = {place[0] for place in places.values()}
        renamed = [key for key, place in places.items() if place[2] != key]
        if len(groups) > 1 or renamed:
            raise ValueError(
                f"volumes[{number}]: a data split holds labels of one group, each array named as its target; got "
                f"{ {key: row[key] for key in keys} }"
            )
        raw_store, raw_dataset = _store_and_rest(str(_absolute(IMAGE_KEY, row[IMAGE_KEY])))
        store, group = _store_and_rest(str(_absolute(keys[0], groups.pop())))
        usage = _USAGE_OF_SPLIT[row.get("split") or "train"]
        lines.append([usage, raw_store, raw_dataset, store, f"{group}/[{','.join(keys)}]".lstrip("/")])
    with Path(path).open("w", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(lines)


def _csv_lines(source: Path) -> Iterator[tuple[str, list[str]]]:
    with source.open(newline="") as file:
        reader = csv.reader(file, skipinitialspace=True)
        for cells in reader:
            where = f"{source}, line {reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != 5:
                raise ValueError(f"{where}: expected 5 columns ({_COLUMNS}); got {len(cells)}: {cells}")
            yield where, [cell.strip() for cell in cells]


def _json(source: Path) -> Any:
    try:
        return json.loads(source.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{source}, line {error.lineno}: no JSON: {error.msg}") from error


def _only_label(targets: Mapping[str, Any], where: str) -> str:
    labels = sorted({row.stored_key for row in parse_targets(targets).values() if row.kind is Kind.LABEL})
    if len(labels) != 1:
        raise ValueError(
            f"{where}: 'label' could be any of the targets {', '.join(labels) or 'none of which is a label'}"
            f"{did_you_mean('label', list(targets))}; say which by label = NAME, or name it in the file"
        )
    return labels[0]


def _absolute(key: str, value: Any) -> Any:
    is_file = key not in OPTION_KEYS or (key in _POINT_FILES and isinstance(value, str | Path))
    if not is_file or value is None:
        return value
    if isinstance(value, list):
        return [_absolute(key, item) for item in value]
    return str(value) if is_url(str(value)) else str(Path(value).absolute())


def _relative_to(folder: Path, path: str) -> str:
    return path if is_url(path) or Path(path).is_absolute() else str(folder / path)


def _join(*parts: str) -> str:
    return "/".join([parts[0].rstrip("/"), *(part.strip("/") for part in parts[1:] if part.strip("/"))])


def _store_and_rest(path: str) -> tuple[str, str]:
    """Path of the zarr (or N5) store, and what is inside it; a path without either is a store as a whole."""
    match = re.match(r"(.*?\.(?:zarr|n5))(?:/|$)(.*)", path)
    return (match[1], match[2]) if match else (path, "")
