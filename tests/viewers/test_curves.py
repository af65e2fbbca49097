"""Curves of a run: what is read, how it is grouped, and that a page can take the picture."""

import math
import re
import xml.etree.ElementTree as ET

import pytest

from scripts.viewers.curves import N_SERIES, Chart, chart_svg, history_charts

HISTORY = """epoch,iteration,train_sheet,train_total,val_sheet_dice,val_sheet_surface_distance,\
val_sheet_surface_distance_skipped,val_normals_angle,val_parts_dice_class1,val_flow_epe,val_score
1,40,0.7,1.5,0.5,12,3,80,0.1,4,0.4
2,80,0.5,1.25,,,,,,,
3,120,0.4,1.0,0.75,8,0,40,0.2,3,0.6
"""


@pytest.fixture
def history(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text(HISTORY)
    return path


def test_numbers_of_one_unit_share_a_chart(history):
    epochs, charts = history_charts(history)
    assert epochs == [1, 2, 3]
    assert {chart.y_label: list(chart.series) for chart in charts} == {
        "loss": ["sheet", "total"],
        "score, 1 is best": ["sheet dice", "parts dice class1", "score"],
        "surface distance, physical units": ["sheet surface distance"],
        "median angle, degrees": ["normals angle"],
        "epe": ["flow epe"],
    }
    assert charts[0].series["total"] == [1.5, 1.25, 1.0]


def test_overlaps_of_all_names_share_a_chart_and_distances_have_their_unit(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text(
        "epoch,val_sheet_iou,val_sheet_surface_dice@2.5,val_sheet_surface_dice,val_parts_iou_class2,"
        "val_sheet_hausdorff95,val_sheet_hausdorff95_skipped,val_sheet_ece\n1,0.5,0.6,0.7,0.8,9,1,0.1\n"
    )
    _, charts = history_charts(path)
    assert {chart.y_label: list(chart.series) for chart in charts} == {
        "score, 1 is best": ["sheet iou", "sheet surface dice@2.5", "sheet surface dice", "parts iou class2"],
        "Hausdorff distance, 95th percentile, physical units": ["sheet hausdorff95"],
        "calibration error": ["sheet ece"],
    }
    assert charts[1].title == "Hausdorff distance (validation)"


def test_an_epoch_without_validation_is_a_gap(history):
    angle = history_charts(history)[1][3].series["normals angle"]
    assert angle[0] == 80
    assert math.isnan(angle[1])
    assert angle[2] == 40


def test_an_empty_history_is_named(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("epoch,iteration\n")
    with pytest.raises(ValueError, match=r"history\.csv: expected at least one epoch"):
        history_charts(path)


def line_points(svg, series):
    """Page positions of a line's points."""
    style = rf'd="([^"]*)"[^>]*style="[^"]*stroke: var\(--series-{series}\); stroke-width: 2'
    pairs = re.findall(r"[ML] ([-\d.]+) ([-\d.]+)", re.search(style, svg)[1])
    return [(float(x), float(y)) for x, y in pairs]


def test_lines_stand_where_the_numbers_say():
    svg = chart_svg([1, 2, 4], Chart("Loss", "loss", {"a": [3.0, 2.0, 0.0], "b": [0.0, 1.0, 3.0]}))
    (x1, y1), (x2, y2), (x4, y4) = line_points(svg, 0)
    assert (x4 - x2) / (x2 - x1) == pytest.approx(2, rel=1e-4)
    assert (y4 - y2) / (y2 - y1) == pytest.approx(2, rel=1e-4)
    assert y1 < y2  # up is less in a picture
    assert [y for _, y in line_points(svg, 1)] == pytest.approx([y4, y4 + (y1 - y4) / 3, y1], abs=0.01)


def test_the_element_takes_the_colours_of_its_page_and_names_all_it_shows():
    svg = chart_svg([1, 2], Chart("Two lines", "loss in units", {"first": [1.0, 2.0], "second": [2.0, 1.0]}))
    assert ET.fromstring(svg).tag == "svg"  # well-formed, without namespace
    for word in ("first", "second", "epoch", "loss in units", "currentColor", "var(--series-0)", "var(--series-1)"):
        assert word in svg
    assert "http" not in svg
    assert "#0a0b" not in svg
    assert "#010203" not in svg
    assert svg.count("#ffffff") == 0  # no background of its own


def test_charts_in_one_page_share_no_identifier():
    svgs = [chart_svg([1, 2], Chart(title, "loss", {"a": [1.0, 2.0]})) for title in ("Loss", "Score")]
    first, second = (set(re.findall(r'\bid="([^"]*)"', svg)) for svg in svgs)
    assert first
    assert not first & second
    for svg, ids in zip(svgs, (first, second), strict=True):
        used = set(re.findall(r'(?:href="|url\()#([^")]*)', svg))
        assert used
        assert used <= ids


def test_more_lines_than_colours_are_dashed():
    chart = Chart("Many", "loss", {str(i): [float(i), float(i)] for i in range(N_SERIES + 1)})
    assert chart_svg([1, 2], chart).count("stroke-dasharray") >= 1
    fewer = Chart("Few", "loss", {str(i): [float(i), float(i)] for i in range(N_SERIES)})
    assert "stroke-dasharray" not in chart_svg([1, 2], fewer)
