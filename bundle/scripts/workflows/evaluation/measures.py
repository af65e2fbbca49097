"""Names of what `evaluate` measures, the kinds of predictions that they fit, and the numbers that they give."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...geometry import did_you_mean

INSTANCE, SEMANTIC, CLASSES = "instance", "semantic", "classes"
LABELS = (INSTANCE, SEMANTIC, CLASSES)
NUMBERS = ("scalar", "vector", "normal")
KINDS = (*LABELS, *NUMBERS)
"""How values are read: ids of objects, a mask (or its probability), a class per voxel, numbers."""


@dataclass(frozen=True)
class Column:
    """One number of a measure.

    Args:
        name: without the number behind `@`.
        meaning: what it says.
        lower_is_better: such as an error.
        is_share: whether it lies between 0 and 1.
        is_shown: in the summary; files hold all columns.
    """

    name: str
    meaning: str
    lower_is_better: bool = False
    is_share: bool = True
    is_shown: bool = True


@dataclass(frozen=True)
class _Entry:
    kinds: tuple[str, ...]
    columns: tuple[Column, ...]
    number: str = ""  # what a number behind the name means, where it takes one
    largest: float = math.inf
    default: float | None = None  # number where none is given
    needs_whole: bool = False  # a block does not know what lies beyond its border


_IOU_THRESHOLD = "the least IoU of a pair, above 0 and at most 1"

_TABLE = {
    "dice": _Entry(LABELS, (Column("dice", "Overlap of the foregrounds: 2 TP / (2 TP + FP + FN) of voxels."),)),
    "iou": _Entry(LABELS, (Column("iou", "Overlap of the foregrounds: TP / (TP + FP + FN) of voxels."),)),
    "voi": _Entry(
        (INSTANCE,),
        (
            Column(
                "voi",
                "Variation of information in bits, split + merge; true background does not count.",
                True,
                is_share=False,
            ),
            Column("voi_split", "Part of it that grows where true objects are cut into pieces.", True, is_share=False),
            Column(
                "voi_merge",
                "Part of it that grows where one segment covers several true objects.",
                True,
                is_share=False,
            ),
        ),
    ),
    "rand": _Entry(
        (INSTANCE,),
        (
            Column("rand_error", "Adapted Rand error: 1 - F1 of pairs of voxels in one object.", True),
            Column("rand_precision", "Share of the pairs joined by a segment that belong together.", is_shown=False),
            Column("rand_recall", "Share of the pairs of a true object that a segment joins.", is_shown=False),
        ),
    ),
    "f1": _Entry(
        (INSTANCE,),
        (
            Column("f1", "Objects matched one to one at this IoU: 2 TP / (2 TP + FP + FN)."),
            Column("precision", "Share of the predicted objects that are matched.", is_shown=False),
            Column("recall", "Share of the true objects that are matched.", is_shown=False),
        ),
        number=_IOU_THRESHOLD,
        largest=1,
        default=0.5,
    ),
    "pq": _Entry(
        (INSTANCE,),
        (
            Column("pq", "Panoptic quality: F1 of objects matched at this IoU x mean IoU of the pairs."),
            Column("sq", "Mean IoU of the matched pairs.", is_shown=False),
        ),
        number=_IOU_THRESHOLD,
        largest=1,
        default=0.5,
    ),
    "ap": _Entry(
        (INSTANCE,),
        (
            Column(
                "ap", "TP / (TP + FP + FN) of objects matched at this IoU; without one: mean over 0.5, 0.55 ... 0.95."
            ),
        ),
        number=_IOU_THRESHOLD,
        largest=1,
    ),
    "assd": _Entry(
        LABELS,
        (
            Column(
                "assd", "Average distance of the surfaces in both directions, physical length.", True, is_share=False
            ),
        ),
        needs_whole=True,
    ),
    "hausdorff95": _Entry(
        LABELS,
        (
            Column(
                "hausdorff95",
                "95th percentile of the distances of the surfaces, physical length.",
                True,
                is_share=False,
            ),
        ),
        needs_whole=True,
    ),
    "surface_dice": _Entry(
        LABELS,
        (Column("surface_dice", "Share of both surfaces within this distance of the other one (default: a voxel)."),),
        number="the tolerance, a length of at least 0 in the unit of the spacing",
        needs_whole=True,
    ),
    "ece": _Entry(
        (SEMANTIC, CLASSES),
        (Column("ece", "Expected calibration error: how far probabilities are from being right as often.", True),),
    ),
    "mae": _Entry(NUMBERS, (Column("mae", "Mean absolute error, in the unit of the truth.", True, is_share=False),)),
    "r2": _Entry(
        NUMBERS, (Column("r2", "Share of the variance of the truth that the prediction explains.", is_share=False),)
    ),
    "epe": _Entry(("vector", "normal"), (Column("epe", "Mean length of the error of vectors.", True, is_share=False),)),
    "angle": _Entry(
        ("vector", "normal"), (Column("angle", "Median angle to the truth, degrees.", True, is_share=False),)
    ),
    "cellmap": _Entry(
        (INSTANCE, SEMANTIC),
        (
            Column("cellmap", "Score of the CellMap challenge: root of F1 x Hausdorff score of objects, IoU of masks."),
            Column("cellmap_f1", "F1 of objects matched without threshold.", is_shown=False),
            Column("cellmap_hausdorff", "Mean of 1.01^(-Hausdorff distance / diagonal of a voxel).", is_shown=False),
        ),
        needs_whole=True,
    ),
}

MEASURE_NAMES = tuple(_TABLE)
"""Names that `metrics` may hold; `f1@0.75`, `pq@0.75`, `ap@0.5` and `surface_dice@40` give a number to theirs."""

_BY_KIND = {
    INSTANCE: ("voi", "rand", "f1", "pq"),
    SEMANTIC: ("dice", "iou"),
    CLASSES: ("dice", "iou"),
    "scalar": ("mae", "r2"),
    "vector": ("epe",),
    "normal": ("angle",),
}

_ELSEWHERE = {"surface_distance": "assd"}  # as `targets` call it


@dataclass(frozen=True)
class Measure:
    """What is asked for by one name, such as `f1@0.75`.

    Args:
        base: name before the `@`.
        number: behind the `@`, or the default; `None` where there is none.
    """

    base: str
    number: float | None = None

    @property
    def name(self) -> str:
        return self.label(self.base)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of predictions that it fits."""
        return _TABLE[self.base].kinds

    @property
    def columns(self) -> dict[str, Column]:
        """Its numbers by name, with the number behind `@`."""
        return {self.label(column.name): column for column in _TABLE[self.base].columns}

    @property
    def needs_whole(self) -> bool:
        """Whether it must see a whole crop at once."""
        return _TABLE[self.base].needs_whole

    def label(self, column: str) -> str:
        """Name of one of its numbers."""
        return column if self.number is None else f"{column}@{self.number:g}"


def parse_measures(names: Iterable[str]) -> list[Measure]:
    """Measures by their names, each once, in the given order.

    Raises:
        ValueError: for no name, a name that does not exist, or a number that does not belong there; all faults at once.
    """
    measures: dict[Measure, None] = {}
    faults = []
    for name in names:
        base, at, number = str(name).partition("@")
        base = _ELSEWHERE.get(base, base)
        entry = _TABLE.get(base)
        if entry is None:
            faults.append(
                f"unknown metric '{name}'{did_you_mean(base, _TABLE)}; metrics are: {', '.join(MEASURE_NAMES)}"
            )
        elif at and not entry.number:
            faults.append(f"metric '{name}': '{base}' takes no number behind '@'")
        elif at and not _fits(number, entry):
            faults.append(f"metric '{name}': expected {entry.number} behind '@', got '{number}'")
        else:
            measures[Measure(base, float(number) if at else entry.default)] = None
    if faults:
        raise ValueError("\n".join(faults))
    if not measures:
        raise ValueError(f"metrics: got none; expected some of {', '.join(MEASURE_NAMES)}")
    return list(measures)


def default_measures(kinds: Iterable[str]) -> list[Measure]:
    """What is measured where nobody says what: a few numbers for each kind that occurs."""
    return parse_measures(dict.fromkeys(name for kind in kinds for name in _BY_KIND[kind]))


def measures_of(kind: str, measures: Sequence[Measure]) -> list[Measure]:
    """Those that fit a kind."""
    return [measure for measure in measures if kind in measure.kinds]


def column_table(measures: Sequence[Measure]) -> dict[str, Column]:
    """All columns of some measures by name, in order."""
    return {name: column for measure in measures for name, column in measure.columns.items()}


def _fits(number: str, entry: _Entry) -> bool:
    try:
        value = float(number)
    except ValueError:
        return False
    return math.isfinite(value) and value <= entry.largest and (value > 0 or (value == 0 and entry.largest == math.inf))
