"""The page of scores: everything is in it, nothing points out of it."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from scripts.viewers import PictureSection, Score
from scripts.viewers.score_report import ScorePage, ScoreTable, write_score_report
from scripts.viewers.score_report_histogram import Histogram

VOID = {"meta", "img", "input", "br"}


class Page(HTMLParser):
    """Collects elements and text, and checks that every element is closed in its order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self._open, self.rows = [], [], [], []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if self._open and self._open[-1] in ("td", "th"):
            self.rows[-1].append((data, self.elements[-1][1].get("class", "")))


@pytest.fixture
def report(tmp_path):
    pixels = np.zeros((4, 5, 3), np.uint8)
    page = ScorePage(
        title="A < B",
        introduction="Two & more.",
        scores=[Score("dice", "0.913", "overlap")],
        tables=[
            ScoreTable(
                "By class", "Pooled.", ["class", "prediction", "dice", "note"],
                [["mito", "a", "0.5", "<missing>"], ["mito", "b", "0.7", ""], ["er", "a", "0.9", ""]],
                frozenset({(1, 2)}), n_words=2, notes=["er: in 1 < 2 crops"],
            ),
            ScoreTable("All", "Each crop.", ["crop", "dice"], [["c1", "0.25"]], is_folded=True),
        ],
        meanings=[("dice", "2 TP / ...")],
        histograms=[Histogram("IoU of objects", "IoU", "objects", {"a": [0.1, 0.9]}, (0, 1))],
        worst=[PictureSection("c1/mito", "z = 3", [("truth", pixels), ("prediction", pixels)], columns=2)],
        summary=[("truth", "t.zarr")],
    )  # fmt: skip
    return write_score_report(tmp_path / "new" / "report.html", page).read_text()


def test_it_shows_all_that_was_given(report):
    text = "".join(Page(report).text)
    for part in (
        "er: in 1 < 2 crops", "A < B", "Two & more.", "0.913", "By class", "Pooled.", "<missing>", "All", "Each crop.",
        "2 TP / ...", "IoU of objects", "c1/mito", "z = 3", "truth", "t.zarr",
    ):  # fmt: skip
        assert part in text


def test_cells_stand_where_they_belong_and_the_best_are_marked(report):
    rows = Page(report).rows
    assert rows[0] == [("class", ""), ("prediction", ""), ("dice", "number"), ("note", "")]
    assert rows[1] == [("mito", ""), ("a", ""), ("0.5", "number"), ("<missing>", "")]
    assert rows[2][:3] == [("mito", ""), ("b", ""), ("0.7", "number best")]


def test_a_line_is_drawn_where_another_class_begins(report):
    classes = [attributes.get("class") for tag, attributes in Page(report).elements if tag == "tr"]
    assert classes[:4] == [None, None, None, "first"]


def test_long_tables_are_folded_below_the_pictures(report):
    assert (
        report.index("<h2>By class</h2>")
        < report.index("Worst cases")
        < report.index("<details><summary>All</summary>")
    )


def test_nothing_points_out_of_the_file(report):
    page = Page(report)
    assert not [tag for tag, _ in page.elements if tag in ("script", "link", "a")]
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith(("data:", "#"))
    assert not re.search(r"https?://|@import|url\((?!#)", report)


def test_what_there_is_not_has_no_heading(tmp_path):
    path = write_score_report(tmp_path / "r.html", ScorePage("t", "i", [], [], [("dice", "overlap")]))
    text = path.read_text()
    assert "Distributions" not in text
    assert "Worst cases" not in text
    Page(text)
