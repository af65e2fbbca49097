"""What was predicted for the landmarks of one image, beside the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...landmarks import scale_points
from ...metrics import radial_errors

Floats = NDArray[np.float64]

Triplet = tuple[int, int, int]

CONFIDENCES = ("smha", "emha")
"""Methods whose number is an activation: the higher, the surer. Of all others larger is less sure."""


@dataclass(frozen=True, eq=False)
class LandmarkCase:
    """One image: where its N landmarks are, and where they were found.

    All points are z, y, x in voxels of one grid: that of the image as stored, or of what the network got. A picture in
    2D is one slice, whose z is 0.

    Args:
        name: of the image; each one of a set has its own.
        path: of the image.
        shape: voxels of the image as stored, z y x.
        grid_shape: voxels of the grid in which all points are.
        input_shape: voxels of what the network got.
        spacing: physical size of a voxel of that grid along z, y, x.
        unit: of the spacing; `None`: not known, and nothing is given in physical lengths.
        landmarks: names.
        truth: N 3, NaN is missing; `None`: the image is not annotated.
        found: points N 3 (NaN: not found) and their uncertainty N by method. The first method's are the prediction
            proper. Numbers of `CONFIDENCES` are activations, those of other methods grow with the uncertainty.
        members: points N 3 of each member of an ensemble, by name.
        columns: further numbers, N each, by name.
        extra: what else is known of the image.
        translation: position of the grid's voxel 0 along z, y, x.

    Raises:
        ValueError: for arrays that do not fit the landmarks, and without any method.
    """

    name: str
    path: str
    shape: Triplet
    grid_shape: Triplet
    input_shape: Triplet
    spacing: tuple[float, float, float]
    unit: str | None
    landmarks: Sequence[str]
    truth: Floats | None
    found: Mapping[str, tuple[Floats, Floats]]
    members: Mapping[str, Floats] = field(default_factory=dict)
    columns: Mapping[str, Floats] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    translation: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if not self.found:
            raise ValueError(f"image '{self.name}': expected points of at least one method; got none")
        points = {"truth": self.truth} if self.truth is not None else {}
        points |= {f"points of method '{method}'": places for method, (places, _) in self.found.items()}
        points |= {f"points of member '{member}'": places for member, places in self.members.items()}
        numbers = {f"uncertainty of method '{method}'": values for method, (_, values) in self.found.items()}
        numbers |= {f"column '{column}'": values for column, values in self.columns.items()}
        count = len(self.landmarks)
        for arrays, wanted in ((points, [count, 3]), (numbers, [count])):
            for what, array in arrays.items():
                if list(np.shape(array)) != wanted:
                    raise ValueError(
                        f"image '{self.name}': {what} must have shape {wanted} for {count} landmarks; got "
                        f"{list(np.shape(array))}"
                    )

    @property
    def method(self) -> str:
        """Whose points are the prediction proper."""
        return next(iter(self.found))

    @property
    def prediction(self) -> Floats:
        """Predicted points, N 3."""
        return self.found[self.method][0]

    @property
    def is_annotated(self) -> bool:
        """Whether the place of any landmark is known."""
        return self.truth is not None and bool(np.isfinite(self.truth).all(axis=1).any())

    def errors(self, method: str | None = None, *, in_unit: bool = False) -> Floats:
        """Distance of each landmark of a method from the truth, N.

        NaN where the truth is missing, infinite where a known landmark was not found.

        Args:
            method: one of `found`; default: the first.
            in_unit: in the unit of the spacing, NaN where it is not known; otherwise in voxels.
        """
        if self.truth is None or (in_unit and self.unit is None):
            return np.full(len(self.landmarks), np.nan)
        points, _ = self.found[method or self.method]
        found, true = (torch.from_numpy(np.asarray(values, np.float64))[None] for values in (points, self.truth))
        return radial_errors(found, true, self.spacing if in_unit else None)[0].numpy()  # 1 N -> N

    def overall_error(self) -> float:
        """Mean error of the prediction in voxels, infinite where a landmark was not found, NaN without truth."""
        errors = self.errors()
        known = errors[~np.isnan(errors)]
        return float(known.mean()) if len(known) else float("nan")

    def uncertainty(self, method: str) -> Floats:
        """How unsure a method is of each landmark, N; larger is less sure: activations have their sign changed."""
        values = np.asarray(self.found[method][1], np.float64)
        return -values if method in CONFIDENCES else values

    def physical(self, points: Floats) -> Floats:
        """Positions of points, N 3, in the unit of the spacing."""
        return np.asarray(points) * self.spacing + np.array(self.translation)

    def rescaled(self, points: Floats, shape: Sequence[int]) -> Floats:
        """Points, N 3, in a grid of other voxels over the same image."""
        return scale_points(torch.from_numpy(np.asarray(points, np.float64)), self.grid_shape, shape).numpy()


def check_alike(case: LandmarkCase, first: LandmarkCase, *, in_summary: bool = False) -> None:
    """Check that two images can stand in one table.

    Args:
        case: an image.
        first: another one, with which it is compared.
        in_summary: whether that is a table of scores, where members of ensembles and further columns do not occur.

    Raises:
        ValueError: that names the image whose landmarks, methods, members or columns are not those of the first, and
            one whose unit is another.
    """
    if len(case.landmarks) != len(first.landmarks):
        raise ValueError(
            f"image '{case.name}' has {len(case.landmarks)} landmarks, but '{first.name}' has {len(first.landmarks)}; "
            "all images of one table need the same ones"
        )
    for what in ("landmarks", "found", *(() if in_summary else ("members", "columns"))):
        own, others = list(getattr(case, what)), list(getattr(first, what))
        if own != others:
            what = "methods" if what == "found" else what
            raise ValueError(
                f"image '{case.name}' has the {what} {own}, but '{first.name}' has {others}; all images of one table "
                "need the same ones"
            )
    if None not in (case.unit, first.unit) and case.unit != first.unit:
        raise ValueError(
            f"image '{case.name}' is measured in {case.unit}, but '{first.name}' in {first.unit}; give both one unit"
        )


def common_unit(cases: Sequence[LandmarkCase]) -> str | None:
    """The unit of all images that have one; `None` where none has."""
    return next((case.unit for case in cases if case.unit is not None), None)
