"""Truth and predictions of a case, opened on the grid of the truth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...geometry import Kind
from ...volumes import ResampledVolume, Volume, open_resampled, open_volume, resampling_mode
from ...volumes.resample import place
from ...volumes.source import ArraySource, Box
from ..score import checked_box
from .cases import Case
from .kinds import check_values, checked_kind, holds_probabilities, kind_of
from .measures import CLASSES, INSTANCE, LABELS, SEMANTIC, Measure
from .submission import with_stated_grid

Triplet = tuple[int, int, int]


@dataclass(frozen=True)
class OpenCase:
    """A case whose volumes are open; cheap to send to another process.

    Args:
        case: what it is.
        kind: one of `KINDS`.
        truth: as stored.
        mask: on the grid of the truth; zeros mark unknown voxels.
        predictions: on the grid of the truth; `None` where there is none.
        low: first voxel that counts.
        size: voxels that count.
        ignore_label: value of the truth that stands for unknown, beside all negative ones.
        threshold: probability above which a voxel is foreground.
        resample: whether predictions are placed by their position in space.
        image: on the grid of the truth, for pictures.
    """

    case: Case
    kind: str
    truth: Volume
    mask: Volume | None
    predictions: tuple[Volume | None, ...]
    low: Triplet
    size: Triplet
    ignore_label: int | None = None
    threshold: float = 0.5
    resample: bool = True
    image: Volume | None = None

    def true_labels(self, start: Triplet, size: Triplet) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Labels D H W, 0 where they are unknown, and where they are known."""
        labels = self.truth.read(start, size)[0]  # 1 D H W -> D H W
        known = labels >= 0 if labels.dtype.kind == "i" else np.ones(labels.shape, bool)
        if self.ignore_label is not None:
            known &= labels != self.ignore_label
        if self.mask is not None:
            known &= self.mask.read(start, size)[0] != 0
        labels = np.where(known, labels, labels.dtype.type(0))
        return (labels != 0 if self.kind == SEMANTIC else labels), known

    def true_numbers(self, start: Triplet, size: Triplet) -> NDArray[np.float32]:
        """Values C D H W, NaN where they are unknown; a zero vector is no normal."""
        values = self.truth.decode(self.truth.read(start, size))
        if self.kind == Kind.NORMAL:
            values[:, ~values.any(axis=0)] = np.nan
        if self.mask is not None:
            values[:, self.mask.read(start, size)[0] == 0] = np.nan
        return values

    def predicted_values(self, n: int, start: Triplet, size: Triplet) -> NDArray[Any]:
        """Of prediction `n`, C D H W: probabilities and numbers as float32, ids and masks as stored; 0 without one."""
        volume = self.predictions[n]
        if volume is None:
            return np.zeros((1, *size), np.uint8)
        block = volume.read(self._start_in(volume, start), size)
        return volume.decode(block) if self.kind not in LABELS or self.has_probabilities(n) else block

    def labels_of(self, n: int, values: NDArray[Any]) -> NDArray[Any]:
        """Labels D H W of what `predicted_values` gives."""
        if self.kind == SEMANTIC:
            return values[0] > (self.threshold if self.has_probabilities(n) else 0.5)
        if self.kind == CLASSES and self.has_probabilities(n):
            return values.argmax(axis=0)  # C D H W -> D H W
        return values[0]

    def has_probabilities(self, n: int) -> bool:
        """Whether prediction `n` says how sure it is."""
        volume = self.predictions[n]
        return volume is not None and holds_probabilities(volume)

    def covered(self, n: int) -> float:
        """Share of the voxels that prediction `n` covers; the others count as background."""
        volume = self.predictions[n]
        if volume is None:
            return 0.0
        pads = volume.padding(self._start_in(volume, self.low), self.size)
        return math.prod(max(0, extent - sum(pad)) / extent for extent, pad in zip(self.size, pads, strict=True))

    def _start_in(self, volume: Volume, start: Triplet) -> Triplet:
        """Where a voxel of the truth is in a prediction; of another shape are only those laid middle on middle."""
        z, y, x = (
            at - middle_offset(extent, wanted)
            for at, extent, wanted in zip(start, volume.spatial_shape, self.truth.spatial_shape, strict=True)
        )
        return z, y, x


@dataclass(frozen=True)
class ReadOptions:
    """How cases are opened.

    Args:
        kind: one of `KINDS`, or `auto`.
        measures: what is asked for; `None`: nothing in particular.
        resample: whether predictions are placed on the grid of the truth; otherwise shapes must be equal.
        spacing: voxel size z, y, x that picks a level of the truth, or is the one of a truth that states none.
        region: part of the truth that counts.
        ignore_label: value of the truth that stands for unknown.
        threshold: probability above which a voxel is foreground.
    """

    kind: str = "auto"
    measures: Sequence[Measure] | None = None
    resample: bool = True
    spacing: Sequence[float] | None = None
    region: tuple[Sequence[int], Sequence[int]] | None = None
    ignore_label: int | None = None
    threshold: float = 0.5


def open_cases(cases: Sequence[Case], options: ReadOptions) -> list[OpenCase]:
    """Open all cases; no voxel is read.

    Raises:
        FileNotFoundError: where a path does not exist.
        TypeError: for ids that are floats.
        ValueError: for volumes that do not fit, or have no voxel in common. Faults of several cases are listed at once.
    """
    opened, faults = [], []
    for case in cases:
        try:
            opened.append(_open(case, options))
        except (OSError, TypeError, ValueError) as error:
            faults.append(error)
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise ValueError("\n".join(map(str, faults)))
    return opened


def _open(case: Case, options: ReadOptions) -> OpenCase:
    truth = open_volume(case.truth, spacing=options.spacing)
    stored = [None if path is None else _as_stored(path) for path in case.predictions]
    kind = kind_of(
        options.kind if case.kind is None else checked_kind(case.kind), case.label, truth, stored, options.measures
    )
    check_values(kind, truth, stored)
    whole = (0, 0, 0), truth.spatial_shape
    low, size = checked_box(case.region or options.region or whole, truth)
    by_challenge = options.measures is not None and all(measure.base == "cellmap" for measure in options.measures)
    predictions = [
        None if volume is None or given is None else _placed(given, volume, truth, kind, options.resample, by_challenge)
        for given, volume in zip(case.predictions, stored, strict=True)
    ]
    mask = None if case.mask is None else _placed(case.mask, open_volume(case.mask), truth, INSTANCE)
    image = None if case.image is None else _placed(case.image, open_volume(case.image), truth, Kind.SCALAR)
    opened = OpenCase(
        case, kind, truth, mask, tuple(predictions), _triplet(low), _triplet(size), options.ignore_label,
        options.threshold, options.resample, image,
    )  # fmt: skip
    _check_covered(opened)
    return opened


def middle_offset(extent: int, wanted: int) -> int:
    """First voxel of an array in a box around the same middle, as `to_truth_grid` lays it."""
    return (wanted - extent) // 2 if wanted > extent else -((extent - wanted) // 2)


def _as_stored(prediction: str | Volume) -> Volume:
    return prediction if isinstance(prediction, Volume) else with_stated_grid(open_volume(prediction))


def _placed(
    given: str | Volume, stored: Volume, truth: Volume, kind: str, resample: bool = True, by_challenge: bool = False
) -> Volume:
    """A volume on the grid of the truth."""
    have_grids = stored.states_geometry and truth.states_geometry
    if not resample or not have_grids:
        if stored.spatial_shape != truth.spatial_shape and not (resample and by_challenge):
            why = "one of them states no voxel size, by which it could be placed" if resample else "resample is off"
            raise ValueError(
                f"{stored.path} has shape {stored.spatial_shape}, the truth {truth.path} has {truth.spatial_shape} "
                f"(z y x), and {why}; give arrays of one shape, or convert them to OME-Zarr with 'python -m scripts "
                "convert IN OUT --spacing z,y,x'"
            )
        return stored
    is_mask = kind == SEMANTIC and not holds_probabilities(stored)
    if kind in LABELS:
        mode = "linear" if kind == SEMANTIC or holds_probabilities(stored) else "nearest"
    else:
        mode = resampling_mode(kind)
    if isinstance(given, Volume) or "voxel_size" in stored.attributes:
        volume = place(stored, truth, mode)
    else:
        volume = open_resampled(given, truth.spacing, mode, truth)  # of a pyramid, the level that fits
    return volume.with_source(_Mask) if is_mask and isinstance(volume, ResampledVolume) else volume


def _check_covered(opened: OpenCase) -> None:
    for n, volume in enumerate(opened.predictions):
        covered = opened.covered(n)
        if volume is not None and covered == 0:
            raise ValueError(
                f"{volume.path} has no voxel in the region from {list(opened.low)} of size {list(opened.size)} of the "
                f"truth {opened.truth.path}"
            )
        if opened.kind not in LABELS and covered < 1:
            raise ValueError(
                f"{opened.case.title}: a prediction covers {covered:.1%} of the truth {opened.truth.path}; numbers "
                "need a prediction for every voxel. Give a --region in which there is one"
            )


def _triplet(values: Sequence[int]) -> Triplet:
    z, y, x = (int(value) for value in values)
    return z, y, x


class _Mask(ArraySource):
    """A mask of whole numbers as 0 and 1, which can be interpolated."""

    def __init__(self, source: ArraySource) -> None:
        super().__init__(source.path)
        self.shape, self.dtype, self.chunks = source.shape, source.dtype, source.chunks
        self.fill_value, self.decoded = int(source.fill_value > 0), source.decoded
        self._source = source

    def open_handle(self) -> Any:
        return self._source.handle

    def read(self, selection: tuple[slice, ...]) -> np.ndarray:
        return (self._source.read(selection) > 0).astype(self.dtype)

    def stored_boxes(self, *, inside_shards: bool = False) -> list[Box]:
        return self._source.stored_boxes(inside_shards=inside_shards)

    def signature(self) -> Iterator[str]:
        return self._source.signature()
