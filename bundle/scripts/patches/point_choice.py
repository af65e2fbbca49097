"""Draw annotated points from a label of any size, evenly over classes and instances."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..blockwise import WorkProgress, ahead
from ..volumes import Point, Volume, open_volume
from .groups import Box, join_boxes
from .labelled import RUN_VOXELS
from .reservoir import ClassReservoir
from .table import volume_box

Region = Sequence[Sequence[int]]
"""First voxel and last plus one: [[z0, y0, x0], [z1, y1, x1]]."""

Arrays = list[np.ndarray | None]
"""Label, instances and mask as stored, C D H W each."""


def draw_points(
    label: str | Path | Volume,
    k: int,
    *,
    channels: int = 1,
    classes: Sequence[int] | None = None,
    background: bool = True,
    instances: str | Path | Volume | None = None,
    mask: str | Path | Volume | None = None,
    ignore_label: int | None = None,
    regions: Sequence[Region] | None = None,
    exclude: Sequence[Region] = (),
    seed: int = 0,
) -> list[Point]:
    """Draw `k` different voxels of a label: as many of each class, each class as evenly over its instances as can be.

    The first points of a draw are the draw of fewer points with the same seed: classes take turns, and so do the
    instances of a class (see `ClassReservoir`). What is drawn depends on nothing but the voxels and the seed.

    Stored chunks are read once, in blocks of about 4 million voxels; memory depends on `k`, not on the label. Chunks
    that the store leaves out give no points, background included: whether they were looked at is not known.

    Args:
        label: path or volume, one channel. Negative voxels and NaN are unknown and never drawn.
        k: number of points, at least one per class.
        channels: of the target, as in the `targets` table. 1: every voxel above 0 is class 1, and its value is the
            instance, unless `instances` says so. More: voxels hold the classes 0 to `channels - 1`.
        classes: the foreground classes that are drawn; `None`: all.
        background: whether class 0 is drawn.
        instances: path or volume of instance ids on the label's grid; `None` with several channels: each class is one
            instance.
        mask: path or volume on the label's grid; where it is 0, nothing is drawn.
        ignore_label: value that is unknown, too.
        regions: boxes in voxels of the label, such as those that train; `None`: everything.
        exclude: boxes of which nothing is drawn.
        seed: of the draw.

    Returns:
        the points, classes in turn; the background has instance 0.

    Raises:
        ValueError: where a class has fewer voxels than it needs, with their number; for a value beyond the classes or a
            label that holds no ids; for arrays of different shape; for a box that is not within the label.
    """
    source = _Source(
        _opened(label),
        None if instances is None else _opened(instances),
        None if mask is None else _opened(mask),
        channels,
        ignore_label,
    )
    wanted = _checked_classes(channels, classes, background)
    if k < len(wanted):
        raise ValueError(f"k must be at least {len(wanted)}, a point for each of the classes {wanted}; got {k}")
    inside = _Boxes(source.label, regions, exclude)
    needed = [-(-(k - place) // len(wanted)) for place in range(len(wanted))]
    reservoirs = {c: ClassReservoir(n, seed) for c, n in zip(wanted, needed, strict=True)}
    boxes = _stored(source.label, inside.hull)
    blocks = ((box, source.read(box)) for box in boxes)
    with ahead(blocks) as read, WorkProgress(f"points of {source.label.name}", len(boxes), "boxes") as progress:
        for box, arrays in read:
            progress.advance()
            for slab, part in _slabs(box, arrays):
                block = source.interpret(slab, part)
                usable = block.known & inside.of(slab)
                voxels = _numbers(slab, source.label.spatial_shape)[usable]
                of_voxel, ids = block.classes[usable], block.instances[usable]
                for c, reservoir in reservoirs.items():
                    chosen = of_voxel == c
                    reservoir.add(voxels[chosen], ids[chosen] if c else np.zeros((), np.uint64))
    lacking = [c for c, n in zip(wanted, needed, strict=True) if reservoirs[c].seen < n]
    if lacking:
        found = ", ".join(f"class {c}: {reservoirs[c].seen}" for c in wanted)
        raise ValueError(
            f"{source.label.path}: k = {k} points need {max(needed)} of each class, but there are fewer known voxels "
            f"where points may be drawn: {found}. Ask for fewer points, give other regions, or leave out "
            f"{', '.join(f'class {c}' for c in lacking)}"
        )
    return _in_turn(reservoirs, source.label.spatial_shape, k)


@dataclass(frozen=True)
class _Block:
    """Class and instance of each voxel of a block, D H W, and where they are known."""

    classes: np.ndarray
    instances: np.ndarray
    known: np.ndarray


@dataclass(frozen=True)
class _Source:
    """What points are drawn from."""

    label: Volume
    instances: Volume | None
    mask: Volume | None
    channels: int
    ignore_label: int | None

    def __post_init__(self) -> None:
        for volume in (self.label, self.instances):
            if volume is not None and (volume.channels != 1 or volume.encoding is not None):
                what = f"{volume.channels} channels" if volume.channels != 1 else "encoded values"
                raise ValueError(f"{volume.path} has {what}; expected classes or instance ids, one channel")
        for volume in (self.instances, self.mask):
            if volume is not None and volume.spatial_shape != self.label.spatial_shape:
                raise ValueError(
                    f"{volume.path} has shape {volume.spatial_shape}, the label {self.label.path} has "
                    f"{self.label.spatial_shape} (z y x); expected arrays on one grid"
                )

    def read(self, box: Box) -> Arrays:
        return [None if volume is None else volume.read(*box) for volume in (self.label, self.instances, self.mask)]

    def interpret(self, box: Box, arrays: Arrays) -> _Block:
        label, instances, mask = arrays
        values, known = _ids(self.label.path, label)
        if self.ignore_label is not None:
            known &= values != self.ignore_label
        if mask is not None:
            known &= (mask > 0).any(axis=0)  # C D H W -> D H W
        if self.channels == 1:
            classes, ids = (values > 0).astype(np.uint8), values
        else:
            classes, ids = values, np.zeros(values.shape, np.uint64)
            if (most := int(np.where(known, values, 0).max())) >= self.channels:
                raise ValueError(
                    f"{self.label.path}: the label holds class {most} in the box at {list(box[0])} of size "
                    f"{list(box[1])}, but channels = {self.channels} are the classes 0 to {self.channels - 1}; raise "
                    "channels, name the value as ignore_label, or give channels = 1 for a label of instances"
                )
        if self.instances is not None:
            ids, has_id = _ids(self.instances.path, instances)
            known &= has_id | (classes == 0)
        return _Block(classes, ids, known)


class _Boxes:
    """Which voxels of a label may be drawn by their place.

    Args:
        label: the label.
        regions: boxes that may be drawn from; `None`: everything.
        exclude: boxes that may not.
    """

    def __init__(self, label: Volume, regions: Sequence[Region] | None, exclude: Sequence[Region]) -> None:
        if regions is not None and not regions:
            raise ValueError("regions: expected boxes [[z0, y0, x0], [z1, y1, x1]], or null for everything; got none")
        everything = [[0, 0, 0], label.spatial_shape]
        self._regions = [volume_box({"region": region}, label) for region in regions or [everything]]
        self._exclude = [volume_box({"region": region}, label) for region in exclude]

    @property
    def hull(self) -> tuple[np.ndarray, np.ndarray]:
        """First voxel, and last plus one, of the smallest box around the regions."""
        return np.min([low for low, _ in self._regions], axis=0), np.max([high for _, high in self._regions], axis=0)

    def of(self, box: Box) -> np.ndarray:
        """D H W bool of a box given by start and size."""
        inside = np.zeros(box[1], bool)
        for boxes, value in ((self._regions, True), (self._exclude, False)):
            for low, high in boxes:
                first, stop = np.maximum(np.subtract(low, box[0]), 0), np.minimum(np.subtract(high, box[0]), box[1])
                if (first < stop).all():
                    inside[tuple(map(slice, first, stop))] = value
        return inside


def _opened(source: str | Path | Volume) -> Volume:
    return source if isinstance(source, Volume) else open_volume(source)


def _checked_classes(channels: int, classes: Sequence[int] | None, background: bool) -> list[int]:
    """Classes in the order in which they take turns, the background last."""
    last = max(channels - 1, 1)
    chosen = list(range(1, last + 1)) if classes is None else sorted(set(classes))
    if channels < 1 or any(not 1 <= c <= last for c in chosen):
        raise ValueError(f"classes must be of 1 to {last} (channels = {channels}); got {chosen}")
    wanted = [*chosen, 0] if background else chosen
    if not wanted:
        raise ValueError("classes = [] and background = false leave nothing to draw")
    return wanted


def _stored(label: Volume, hull: tuple[np.ndarray, np.ndarray]) -> list[Box]:
    """Start and size of what is read at once: stored chunks, cut at the hull, small neighbours joined."""
    clipped = []
    for start, size in label.stored_chunks(inside_shards=True):
        low, high = np.maximum(start, hull[0]), np.minimum(np.add(start, size), hull[1])
        if (low < high).all():
            (z, y, x), (d, h, w) = low.tolist(), (high - low).tolist()
            clipped.append(((z, y, x), (d, h, w)))
    return join_boxes(clipped, RUN_VOXELS)


def _slabs(box: Box, arrays: Arrays) -> Iterator[tuple[Box, Arrays]]:
    """Parts of a box that was read, along z: what is computed from large chunks would not fit into memory."""
    (z, y, x), (d, h, w) = box
    step = max(1, RUN_VOXELS // (h * w))
    for first in range(0, d, step):
        part = [None if array is None else array[:, first : first + step] for array in arrays]
        yield ((z + first, y, x), (min(step, d - first), h, w)), part


def _ids(path: str, block: Any) -> tuple[np.ndarray, np.ndarray]:
    """Ids of a block 1 D H W as D H W uint64, and where they are known."""
    values = block[0]
    if values.dtype.kind in "bu":
        return values.astype(np.uint64), np.ones(values.shape, bool)
    known = values >= 0  # false for NaN
    values = np.where(known, values, 0)
    if values.dtype.kind == "f" and (broken := ~np.isfinite(values) | (values != np.floor(values))).any():
        raise ValueError(
            f"{path} holds {values[broken][0]}; expected classes or instance ids, which are whole numbers of at least 0"
        )
    return values.astype(np.uint64), known


def _numbers(box: Box, shape: Sequence[int]) -> np.ndarray:
    """A number for each voxel of a box, D H W uint64: its place in the whole array."""
    z, y, x = (np.arange(start, start + n, dtype=np.uint64) for start, n in zip(*box, strict=True))
    return (z[:, None, None] * np.uint64(shape[1]) + y[:, None]) * np.uint64(shape[2]) + x


def _in_turn(reservoirs: dict[int, ClassReservoir], shape: Sequence[int], k: int) -> list[Point]:
    rows: list[list[Point]] = []
    for c, reservoir in reservoirs.items():
        voxels, instances = reservoir.first()
        places = np.stack(np.unravel_index(voxels.astype(np.int64), tuple(shape)), axis=1)
        found = zip(places.tolist(), instances.tolist(), strict=True)
        rows.append([Point(z, y, x, c, instance) for (z, y, x), instance in found])
    return [rows[n % len(rows)][n // len(rows)] for n in range(k)]
