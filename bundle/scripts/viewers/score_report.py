"""One HTML file that shows how good predictions are: tables, histograms, worst cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from .report import ENLARGE, PictureSection, Score, picture_section, score_cards, summary_table, write_page
from .score_report_histogram import Histogram, histogram_svg

_STYLE = """
.wide { overflow-x: auto; margin: 0.5rem 0 0.75rem; }
.numbers { width: auto; max-width: none; border-collapse: separate; border-spacing: 0; }
.numbers th, .numbers td { padding: 0.3rem 0.9rem 0.3rem 0; white-space: nowrap; width: auto; }
.numbers .number { text-align: right; }
.numbers thead th { border-bottom: 2px solid var(--line); }
.numbers th[scope=row] { position: sticky; left: 0; background: var(--page); color: var(--ink); }
.numbers .best { font-weight: 700; color: var(--accent); }
.numbers .first td, .numbers .first th { border-top: 1px solid var(--soft); }
summary { cursor: pointer; color: var(--accent); margin-top: 1rem; }
section > h3 { margin-top: 1.5rem; }
"""


@dataclass(frozen=True)
class ScoreTable:
    """Numbers by class and prediction.

    Args:
        heading: above the table.
        caption: what there is to see.
        head: titles of the columns; the first `n_words` hold words.
        rows: cells as they are shown.
        best: row and column of the cells that are best, counted from 0.
        n_words: columns of words at the left, whose first stays where it is when the table is moved.
        is_folded: whether it is shown only when it is asked for.
        notes: what else there is to know, below the table.
    """

    heading: str
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    best: frozenset[tuple[int, int]] = frozenset()
    n_words: int = 1
    is_folded: bool = False
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class ScorePage:
    """What a report on scores shows, from top to bottom.

    Args:
        title: of the page.
        introduction: what was compared, in a few sentences.
        scores: the most important numbers.
        tables: all numbers.
        meanings: names of columns, and what they mean.
        histograms: distributions over objects or crops.
        worst: pictures of the worst cases.
        summary: names and values of what else there is to know.
    """

    title: str
    introduction: str
    scores: Sequence[Score]
    tables: Sequence[ScoreTable]
    meanings: Sequence[tuple[str, str]]
    histograms: Sequence[Histogram] = ()
    worst: Sequence[PictureSection] = ()
    summary: Sequence[tuple[str, str]] = field(default_factory=tuple)


def write_score_report(path: str | Path, page: ScorePage) -> Path:
    """Write a report on scores as one self-contained HTML file: no script, no link, pictures inside.

    Returns:
        the path.
    """
    open_tables = [table for table in page.tables if not table.is_folded]
    folded = [table for table in page.tables if table.is_folded]
    parts = [
        f"<h1>{escape(page.title)}</h1>\n<p>{escape(page.introduction)}</p>",
        score_cards(page.scores),
        *map(_table, open_tables),
    ]
    if page.histograms:
        charts = (f"<div><h3>{escape(each.title)}</h3>\n{histogram_svg(each)}</div>" for each in page.histograms)
        parts += ["<h2>Distributions</h2>", '<div class="charts">', *charts, "</div>"]
    if page.worst:
        sections = (f"<section>{picture_section(section, level=3)}</section>" for section in page.worst)
        parts += ["<h2>Worst cases</h2>", ENLARGE, *sections]
    parts += map(_table, folded)
    parts.append(summary_table("What the numbers mean", page.meanings))
    parts.append(summary_table("The evaluation", page.summary))
    return write_page(path, page.title, parts, _STYLE)


def _table(table: ScoreTable) -> str:
    head = "".join(
        f'<th scope="col"{_class(n, table)}>{escape(name)}</th>' for n, name in enumerate(table.head)
    )  # fmt: skip
    body = "\n".join(_row(table, n) for n in range(len(table.rows)))
    inner = (
        f'<div class="wide"><table class="numbers"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )
    if table.notes:
        inner += '\n<ul class="soft">' + "".join(f"<li>{escape(note)}</li>" for note in table.notes) + "</ul>"
    caption = f'<p class="soft">{escape(table.caption)}</p>'
    if table.is_folded:
        return f"<details><summary>{escape(table.heading)}</summary>\n{caption}\n{inner}\n</details>"
    return f"<h2>{escape(table.heading)}</h2>\n{caption}\n{inner}"


def _row(table: ScoreTable, place: int) -> str:
    row = table.rows[place]
    cells = []
    for n, text in enumerate(row):
        if n == 0:
            cells.append(f'<th scope="row">{escape(text)}</th>')
        elif (place, n) in table.best:
            cells.append(f'<td class="number best">{escape(text)}</td>')
        else:
            cells.append(f"<td{_class(n, table)}>{escape(text)}</td>")
    begins = place > 0 and row[0] != table.rows[place - 1][0]
    return ('<tr class="first">' if begins else "<tr>") + "".join(cells) + "</tr>"


def _class(column: int, table: ScoreTable) -> str:
    return ' class="number"' if column >= table.n_words and table.head[column] != "note" else ""
