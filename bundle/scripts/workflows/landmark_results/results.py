"""Collect what was predicted for the images of a set, and write everything about it into a folder."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .bins import MethodBins, check_bins, fit_bins, read_bins, write_bins
from .case import LandmarkCase, check_alike, common_unit
from .charts import write_error_histogram, write_uncertainty_plot
from .markups import write_markups
from .pictures import write_case_picture
from .predictions import read_cases, write_cases
from .report import write_landmark_report
from .sheets import write_csv, write_xlsx
from .summary import Row, summary_rows
from .tables import landmark_rows, sample_rows

logger = logging.getLogger(__name__)

PREDICTIONS = "predictions.json"
BINS = "bins.json"

RADII = (2.0, 2.5, 3.0, 4.0)


class LandmarkResults:
    """Results of landmark predictions: tables, scores, bins of uncertainty, pictures and a report page.

    The folder gets `samples.csv`, `landmarks.csv` and `summary.csv`, the three as sheets of `results.xlsx` (with the
    package XlsxWriter), `predictions.json` (all that is in them), `markups/` (points for 3D Slicer), `pictures/`,
    `report.html`, and where anything is annotated `error_histogram.png` and `uncertainty.png`.

    Args:
        directory: the folder, made where it is missing. Pictures and markups of an earlier call are removed unless
            `append` is set.
        radii: of success detection rates, in voxels.
        radii_physical: of further ones, in the images' unit; where none states it they have no effect, which the log
            says.
        bins: `bins.json` of a validation, by which these images are binned.
        fit_bins: whether bins are fitted on these images and written as `bins.json`.
        n_bins: number of bins that are fitted.
        append: whether images of an earlier call stay, and these are added to them.
        n_pictures: most images of which a picture is made: half of them the worst ones, the others as good as most.

    Raises:
        ValueError: for `bins` beside `fit_bins`.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        radii: Sequence[float] = RADII,
        radii_physical: Sequence[float] = (),
        bins: str | Path | None = None,
        fit_bins: bool = False,
        n_bins: int = 5,
        append: bool = False,
        n_pictures: int = 8,
    ) -> None:
        if bins is not None and fit_bins:
            raise ValueError(f"bins are either read or fitted; got bins = {str(bins)!r} and fit_bins = True")
        self.directory = Path(directory)
        self.radii, self.radii_physical = list(map(float, radii)), list(map(float, radii_physical))
        self.bins = bins
        self.fit_bins = fit_bins
        self.n_bins = n_bins
        self.append = append
        self.n_pictures = n_pictures
        self._cases: dict[str, LandmarkCase] | None = None  # none: nothing was added so far
        self._errors: dict[str, float] = {}
        self._fitted: MethodBins | None = None
        self._files: dict[str, str] = {}
        self._pictures: dict[str, Path] = {}

    def add(self, case: LandmarkCase, image: NDArray | None = None) -> None:
        """Add one image.

        Args:
            case: what was found in it.
            image: D H W, for its picture, which is written at once; see `write_case_picture`.

        Raises:
            FileNotFoundError: for `bins` that do not exist.
            ValueError: for a name that another image has, landmarks, methods, members, columns or a unit that are not
                those of the images before, and bins that do not fit them.
        """
        if self._cases is None:
            self._cases = self._start()
        if case.name in self._cases:
            raise ValueError(
                f"image '{case.name}' of {case.path}: {self._cases[case.name].path} has the same id; each image needs "
                f"its own{', and append = True keeps those of earlier calls' if self.append else ''}"
            )
        check_alike(case, next(iter(self._cases.values()), case))
        if self._fitted is not None:
            check_bins(self._fitted, case)
        self._cases[case.name] = case
        self._errors[case.name] = case.overall_error()
        self._name_file(case.name)
        if image is not None:
            self._draw(case, image)

    def write(self) -> Row:
        """Write everything.

        Returns:
            the summary over all landmarks.

        Raises:
            ValueError: where no image was added.
        """
        if not self._cases:
            raise ValueError(f"{self.directory}: no image was added; expected at least one before results are written")
        cases = list(self._cases.values())
        if self.radii_physical and common_unit(cases) is None:
            logger.warning("radii_physical = %s have no effect: no image states a unit", self.radii_physical)
        bins = self._bins(cases) if self.fit_bins else self._fitted
        summary = summary_rows(cases, self.radii, self.radii_physical, bins)
        sheets = {"summary": summary, "samples": sample_rows(cases), "landmarks": landmark_rows(cases, bins)}
        for name, rows in sheets.items():
            write_csv(self.directory / f"{name}.csv", rows)
        write_xlsx(self.directory / "results.xlsx", sheets)
        radii = {"radii": self.radii, "radii_physical": self.radii_physical}
        write_cases(self.directory / PREDICTIONS, cases, radii)
        write_markups(self.directory / "markups", self._files, cases)
        annotated = [case for case in cases if case.is_annotated]
        if annotated:
            write_error_histogram(self.directory / "error_histogram.png", annotated)
            write_uncertainty_plot(self.directory / "uncertainty.png", annotated, bins)
        settings = [("folder", str(self.directory))] + ([("bins", str(self.bins))] if self.bins is not None else [])
        write_landmark_report(self.directory / "report.html", cases, summary, self._pictures, bins, settings)
        return summary[0]

    def _start(self) -> dict[str, LandmarkCase]:
        """The images of earlier calls."""
        if self.bins is not None:
            self._fitted = read_bins(self.bins)
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.append and (self.directory / PREDICTIONS).is_file():
            earlier, _ = read_cases(self.directory / PREDICTIONS)
            for case in earlier:
                self._errors[case.name] = case.overall_error()
                picture = self._picture(self._name_file(case.name))
                if picture.is_file():
                    self._pictures[case.name] = picture
            return {case.name: case for case in earlier}
        for pattern in ("pictures/*.png", "markups/*.mrk.json"):
            for stale in self.directory.glob(pattern):
                stale.unlink()
        return {}

    def _bins(self, cases: Sequence[LandmarkCase]) -> MethodBins | None:
        """Bins of these images; none, and no file of an earlier call, where no method has enough landmarks."""
        bins = fit_bins(cases, self.n_bins)
        if not bins.methods:
            (self.directory / BINS).unlink(missing_ok=True)
            return None
        write_bins(self.directory / BINS, bins)
        return bins

    def _draw(self, case: LandmarkCase, image: NDArray) -> None:
        kept = worth_showing(self._errors, [*self._pictures, case.name], self.n_pictures)
        if case.name not in kept:
            return
        for name in set(self._pictures) - kept:
            self._pictures.pop(name).unlink(missing_ok=True)
        self._pictures[case.name] = self._picture(self._files[case.name])
        write_case_picture(self._pictures[case.name], case, image)

    def _picture(self, file: str) -> Path:
        return self.directory / "pictures" / f"{file}.png"

    def _name_file(self, name: str) -> str:
        """A name for files of an image, whatever characters its id has."""
        plain = re.sub(r"[^\w.-]+", "_", name) or "_"
        taken = set(self._files.values())
        file, n = plain, 1
        while file in taken:
            n += 1
            file = f"{plain}_{n}"
        self._files[name] = file
        return file


def worth_showing(errors: dict[str, float], candidates: Sequence[str], count: int) -> set[str]:
    """Names of the images to show: half of them the worst ones, then those whose error is nearest to the median.

    Args:
        errors: of all images so far; NaN: not known.
        candidates: images of which there can be a picture, in order; of those without error the first are shown.
        count: most of them.
    """
    known = sorted((name for name in candidates if not np.isnan(errors[name])), key=lambda name: -errors[name])
    chosen = known[: (count + 1) // 2]
    values = [value for value in errors.values() if not np.isnan(value)]
    median = float(np.sort(values)[len(values) // 2]) if values else 0.0  # of two the greater, which may be infinite
    near = sorted(known[len(chosen) :], key=lambda name: 0.0 if errors[name] == median else abs(errors[name] - median))
    unknown = [name for name in candidates if np.isnan(errors[name])]
    return set([*chosen, *near, *unknown][:count])
