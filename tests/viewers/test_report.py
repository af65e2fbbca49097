"""The report page: everything is in it, nothing points out of it."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from scripts.viewers import PictureSection, Score, write_report

VOID = {"meta", "img", "input", "br"}


class Page(HTMLParser):
    """Collects elements and text, and checks that every element is closed in its order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self._open = [], [], []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def pixels():
    return np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)


@pytest.fixture
def report(tmp_path, pixels):
    history = tmp_path / "history.csv"
    history.write_text("epoch,iteration,train_total,val_score\n1,10,2,0.5\n2,20,1,0.75\n")
    buffer = io.BytesIO()
    Image.fromarray(255 - pixels).save(buffer, "PNG")
    path = write_report(
        tmp_path / "new" / "report.html",
        title="A < B & C",
        introduction="What was <b>done</b>.",
        scores=[Score("Dice", "0.913", "overlap, 1 is best")],
        pictures=[
            PictureSection("Slices", "along z", [("scan", pixels), ('"truth"', buffer.getvalue())], columns=2),
            PictureSection("Wide", "small print", [("a", pixels)], legend=[((1, 2, 3), "sheet")], large=True),
        ],
        history=history,
        summary=[("Cores", "2")],
        commands=["cd bundle\npython -m monai.bundle run --a '<x>'"],
    )
    return path.read_text()


def test_it_shows_all_that_was_given(report):
    text = "".join(Page(report).text)
    for part in ("A < B & C", "What was <b>done</b>.", "Dice", "0.913", "overlap, 1 is best", "Slices", "along z"):
        assert part in text
    for part in (
        "scan",
        '"truth"',
        "sheet",
        "Cores",
        "python -m monai.bundle run --a '<x>'",
        "total",
        "score",
        "epoch",
    ):
        assert part in text


def test_pictures_are_inside_pixel_by_pixel(report, pixels):
    images = Page(report).of("img")
    decoded = []
    for image in images:
        head, data = image["src"].split(",", 1)
        assert head == "data:image/png;base64"
        decoded.append(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))))
    np.testing.assert_array_equal(decoded[0], pixels)
    np.testing.assert_array_equal(decoded[1], 255 - pixels)
    assert [image["alt"] for image in images] == ["scan", '"truth"', "a"]


def test_sections_have_their_columns_and_legend(report):
    grids = [a for a in Page(report).of("div") if a.get("class", "").startswith("pictures")]
    assert [(grid["class"], grid["style"]) for grid in grids] == [
        ("pictures", "--columns:2"),
        ("pictures large", "--columns:3"),
    ]
    assert [swatch["style"] for swatch in Page(report).of("span")] == ["background:rgb(1,2,3)"]


def test_nothing_points_out_of_the_file(report):
    page = Page(report)
    assert not page.of("script")
    assert not page.of("link")
    assert not page.of("a")
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith(("data:", "#"))
    assert not re.search(r"https?://|@import|url\((?!#)", report)


def test_it_is_made_for_phones_and_for_the_dark(report):
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in Page(report).of("meta")
    assert "@media (prefers-color-scheme: dark)" in report
    assert report.count("--series-5:") == 2  # defined for light and for dark
