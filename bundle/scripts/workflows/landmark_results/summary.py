"""Scores of landmarks over a set of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ...landmarks import QuantileBins, uncertainty_correlation
from ...metrics import MeanRadialError
from .bins import MethodBins
from .case import Floats, LandmarkCase, common_unit

ALL = "all"
"""Name of the row over all landmarks, the first."""

LANDMARK = "landmark"
ANNOTATED = "annotated"

Row = dict[str, Any]


def summary_rows(
    cases: Sequence[LandmarkCase],
    radii: Sequence[float] = (),
    radii_physical: Sequence[float] = (),
    bins: MethodBins | None = None,
) -> list[Row]:
    """Scores of each method: a row for all landmarks, then one for each.

    `annotated` counts the landmarks whose truth is known. Columns of a method begin with its name: `mre` (mean radial
    error), `mre_std` (divided by N), `mre_median`, `sdr@2` (share at most 2 away), `not_found` (of those annotated),
    and `spearman` (rank correlation of uncertainty with error). Errors are in voxels; columns that end in a unit are
    physical. With bins there are `bin0_count`, `bin0_mre` and `bin0_within` (share within the bounds), and so on; bin 0
    is the surest.

    Args:
        cases: images, at least one.
        radii: in voxels.
        radii_physical: in the unit of the images; without effect where none is known.
        bins: see `fit_bins`.

    Raises:
        ValueError: for a radius that is negative or no number.
    """
    rows: list[Row] = [{LANDMARK: name} for name in (ALL, *cases[0].landmarks)]
    unit = common_unit(cases)
    for row, errors in zip(rows, _parts([case.errors() for case in cases]), strict=True):
        row[ANNOTATED] = int((~np.isnan(errors)).sum())
    for method in cases[0].found:
        voxels = [case.errors(method) for case in cases]
        lengths = [case.errors(method, in_unit=True) for case in cases]
        _add_errors(rows, f"{method}_", voxels, radii, "")
        if unit is not None:
            _add_errors(rows, f"{method}_", lengths, radii_physical, unit)
        uncertainty = [case.uncertainty(method) for case in cases]
        ranked = lengths if unit is not None else voxels
        for row, *pair, own in zip(rows, _parts(uncertainty), _parts(ranked), _parts(voxels), strict=True):
            row[f"{method}_not_found"] = int(np.isinf(own).sum())
            row[f"{method}_spearman"] = uncertainty_correlation(*pair)
        if bins is not None and method in bins.methods:
            measured = [bins.errors(case, method) for case in cases]
            for row, *pair in zip(rows, _parts(uncertainty), _parts(measured), strict=True):
                row |= _bin_numbers(f"{method}_", bins.methods[method], *pair)
    return rows


def _parts(values: Sequence[Floats]) -> list[Floats]:
    """Numbers for each row, from N per image: all of them, then those of each landmark."""
    stacked = np.stack(values)  # images x landmarks
    return [stacked.ravel(), *stacked.T]


def _add_errors(rows: Sequence[Row], prefix: str, errors: Sequence[Floats], radii: Sequence[float], unit: str) -> None:
    metric = MeanRadialError(radii)
    distance = torch.from_numpy(np.stack(errors))[..., None]  # B N -> B N 1: points on a line, whose truth is at 0
    metric.update(distance, torch.where(distance.isnan(), torch.nan, 0.0))
    ending = f"_{unit}" if unit else ""
    for row, numbers, part in zip(rows, [metric.compute(), *metric.per_landmark()], _parts(errors), strict=True):
        found = part[np.isfinite(part)]
        row[f"{prefix}mre{ending}"] = numbers["mre"]
        row[f"{prefix}mre_std{ending}"] = numbers["mre_std"]
        row[f"{prefix}mre_median{ending}"] = float(np.median(found)) if len(found) else float("nan")
        row |= {f"{prefix}sdr@{radius:g}{unit}": numbers[f"sdr@{radius:g}"] for radius in metric.radii}


def _bin_numbers(prefix: str, bins: QuantileBins, uncertainty: Floats, errors: Floats) -> Row:
    numbers: Row = {}
    bin_of = np.where(np.isfinite(errors), bins.assign(uncertainty), -1)
    for number, share in enumerate(bins.accuracy(uncertainty, errors)):
        own = errors[bin_of == number]
        numbers[f"{prefix}bin{number}_count"] = len(own)
        numbers[f"{prefix}bin{number}_mre"] = float(own.mean()) if len(own) else float("nan")
        numbers[f"{prefix}bin{number}_within"] = share
    return numbers
