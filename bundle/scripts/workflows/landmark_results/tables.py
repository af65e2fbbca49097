"""Rows of what was found: one per image and landmark, and one per image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .bins import MethodBins
from .case import Floats, LandmarkCase, common_unit
from .summary import ANNOTATED, LANDMARK, Row

ID = "id"


def landmark_rows(cases: Sequence[LandmarkCase], bins: MethodBins | None = None) -> list[Row]:
    """A row per image and landmark.

    `truth_z` ... and `predicted_z` ... are voxels of the case's grid; those that end in `_input` are of what the
    network got, those that end in a unit are positions. `error` is in voxels, `error_mm` physical. Each method has its
    points, errors and, in the column of its name, its number as given (an activation or an uncertainty); with bins, its
    bin (0: surest) and the least and greatest error that are expected there. Coordinates of an ensemble's members begin
    with `member_`. In 2D, z is 0.

    Args:
        cases: images, at least one.
        bins: see `fit_bins`.

    Raises:
        ValueError: for a further column that has the name of one of these.
    """
    unit = common_unit(cases)
    rows = []
    for case in cases:
        columns = _columns(case, unit, bins)
        taken = [name for name in case.columns if name in (ID, LANDMARK, *columns)]
        if taken:
            raise ValueError(
                f"image '{case.name}': the columns {taken} have names that the table gives to others; rename them"
            )
        columns |= case.columns
        for n, landmark in enumerate(case.landmarks):
            values = {name: float(column[n]) for name, column in columns.items()}
            rows.append({ID: case.name, LANDMARK: landmark} | values)
    return rows


def sample_rows(cases: Sequence[LandmarkCase]) -> list[Row]:
    """A row per image: its sizes z y x, the factor from the network's input to the image, and the prediction's errors.

    `mean_error` is over the landmarks that were found, and `not_found` counts the others, annotated or not. What else
    is known of the image follows; a name that is taken gets `extra_` before it.

    Args:
        cases: images, at least one.
    """
    unit = common_unit(cases)
    rows = []
    for case in cases:
        row: Row = {ID: case.name, "path": case.path}
        scale = [full / given for full, given in zip(case.shape, case.input_shape, strict=True)]
        for name, values in (("size", case.shape), ("input", case.input_shape), ("scale", scale)):
            row |= {f"{name}_{axis}": value for axis, value in zip("zyx", values, strict=True)}
        errors = case.errors()
        row[ANNOTATED] = int((~np.isnan(errors)).sum())
        row["mean_error"] = _mean(errors)
        if unit is not None:
            row[f"mean_error_{unit}"] = _mean(case.errors(in_unit=True))
        worst = int(np.nanargmax(errors)) if case.is_annotated else None
        row["worst_landmark"] = None if worst is None else case.landmarks[worst]
        row["worst_error"] = None if worst is None else float(errors[worst])
        row["not_found"] = int(np.isnan(case.prediction).any(axis=1).sum())
        rows.append(row)
    own = set(rows[0])
    for row, case in zip(rows, cases, strict=True):
        row |= {f"extra_{key}" if key in own else key: value for key, value in case.extra.items()}
    return rows


def _columns(case: LandmarkCase, unit: str | None, bins: MethodBins | None) -> dict[str, Floats]:
    """Columns of N numbers."""
    columns: dict[str, Floats] = {}
    missing = np.full((len(case.landmarks), 3), np.nan)
    for name, points in (("truth", missing if case.truth is None else case.truth), ("predicted", case.prediction)):
        columns |= _coordinates(name, points)
        columns |= _coordinates(name, case.rescaled(points, case.input_shape), "_input")
        if unit is not None:
            columns |= _coordinates(name, missing if case.unit is None else case.physical(points), f"_{unit}")
    columns |= _errors("", case, None, unit)
    for method, (points, number) in case.found.items():
        columns |= _coordinates(method, points) | _errors(f"{method}_", case, method, unit) | {method: number}
        if bins is not None and method in bins.methods:
            bin_of = bins.methods[method].assign(case.uncertainty(method))
            low, high = bins.methods[method].bounds(bin_of)
            known = np.where(bin_of < 0, np.nan, bin_of)
            columns |= {f"{method}_bin": known, f"{method}_bin_low": low, f"{method}_bin_high": high}
    for member, points in case.members.items():
        columns |= _coordinates(f"member_{member}", points)
    return columns


def _coordinates(name: str, points: Floats, suffix: str = "") -> dict[str, Floats]:
    return {f"{name}_{axis}{suffix}": points[:, n] for n, axis in enumerate("zyx")}


def _errors(prefix: str, case: LandmarkCase, method: str | None, unit: str | None) -> dict[str, Floats]:
    errors = {f"{prefix}error": case.errors(method)}
    return errors if unit is None else errors | {f"{prefix}error_{unit}": case.errors(method, in_unit=True)}


def _mean(errors: Floats) -> float:
    found = errors[np.isfinite(errors)]
    return float(found.mean()) if len(found) else float("nan")
