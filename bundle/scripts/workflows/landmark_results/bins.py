"""Bins of uncertainty, fitted for each method on one set of images and applied to others."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ...landmarks import QuantileBins, fit_quantile_bins
from .case import Floats, LandmarkCase, common_unit

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MethodBins:
    """Bins of each method.

    Args:
        unit: of the error bounds; `None`: voxels.
        methods: bins by method.
    """

    unit: str | None
    methods: Mapping[str, QuantileBins]

    def errors(self, case: LandmarkCase, method: str) -> Floats:
        """Errors of a method in what the bounds are measured in, N."""
        return case.errors(method, in_unit=self.unit is not None)


def fit_bins(cases: Sequence[LandmarkCase], n_bins: int = 5) -> MethodBins:
    """Fit bins for each method on a validation set.

    A method with fewer known errors and uncertainties than bins has none, which the log says.

    Args:
        cases: images, errors of which are physical where a unit is known.
        n_bins: number of bins.

    Raises:
        ValueError: for fewer than 2 bins.
    """
    unit = common_unit(cases)
    fitted: dict[str, QuantileBins] = {}
    bins = MethodBins(unit, fitted)
    for method in cases[0].found:
        uncertainty = np.stack([case.uncertainty(method) for case in cases])
        errors = np.stack([bins.errors(case, method) for case in cases])
        known = int((np.isfinite(uncertainty) & np.isfinite(errors)).sum())
        if n_bins >= 2 and known < n_bins:
            logger.warning("no bins of '%s': %d landmarks of known error for %d bins", method, known, n_bins)
        else:
            fitted[method] = fit_quantile_bins(uncertainty, errors, n_bins)
    return bins


def write_bins(path: str | Path, bins: MethodBins) -> None:
    """Write bins as JSON."""
    content = {"unit": bins.unit, "methods": {name: asdict(each) for name, each in bins.methods.items()}}
    Path(path).write_text(json.dumps(content, indent=2) + "\n")


def read_bins(path: str | Path) -> MethodBins:
    """Read what `write_bins` wrote.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: for a file that holds something else.
    """
    try:
        content = json.loads(Path(path).read_text())
        methods = {
            name: QuantileBins(tuple(each["thresholds"]), tuple(each["error_bounds"]))
            for name, each in content["methods"].items()
        }
        return MethodBins(content["unit"], methods)
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path}: expected the bins.json that a validation with fit_bins writes; {type(error).__name__} {error}"
        ) from error


def check_bins(bins: MethodBins, case: LandmarkCase) -> None:
    """Check that bins fit an image.

    Raises:
        ValueError: where none of its methods has bins, and for bounds in another unit than it has.
    """
    if not set(case.found) & set(bins.methods):
        raise ValueError(
            f"image '{case.name}' has points by {', '.join(case.found)}, but bins were fitted for "
            f"{', '.join(bins.methods) or 'no method'}; fit them on a validation with the same methods"
        )
    if bins.unit not in (None, case.unit):
        raise ValueError(
            f"image '{case.name}' is measured in {case.unit or 'voxels'}, but the bins' bounds are in {bins.unit}; fit "
            "the bins on images of the same unit"
        )
