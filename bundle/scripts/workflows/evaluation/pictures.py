"""Slices where predictions are worst: image, truth, prediction and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...geometry import Kind, Target
from ...viewers import PictureSection, grey, overlay, target_colours, value_limits
from ...viewers.colours import UNKNOWN_COLOUR
from ...viewers.score_report_objects import object_colours
from .job import block_box, block_step
from .measures import CLASSES, INSTANCE, LABELS
from .open import OpenCase, Triplet
from .partners import FALSE, MISSED, OTHER, RIGHT, UNKNOWN, disagreement, partner_of, partners, wrong_voxels
from .tally import Tally, foreground_counts

WINDOW = 192
"""Most voxels of a picture along each axis."""

Window = tuple[Triplet, Triplet]
"""First voxel and size of a part of a slice."""

_FOREGROUND = (240, 140, 0)

_COLOURS: dict[int, tuple[tuple[int, int, int], str]] = {
    RIGHT: ((120, 160, 120), "right"),
    MISSED: ((230, 159, 0), "missed"),
    FALSE: ((86, 180, 233), "predicted where there is nothing"),
    OTHER: ((214, 40, 140), "another object or class"),
    UNKNOWN: (UNKNOWN_COLOUR, "unknown truth"),
}


@dataclass(frozen=True)
class _Place:
    """A block of a prediction in which much is wrong."""

    case: int
    prediction: int
    rank: int  # among the blocks of this prediction
    badness: float  # of the whole case


def worst_pictures(
    cases: Sequence[OpenCase], tallies: Sequence[Sequence[Tally]], names: Sequence[str], count: int, block_voxels: int
) -> list[PictureSection]:
    """Slices of the worst cases, at most `count` of them.

    The worst cases have most wrong voxels for their foreground, of numbers the largest mean error. Of each the slice
    with most errors is shown, in the block with most errors. The worst case of every class and prediction comes before
    the second one of any; where there are fewer cases, more blocks of them are shown.
    """
    places = [
        _Place(number, n, rank, _badness(opened, tally))
        for number, opened in enumerate(cases)
        for n, tally in enumerate(tallies[number])
        for rank in range(len(tally.worst) if opened.predictions[n] is not None else 0)
    ]
    groups: dict[tuple[str, int], list[_Place]] = {}
    for place in sorted(places, key=lambda place: (place.rank, -place.badness)):
        groups.setdefault((cases[place.case].case.label, place.prediction), []).append(place)
    turns = [(turn, -place.badness, place) for group in groups.values() for turn, place in enumerate(group)]
    sections: list[PictureSection] = []
    shown: list[tuple[int, int, Triplet]] = []
    for _, _, place in sorted(turns, key=lambda item: item[:2]):
        if len(sections) >= count:
            break
        opened, tally = cases[place.case], tallies[place.case][place.prediction]
        window = _worst_window(opened, place.prediction, tally, tally.worst[place.rank][1], block_voxels)
        if not any(_is_near(window, other) for *same, other in shown if same == [place.case, place.prediction]):
            shown.append((place.case, place.prediction, window[0]))
            has_legend = opened.kind in LABELS and not any(section.legend for section in sections)  # one for all
            sections.append(_section(opened, tally, place, names, window, has_legend))
    return sections


def _badness(opened: OpenCase, tally: Tally) -> float:
    if opened.kind not in LABELS:
        return sum(error for error, _ in tally.worst) / max(tally.voxels, 1)
    counts = foreground_counts(tally.table)
    voxels = counts.true_positives + counts.false_positives + counts.false_negatives
    return wrong_voxels(tally.table, opened.kind) / max(voxels, 1)


def _section(
    opened: OpenCase, tally: Tally, place: _Place, names: Sequence[str], window: Window, has_legend: bool
) -> PictureSection:
    start, size = window
    error = tally.worst[place.rank][0]
    pictures = _pictures(opened, place.prediction, tally, start, size)
    title = opened.case.title + (f", {names[place.prediction]}" if len(names) > 1 else "")
    what = f"wrong voxels: {error:,.0f}" if opened.kind in LABELS else f"errors add up to {error:.4g}"
    caption = f"Slice z = {start[0]}, y from {start[1]}, x from {start[2]}. In its block, {what}."
    legend = list(_COLOURS.values()) if has_legend else []
    return PictureSection(title, caption, pictures, columns=len(pictures), legend=legend)


def _worst_window(opened: OpenCase, n: int, tally: Tally, first: Triplet, block_voxels: int) -> Window:
    """A part of a slice, around the errors of the slice of a block with most of them.

    Args:
        opened: the case.
        n: the prediction.
        tally: of the prediction.
        first: of the block's voxels.
        block_voxels: as they were when the blocks were counted.
    """
    step = block_step(opened, block_voxels)
    z, y, x = (low // extent * extent for low, extent in zip(first, step, strict=True))
    start, size = block_box(opened, (z, y, x), block_voxels)
    errors = _errors(opened, n, tally, start, size)
    worst = int(errors.sum(axis=(1, 2)).argmax())
    window, extents = [start[0] + worst], [1]
    for axis in (1, 2):
        weights = errors[worst].sum(axis=2 - axis)
        centre = start[axis] + int(np.searchsorted(weights.cumsum(), weights.sum() / 2))
        extent = min(WINDOW, opened.size[axis])
        last = opened.low[axis] + opened.size[axis] - extent
        window.append(min(max(centre - extent // 2, opened.low[axis]), last))
        extents.append(extent)
    return (window[0], window[1], window[2]), (extents[0], extents[1], extents[2])


def _is_near(window: Window, start: Triplet) -> bool:
    """Whether a window would show mostly what another one shows that starts there."""
    return window[0][0] == start[0] and all(
        abs(a - b) < n / 2 for a, b, n in zip(window[0][1:], start[1:], window[1][1:], strict=True)
    )


def _errors(opened: OpenCase, n: int, tally: Tally, start: Triplet, size: Triplet) -> NDArray[np.float64]:
    """How wrong each voxel is, D H W."""
    values = opened.predicted_values(n, start, size)
    if opened.kind not in LABELS:
        return np.nan_to_num(np.linalg.norm(values - opened.true_numbers(start, size), axis=0)).astype(float)
    truth, known = opened.true_labels(start, size)
    codes = disagreement(opened.labels_of(n, values), truth, known, opened.kind, tally.table)
    return np.isin(codes, (MISSED, FALSE, OTHER)).astype(float)


def _pictures(
    opened: OpenCase, n: int, tally: Tally, start: Triplet, size: Triplet
) -> list[tuple[str, NDArray[np.uint8]]]:
    image = None
    if opened.image is not None:
        image = grey(opened.image.decode(opened.image.read(start, size, channels=[0]))[0, 0])  # 1 1 H W -> H W
    values = opened.predicted_values(n, start, size)
    shown = _numbers(opened, values, start, size) if opened.kind not in LABELS else None
    if shown is None:
        truth, known = opened.true_labels(start, size)
        labels = opened.labels_of(n, values)
        codes = disagreement(labels, truth, known, opened.kind, tally.table)
        if opened.kind == INSTANCE:
            named = partner_of(labels, partners(tally.table))
            labels = np.where(named != 0, named, ~labels.astype(np.uint64) * (labels != 0))  # partners look alike
        table = np.array([(0, 0, 0), *(colour for colour, _ in _COLOURS.values())], np.uint8)
        shown = [
            ("truth", _labels(truth[0], image, opened.kind)),
            ("prediction", _labels(labels[0], image, opened.kind)),
            ("disagreement", table[codes[0]]),
        ]
    return ([("image", image)] if image is not None else []) + shown


def _labels(labels: NDArray[Any], image: NDArray[np.uint8] | None, kind: str) -> NDArray[np.uint8]:
    if kind in (INSTANCE, CLASSES):
        return object_colours(labels, image)
    background = np.zeros((*labels.shape, 3), np.uint8) if image is None else image
    return overlay(background, labels != 0, _FOREGROUND)


def _numbers(
    opened: OpenCase, values: NDArray[Any], start: Triplet, size: Triplet
) -> list[tuple[str, NDArray[np.uint8]]]:
    truth = opened.true_numbers(start, size)
    target = Target("", len(truth), Kind(opened.kind))
    limits = value_limits(truth, values)
    error = np.linalg.norm(values - truth, axis=0)[None]  # C D H W -> 1 D H W
    return [
        ("truth", target_colours(truth, target, limits)[0]),
        ("prediction", target_colours(values, target, limits)[0]),
        ("error", target_colours(error, Target("", 1, Kind.SCALAR), (0.0, value_limits(error)[1]))[0]),
    ]
