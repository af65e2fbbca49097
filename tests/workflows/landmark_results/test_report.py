"""What the page says."""

import re

import numpy as np
import pytest
from tests.workflows.landmark_results.cases import along_x, case

from scripts.landmarks import QuantileBins
from scripts.workflows.landmark_results.bins import MethodBins
from scripts.workflows.landmark_results.report import write_landmark_report
from scripts.workflows.landmark_results.summary import summary_rows


@pytest.fixture
def page(tmp_path):
    """Text of the page of some images; the picture of each holds its name."""

    def write(cases, bins=None, pictured=(), radii=(2,), radii_physical=(), **options):
        pictures = {}
        for name in pictured:
            pictures[name] = tmp_path / f"{name}.png"
            pictures[name].write_bytes(name.encode())
        summary = summary_rows(cases, radii, radii_physical, bins)
        return write_landmark_report(tmp_path / "report.html", cases, summary, pictures, bins, **options).read_text()

    return write


def rows_of(text, heading):
    """Cells of the table below a heading."""
    table = re.search(rf"<h2>{heading}</h2>.*?</table>", text, re.DOTALL)[0]
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]


CASES = [along_x("one", [1, 4, 2, 9], [1, 2, 3, 4]), along_x("two", [3, np.inf, 2, 5], [3, 1, 2, 4])]


def test_scores_and_tables_hold_the_numbers(page):
    text = page(CASES, radii_physical=(1, 2))
    assert "2 images with 4 landmarks each; the place of 8 landmarks in 2 images is known." in text
    cards = dict(re.findall(r'<dt>(.*?)</dt><dd class="value">(.*?)</dd>', text))
    known = np.array([1, 4, 2, 9, 3, 2, 5]) / 2
    assert cards["Mean radial error"] == f"{known.mean():.3f} mm"
    assert cards["Median error"] == "1.500 mm"
    assert cards["Within 1 mm"] == "37.5 %"
    head, whole, *each = rows_of(text, "Landmarks")
    assert head == [
        "landmark",
        "annotated",
        "mre, mm",
        "std",
        "median",
        "within 1 mm",
        "within 2 mm",
        "not found",
        "spearman",
    ]
    assert whole[:2] == ["all", "8"]
    assert [row[0] for row in each] == ["a", "b", "c", "d"]
    assert each[1][2:] == ["2.000", "0.000", "2.000", "0.000", "0.500", "1", "-"]


def test_the_three_greatest_errors_stand_out(page):
    worst = re.findall(r'<th scope="row" class="worst">(\w)</th>', page([along_x("one", [3, 1, 4, 2, 5])]))
    assert worst == ["a", "c", "e"]


def test_without_a_unit_numbers_are_in_voxels(page):
    text = page([along_x("one", [1, 3], unit=None)])
    assert rows_of(text, "Methods")[0][1:5] == ["mre, voxels", "std", "median", "within 2 voxels"]
    assert '<dd class="value">2.000 voxels</dd>' in text


def test_bins_have_a_table_and_methods_a_row_and_a_meaning(page):
    bins = MethodBins("mm", {"ecpv": QuantileBins((2.5,), (1.0,))})
    text = page(CASES, bins)
    assert rows_of(text, "Bins of ecpv")[1:] == [
        ["0", "3", "0.000 to 1.000", "1.167", "0.667"],
        ["1", "4", "1.000 or more", "2.375", "1.000"],
    ]
    assert [row[0] for row in rows_of(text, "Methods")] == ["method", "ecpv"]
    assert "<th>ecpv</th>" in text
    assert "<th>emha</th>" not in text


def test_the_worst_images_and_the_median_one_are_shown(page):
    cases = [along_x(name, [error]) for name, error in zip("vwxyz", [5, 1, np.inf, 3, 2], strict=True)]
    text = page(cases, pictured="vwyz")
    groups = re.findall(r"<h3>(\w+ images?)</h3>(.*?)</section>", text, re.DOTALL)
    assert [(title, re.findall('alt="(.)"', inside)) for title, inside in groups] == [
        ("Worst images", ["v", "z", "w"]), ("Median image", ["y"]),
    ]  # fmt: skip


def test_without_truth_the_page_shows_predictions_alone(page):
    text = page([case("one", truth=None), case("two", truth=None)], pictured=["two"])
    assert "2 images with 3 landmarks each; none is annotated" in text
    assert "<th>mre</th>" not in text
    assert "<th>ecpv</th>" in text
    assert "<h3>Predictions</h3>" in text
    assert 'alt="two"' in text
    assert "Distributions" not in text
    assert "<svg" not in text


def test_the_page_needs_nothing_else_and_names_are_escaped(page):
    text = page([along_x("<b>", [1])], settings=[("folder", "<there>")])
    assert "<script" not in text
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
    assert "&lt;there&gt;" in text
