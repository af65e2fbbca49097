"""The page that shows how good landmark predictions are."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from ...viewers.curves import figure_svg
from ...viewers.report import ENLARGE, PictureSection, Score, picture_section, score_cards, summary_table, write_page
from ...viewers.score_report_histogram import histogram_svg
from .bins import MethodBins
from .case import LandmarkCase, common_unit
from .charts import draw_uncertainty, error_histogram
from .summary import ANNOTATED, LANDMARK, Row

_STYLE = """
.wide { overflow-x: auto; margin: 0.5rem 0 0.75rem; }
.numbers { width: auto; max-width: none; border-collapse: separate; border-spacing: 0; }
.numbers th, .numbers td { padding: 0.3rem 0 0.3rem 1.1rem; white-space: nowrap; width: auto; text-align: right; }
.numbers thead th { border-bottom: 2px solid var(--line); }
.numbers th:first-child { position: sticky; left: 0; padding-left: 0; background: var(--page); text-align: left; }
.numbers tbody th { color: var(--ink); }
.numbers .worst { font-weight: 700; color: var(--accent); }
section > h3 { margin-top: 1.5rem; }
"""

_N_WORST = 3
"""Landmarks whose numbers stand out."""

_SCORES = (
    ("mre", "mean distance of predicted from true landmarks that were found; std: their standard deviation"),
    ("median", "of the same distances"),
    ("within r", "success detection rate (sdr): share of the annotated landmarks at most r away; the best is 1"),
    ("not found", "annotated landmarks that the method found nowhere: in no mean, and within no radius"),
    ("spearman", "rank correlation of uncertainty with error; 1: the least sure are the worst, 0: it says nothing"),
)

_METHODS = (
    ("smha", "one model: the maximum of each heatmap; its height is the confidence"),
    ("emha", "ensemble: the maximum of the members' mean heatmap; its height is the confidence"),
    ("ecpv", "ensemble: the mean of the members' points; their mean distance to it is the uncertainty"),
)


_BINS_CAPTION = "Landmarks in order of their uncertainty, the surest first, and the errors that were expected there."


def write_landmark_report(
    path: Path,
    cases: Sequence[LandmarkCase],
    summary: Sequence[Row],
    pictures: Mapping[str, Path],
    bins: MethodBins | None = None,
    settings: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write one self-contained HTML file: scores, a table by landmark, distributions, pictures.

    Args:
        path: the file.
        cases: images, at least one.
        summary: see `summary_rows`.
        pictures: of some images, by name.
        bins: which the summary was made with.
        settings: names and values of what else there is to know.

    Returns:
        the path.
    """
    methods = list(cases[0].found)
    title = "Landmarks" if len(methods) == 1 else f"Landmarks by {', '.join(methods)}"
    annotated = [case for case in cases if case.is_annotated]
    introduction = f"{_count(len(cases), 'image')} with {_count(len(cases[0].landmarks), 'landmark')} each; "
    if annotated:
        known = _count(summary[0][ANNOTATED], "landmark")
        introduction += f"the place of {known} in {_count(len(annotated), 'image')} is known."
    else:
        introduction += "none is annotated, so that there are no scores."
    parts = [f"<h1>{escape(title)}</h1>\n<p>{escape(introduction)}</p>"]
    if annotated:
        parts += [
            score_cards(_cards(cases, summary[0])),
            _method_table(cases, summary[0]),
            '<h2>Distributions</h2>\n<div class="charts">',
            f"<div><h3>Errors of landmarks</h3>\n{histogram_svg(error_histogram(annotated))}</div>",
            *(_uncertainty_chart(annotated, method, bins) for method in methods),
            "</div>",
        ]
    sections = _picture_sections(cases, pictures)
    if sections:
        parts += ["<h2>Images</h2>", ENLARGE]
        parts += [f"<section>{picture_section(section, level=3)}</section>" for section in sections]
    if annotated:
        parts.append(_landmark_table(cases, summary))
        if bins is not None:
            parts += [_bin_table(summary[0], method, bins) for method in methods if method in bins.methods]
    meanings = [*(_SCORES if annotated else ()), *((name, text) for name, text in _METHODS if name in methods)]
    if meanings:
        parts.append(summary_table("What the words mean", meanings))
    if settings:
        parts.append(summary_table("The run", settings))
    return write_page(path, title, parts, _STYLE)


def _cards(cases: Sequence[LandmarkCase], row: Row) -> list[Score]:
    unit, method = common_unit(cases), cases[0].method
    ending, length = (f"_{unit}", unit) if unit else ("", "voxels")
    mean, std = row[f"{method}_mre{ending}"], row[f"{method}_mre_std{ending}"]
    also = f", {_number(row[f'{method}_mre'])} voxels" if unit else ""
    cards = [
        Score("Mean radial error", f"{_number(mean)} {length}", f"± {_number(std)} {length}{also}. 0 is best."),
        Score(
            "Median error",
            f"{_number(row[f'{method}_mre_median{ending}'])} {length}",
            "Half of the landmarks are nearer.",
        ),
    ]
    for radius, name in list(_rates(row, method, unit).items())[:1]:
        cards.append(Score(radius.capitalize(), f"{100 * row[name]:.1f} %", "Share of the annotated landmarks."))
    correlation = row[f"{method}_spearman"]
    if not math.isnan(correlation):
        cards.append(Score("Spearman", f"{correlation:.2f}", "Rank correlation of uncertainty with error; 1 is best."))
    return cards


def _method_table(cases: Sequence[LandmarkCase], row: Row) -> str:
    columns = {method: _columns(row, method, common_unit(cases)) for method in cases[0].found}
    rows = [[method, *(_number(row[name]) for name in names.values())] for method, names in columns.items()]
    return _table("Methods", "Over all landmarks and images.", ["method", *columns[cases[0].method]], rows)


def _landmark_table(cases: Sequence[LandmarkCase], summary: Sequence[Row]) -> str:
    method, unit = cases[0].method, common_unit(cases)
    names = _columns(summary[0], method, unit)
    head = [LANDMARK, ANNOTATED, *names]
    rows = [
        [str(row[LANDMARK]), f"{row[ANNOTATED]:,}", *(_number(row[name]) for name in names.values())] for row in summary
    ]
    errors = np.array([row[f"{method}_mre{f'_{unit}' if unit else ''}"] for row in summary[1:]])
    order = np.argsort(np.nan_to_num(errors, nan=-np.inf), kind="stable")[::-1][:_N_WORST]
    worst = {int(n) + 1 for n in order} if len(errors) > _N_WORST else set()
    caption = f"By {method}, over all images; the greatest errors stand out. summary.csv has all numbers."
    return _table("Landmarks", caption, head, rows, worst)


def _bin_table(row: Row, method: str, bins: MethodBins) -> str:
    unit = bins.unit or "voxels"
    fitted = bins.methods[method]
    low, high = fitted.bounds(np.arange(len(fitted.thresholds) + 1))
    rows = []
    for n, (least, most) in enumerate(zip(low, high, strict=True)):
        expected = f"{_number(least)} to {_number(most)}" if np.isfinite(most) else f"{_number(least)} or more"
        count, mean, within = (row[f"{method}_bin{n}_{name}"] for name in ("count", "mre", "within"))
        rows.append([str(n), f"{count:,}", expected, _number(mean), _number(within)])
    head = ["bin", "landmarks", f"expected error, {unit}", f"mean error, {unit}", "share as expected"]
    return _table(f"Bins of {method}", _BINS_CAPTION, head, rows)


def _picture_sections(cases: Sequence[LandmarkCase], pictures: Mapping[str, Path]) -> list[PictureSection]:
    """The worst images and the one next to the median, of those that have a picture; without truth all of them."""
    names = [case.name for case in sorted(filter(_is_annotated, cases), key=LandmarkCase.overall_error)]
    caption = "Rings are true landmarks, crosses predicted ones. Below: slices through the worst of them."
    groups = [("Predictions", "Crosses are predicted landmarks.", list(pictures))]
    if shown := [name for name in names if name in pictures]:
        median = min(shown, key=lambda name: abs(names.index(name) - (len(names) - 1) / 2))
        worst = [name for name in reversed(shown) if name != median][:_N_WORST]
        groups = [("Worst images", caption, worst), ("Median image", caption, [median])]
    return [
        PictureSection(heading, about, [(name, pictures[name].read_bytes()) for name in group], 1, large=True)
        for heading, about, group in groups
        if group
    ]


def _is_annotated(case: LandmarkCase) -> bool:
    return case.is_annotated


def _uncertainty_chart(cases: Sequence[LandmarkCase], method: str, bins: MethodBins | None) -> str:
    draw = partial(draw_uncertainty, cases=cases, method=method, bins=bins)
    title = f"Error and {method}"
    return f"<div><h3>{escape(title)}</h3>\n{figure_svg(title, draw)}</div>"


def _table(
    heading: str, caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], worst: Collection[int] = ()
) -> str:
    cells = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    lines = []
    for n, (name, *values) in enumerate(rows):
        kind = ' class="worst"' if n in worst else ""
        lines.append(
            f'<tr><th scope="row"{kind}>{escape(name)}</th>'
            + "".join(f"<td{kind}>{escape(value)}</td>" for value in values)
            + "</tr>"
        )
    body = "\n".join(lines)
    return (
        f'<h2>{escape(heading)}</h2>\n<p class="soft">{escape(caption)}</p>\n<div class="wide"><table class="numbers">'
        f"<thead><tr>{cells}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _columns(row: Row, method: str, unit: str | None) -> dict[str, str]:
    """Columns of a method that the page shows, by title: physical numbers where there are any, otherwise in voxels."""
    ending, length = (f"_{unit}", unit) if unit else ("", "voxels")
    names = {
        f"mre, {length}": f"{method}_mre{ending}",
        "std": f"{method}_mre_std{ending}",
        "median": f"{method}_mre_median{ending}",
        **_rates(row, method, unit),
    }
    return names | {"not found": f"{method}_not_found", "spearman": f"{method}_spearman"}


def _rates(row: Row, method: str, unit: str | None) -> dict[str, str]:
    """Columns of success detection rates by title."""
    prefix = f"{method}_sdr@"
    names = [name for name in row if name.startswith(prefix)]
    if unit and any(name.endswith(unit) for name in names):
        own = [name for name in names if name.endswith(unit)]
        return {f"within {name.removeprefix(prefix).removesuffix(unit)} {unit}": name for name in own}
    return {f"within {name.removeprefix(prefix)} voxels": name for name in names}


def _number(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return "-" if math.isnan(value) else f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
