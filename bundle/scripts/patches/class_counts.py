"""How many voxels of each class every patch holds."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..geometry import Kind, parse_targets
from ..volumes import Volume
from .bits import pack
from .cache import FORMAT_VERSION, load_cached, save_cached
from .cells import Labelled, combine_to_patches, count_cells, merge
from .groups import Box
from .labelled import LabelledVoxels
from .lattice import AxisLattice, lattice_of
from .splits import near_groups
from .table import array_keys, open_array, volume_box


@dataclass(frozen=True)
class ClassCounts:
    """Voxels per patch and class.

    Args:
        names: of the K classes: a target, or a target and the number of its class.
        counts: N K; -1 where the patch's volume does not carry the array.
    """

    names: list[str]
    counts: np.ndarray

    def of(self, rows: Sequence[int]) -> ClassCounts:
        """The counts of some of the patches, in the order given."""
        return ClassCounts(self.names, self.counts[list(rows)])


@dataclass(frozen=True)
class _Class:
    """One class: the stored array that tells it, and its value there; 0: every labelled voxel."""

    name: str
    key: str
    value: int


def count_classes(
    volumes: Sequence[Mapping[str, Any]],
    patches: Sequence[Mapping[str, Any]],
    targets: Mapping[str, Any],
    *,
    cache_file: str | Path | None = None,
    use_cache: bool = True,
    num_workers: int | None = None,
) -> ClassCounts:
    """Count the voxels of every foreground class in every patch; stored chunks are read once, absent ones never.

    Classes are those of the targets of kind `label`: a target of one channel is one class (every labelled voxel), a
    target of C channels has classes 1 to C - 1. A target that is derived from another array (`source`) counts as one
    class, the labelled voxels of that array. Ignored labels and masked voxels do not count (see `LabelledVoxels`).

    Args:
        volumes: the `volumes` table.
        patches: what `find_patches` returned.
        targets: the `targets` table.
        cache_file: JSON file that keeps the counts, used again only if all that they were made from is unchanged.
        use_cache: false counts anew and leaves the file alone.
        num_workers: threads; default one per core, at most 8.

    Raises:
        ValueError: if there is no target of kind `label`, or a label holds a class that its target does not have.
    """
    classes = _classes(targets)
    if not classes:
        raise ValueError(f"no target is of kind label, so that there are no classes to count; targets: {list(targets)}")
    keys = list(dict.fromkeys(entry.key for entry in classes))
    rows_of = {v: [n for n, patch in enumerate(patches) if patch["volume"] == v] for v in range(len(volumes))}
    readers = {
        (v, key): LabelledVoxels(volumes[v], key, targets)
        for v in rows_of
        for key in keys
        if rows_of[v] and key in array_keys(volumes[v])
    }
    kept_file = Path(cache_file) if cache_file is not None and use_cache else None
    header = {} if kept_file is None else _header(classes, readers, patches, volumes)
    cached = None if kept_file is None else load_cached(kept_file, header, "counts")
    if cached is not None:
        return ClassCounts([entry.name for entry in classes], np.array(cached))
    counts = np.full((len(patches), len(classes)), -1, np.int64)
    highest = {entry.key: entry.value for entry in classes}  # the last class of each array
    with ThreadPoolExecutor(num_workers or min(8, os.cpu_count() or 1)) as pool:
        for (v, key), reader in readers.items():
            columns = [k for k, entry in enumerate(classes) if entry.key == key]
            values = [classes[k].value for k in columns]
            chosen = [patches[n] for n in rows_of[v]]
            counter = _Counter(reader, volume_box(volumes[v], reader.array)[1], values, highest[key])
            tasks = counter.tasks(chosen)
            for members, found in pool.map(lambda task, c=counter: c.count(*task), tasks):
                counts[np.ix_([rows_of[v][m] for m in members], columns)] = found
    if kept_file is not None:
        save_cached(kept_file, header, "counts", counts.tolist())
    return ClassCounts([entry.name for entry in classes], counts)


def class_voxels(
    counts: ClassCounts,
    volumes: Sequence[Mapping[str, Any]],
    patches: Sequence[Mapping[str, Any]],
    targets: Mapping[str, Any],
) -> dict[str, list[int]]:
    """Voxels of each class of each counted target, background first, in all patches that carry the target.

    What lies beyond the target's array is unknown and does not count. Voxels that are masked or ignored count as
    background here.

    Args:
        counts: of the patches.
        volumes: the `volumes` table.
        patches: with their `volume`, `start` and `size`.
        targets: the `targets` table.
    """
    arrays: dict[tuple[int, str], Volume] = {}
    voxels: dict[str, list[int]] = {}
    for target in parse_targets(targets).values():
        columns = [k for k, name in enumerate(counts.names) if name.split(" ")[0] == target.name]
        if columns:
            found = counts.counts[:, columns]  # N K
            carried = np.flatnonzero(found[:, 0] >= 0).tolist()
            total = 0
            for patch in (patches[n] for n in carried):
                place = (patch["volume"], target.stored_key)
                if place not in arrays:
                    arrays[place] = open_array(volumes[place[0]], place[1], targets)
                total += _voxels_inside(arrays[place], patch)
            foreground = found[carried].sum(axis=0).tolist()
            voxels[target.name] = [total - sum(foreground), *foreground]
    return voxels


def _voxels_inside(array: Volume, patch: Mapping[str, Any]) -> int:
    pads = array.padding(patch["start"], patch["size"])
    return math.prod(n - before - after for n, (before, after) in zip(patch["size"], pads, strict=True))


class _Counter:
    """Counts the classes of one array in patches that overlap.

    Args:
        reader: the array.
        high: the last voxel that may be used, plus one.
        values: classes to count; 0: every labelled voxel.
        highest: the last class that there is; 0: any value may occur.
    """

    def __init__(self, reader: LabelledVoxels, high: Sequence[int], values: Sequence[int], highest: int) -> None:
        self.reader, self.high, self.values, self.highest = reader, list(high), list(values), highest
        boxes = reader.boxes()
        self.starts = np.array([box[0] for box in boxes]).reshape(-1, 3)
        self.sizes = np.array([box[1] for box in boxes]).reshape(-1, 3)

    def tasks(self, patches: Sequence[Mapping[str, Any]]) -> list[tuple[list[int], np.ndarray, Sequence[int]]]:
        """Members, starts and size of each group of overlapping patches."""
        group = near_groups(patches, np.zeros(3, int))
        starts, size = np.array([patch["start"] for patch in patches]), patches[0]["size"]
        order = np.argsort(group, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
        return [(part.tolist(), starts[part], size) for part in parts]

    def count(self, members: list[int], starts: np.ndarray, size: Sequence[int]) -> tuple[list[int], np.ndarray]:
        """Members as given, and their counts: members x classes."""
        lattice = [lattice_of(np.unique(starts[:, i]), self.high[i], size[i]) for i in range(3)]
        index = np.stack([np.searchsorted(axis.starts, starts[:, i]) for i, axis in enumerate(lattice)], axis=1)
        cells: list[list[Labelled]] = [[] for _ in self.values]
        for box in self._boxes(lattice):
            for k, labelled in enumerate(self._class_voxels(box)):
                if labelled.any():
                    cells[k].append(count_cells(pack(labelled, box[0]), lattice))
        shape = [len(axis.starts) for axis in lattice]
        wanted = np.ravel_multi_index(tuple(index.T), shape)
        found = np.zeros((len(members), len(self.values)), np.int64)
        for k, parts in enumerate(cells):
            patches = combine_to_patches(merge(parts), lattice)
            at = np.ravel_multi_index(tuple(patches.index.T), shape)  # ascending, as merge sorts
            place = np.minimum(np.searchsorted(at, wanted), max(len(at) - 1, 0))
            if len(at):
                found[:, k] = np.where(at[place] == wanted, patches.count[place], 0)
        return members, found

    def _boxes(self, lattice: Sequence[AxisLattice]) -> Iterator[Box]:
        low, high = [axis.starts[0] for axis in lattice], [axis.ends[-1] for axis in lattice]
        first, stop = np.maximum(self.starts, low), np.minimum(self.starts + self.sizes, high)
        inside = (first < stop).all(axis=1)
        yield from zip(map(tuple, first[inside].tolist()), map(tuple, (stop - first)[inside].tolist()), strict=True)

    def _class_voxels(self, box: Box) -> Iterator[np.ndarray]:
        """D H W bool for each class."""
        block = self.reader.array.read(*box)  # C D H W
        labelled = self.reader.labelled(block) != 0
        if self.reader.mask is not None and labelled.any():
            labelled &= (self.reader.mask.read(*box) > 0).any(axis=0)
        if self.highest and (most := int(np.where(labelled, block[0], 0).max())) > self.highest:
            raise ValueError(
                f"{self.reader.array.path}: the label holds class {most} in the box at {list(box[0])} of size "
                f"{list(box[1])}, but its target '{self.reader.key}' has classes 0 to {self.highest}; raise "
                "'channels', or name the value in 'ignore_label'"
            )
        for value in self.values:
            yield labelled if value == 0 else labelled & (block[0] == value)


def _classes(targets: Mapping[str, Any]) -> list[_Class]:
    found: dict[tuple[str, int], _Class] = {}
    for name, target in parse_targets(targets).items():
        if target.kind is not Kind.LABEL:
            continue
        derived = target.stored_key != name
        if target.channels == 1 or derived:
            found.setdefault((target.stored_key, 0), _Class(target.stored_key, target.stored_key, 0))
        else:
            for value in range(1, target.channels):
                found[name, value] = _Class(f"{name} {value}", name, value)
    return list(found.values())


def _header(
    classes: Sequence[_Class],
    readers: Mapping[tuple[int, str], LabelledVoxels],
    patches: Sequence[Mapping[str, Any]],
    volumes: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    places = json.dumps([[patch["volume"], patch["start"], patch["size"]] for patch in patches])
    return {
        "format_version": FORMAT_VERSION,
        "classes": [entry.name for entry in classes],
        "patches": hashlib.sha256(places.encode()).hexdigest(),
        "arrays": [{"volume": v, **reader.describe()} for (v, _), reader in readers.items()],
        "regions": [row.get("region") for row in volumes],
    }
