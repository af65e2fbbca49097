"""One HTML file that shows what a run did: scores, pictures, curves, settings, commands."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from .curves import chart_svg, history_charts
from .report_style import STYLE

Colour = tuple[int, int, int]

ENLARGE = '<p class="soft">Touch a picture to enlarge it, and again to put it back.</p>'

_CURVES_CAPTION = "Loss terms are means over an epoch's training patches; scores are of the validation patches."


@dataclass(frozen=True)
class Score:
    """A number that says how good a result is.

    Args:
        name: of the number.
        value: as it is shown, with its unit.
        meaning: what it measures, and which values are good.
    """

    name: str
    value: str
    meaning: str


@dataclass(frozen=True)
class PictureSection:
    """Pictures under a heading, in a grid that is read row by row.

    Args:
        heading: of the section.
        caption: what there is to see.
        pictures: title and picture, each H W 3 uint8 or a finished PNG.
        columns: pictures beside each other. A narrow screen keeps them side by side, so that they can be compared;
            touching one enlarges it.
        legend: colours and what they stand for.
        large: whether the pictures hold small print; a narrow screen then puts them below each other.
    """

    heading: str
    caption: str
    pictures: Sequence[tuple[str, np.ndarray | bytes]]
    columns: int = 3
    legend: Sequence[tuple[Colour, str]] = ()
    large: bool = False


def write_report(
    path: str | Path,
    *,
    title: str,
    introduction: str,
    scores: Sequence[Score],
    pictures: Sequence[PictureSection],
    history: str | Path,
    summary: Sequence[tuple[str, str]],
    commands: Sequence[str],
) -> Path:
    """Write a report as one self-contained HTML file: no script, no link, pictures inside.

    Args:
        path: the file.
        title: of the page.
        introduction: what was done, in a few sentences.
        scores: the results in numbers, shown first.
        pictures: sections of pictures.
        history: a run's `history.csv`, shown as curves.
        summary: names and values of what else there is to know.
        commands: what to type to do the same.

    Returns:
        the path.
    """
    epochs, charts = history_charts(history)
    parts = [
        f"<h1>{escape(title)}</h1>\n<p>{escape(introduction)}</p>",
        score_cards(scores),
        ENLARGE,
        *map(picture_section, pictures),
        "<h2>Training</h2>",
        f'<p class="soft">{_CURVES_CAPTION}</p>',
        '<div class="charts">',
        *(f"<div><h3>{escape(chart.title)}</h3>\n{chart_svg(epochs, chart)}</div>" for chart in charts),
        "</div>",
        summary_table("The run", summary),
        "<h2>Commands</h2>\n<pre>" + "\n\n".join(map(escape, commands)) + "</pre>",
    ]
    return write_page(path, title, parts)


def write_page(path: str | Path, title: str, parts: Sequence[str], style: str = "") -> Path:
    """Write the parts of a page, HTML, as one file, with a style sheet that is added to the common one."""
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path


def score_cards(scores: Sequence[Score]) -> str:
    """Scores as cards beside each other."""
    return f'<dl class="scores">\n{"".join(map(_score, scores))}</dl>'


def summary_table(heading: str, rows: Sequence[tuple[str, str]]) -> str:
    """Names and values below a heading."""
    lines = (f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return "\n".join([f"<h2>{escape(heading)}</h2>\n<table>", *lines, "</table>"])


def _score(score: Score) -> str:
    return (
        f'<div><dt>{escape(score.name)}</dt><dd class="value">{escape(score.value)}</dd>'
        f'<dd class="meaning">{escape(score.meaning)}</dd></div>\n'
    )


def picture_section(section: PictureSection, level: int = 2) -> str:
    """Pictures below a heading of a level."""
    legend = "".join(
        f'<li><span style="background:rgb({r},{g},{b})"></span>{escape(text)}</li>'
        for (r, g, b), text in section.legend
    )
    figures = "\n".join(
        f'<figure><figcaption>{escape(title)}</figcaption><label><input type="checkbox" aria-label="enlarge">'
        f'<img alt="{escape(title)}" src="data:image/png;base64,{base64.b64encode(_png(picture)).decode()}"></label>'
        "</figure>"
        for title, picture in section.pictures
    )
    return (
        f'<h{level}>{escape(section.heading)}</h{level}>\n<p class="soft">{escape(section.caption)}</p>\n'
        + (f'<ul class="legend">{legend}</ul>\n' if legend else "")
        + f'<div class="pictures{" large" if section.large else ""}" style="--columns:{section.columns}">\n'
        f"{figures}\n</div>"
    )


def _png(picture: np.ndarray | bytes) -> bytes:
    if isinstance(picture, bytes):
        return picture
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
