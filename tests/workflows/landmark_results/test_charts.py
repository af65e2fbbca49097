"""Distributions as they are drawn."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from tests.workflows.landmark_results.cases import NAN, along_x, case

from scripts.landmarks import QuantileBins
from scripts.workflows.landmark_results import charts
from scripts.workflows.landmark_results.bins import MethodBins
from scripts.workflows.landmark_results.charts import (
    draw_uncertainty,
    error_histogram,
    write_error_histogram,
    write_uncertainty_plot,
)


def test_far_errors_stand_in_the_last_bar():
    histogram = error_histogram([along_x("one", [1, 2, 3, 99, np.inf, NAN], unit=None)])
    assert histogram.limits == (0, 10)  # four times the median of 1, 2, 3 and 99
    assert sorted(histogram.series["ecpv"]) == [1, 2, 3, 10]
    assert histogram.x_label == "error, voxels, farther ones in the last bar"
    near = error_histogram([along_x("one", [1, 2, 3])])
    assert near.limits == (0, 1.5)
    assert near.x_label == "error, mm"


def test_histograms_of_no_and_of_perfect_landmarks_can_be_drawn(tmp_path):
    assert error_histogram([case(truth=None)]).limits == (0, 1)
    write_error_histogram(tmp_path / "x.png", [along_x("one", [0, 0])])
    assert imread(tmp_path / "x.png").std() > 0


def axes_of(cases, method, bins=None):
    axes = Figure().add_subplot()
    draw_uncertainty(axes, "#000000", ["#0000ff", "#ff0000"], cases, method, bins)
    return axes


def test_each_known_landmark_is_a_dot():
    axes = axes_of([along_x("one", [2, 4, NAN], [1, 3, 5]), along_x("two", [np.inf, 6, 8], [1, NAN, 7])], "ecpv")
    assert np.column_stack(axes.lines[0].get_data()).tolist() == [[1, 1], [3, 2], [7, 4]]
    assert axes.lines[0].get_label() == "3 landmarks, Spearman 1.00"
    assert not axes.xaxis_inverted()
    assert axes.get_ylabel() == "error, mm"


def test_the_axis_of_activations_is_turned_round():
    axes = axes_of([along_x("one", [2, 4], [30, 10], "smha", unit=None)], "smha")
    assert axes.lines[0].get_xdata().tolist() == [30, 10]
    assert axes.xaxis_inverted()
    assert axes.get_xlabel() == "smha: activation, less sure to the right"


@pytest.mark.parametrize(("method", "sign"), [("ecpv", 1), ("smha", -1)])
def test_bins_are_areas_between_their_bounds(method, sign):
    one = along_x("one", [2, 4, 6], np.array([1, 3, 9]) * sign, method, unit=None)
    axes = axes_of([one], method, MethodBins(None, {method: QuantileBins((2.0, 5.0), (3.0, 4.5))}))
    boxes = [np.concatenate([path.vertices for path in area.get_paths()]) for area in axes.collections]
    found = [[*np.sort(np.unique(box[:, 0]) * sign), box[:, 1].min(), box[:, 1].max()] for box in boxes]
    assert np.array(found) == pytest.approx(np.array([[1, 2, 0, 3], [2, 5, 3, 4.5], [5, 9, 4.5, 6.3]]))


def test_bins_of_another_unit_are_not_drawn():
    one = along_x("one", [2, 4, 6], [1, 3, 9])
    assert not axes_of([one], "ecpv", MethodBins(None, {"ecpv": QuantileBins((2.0,), (3.0,))})).collections


def test_of_many_landmarks_some_are_drawn(monkeypatch):
    monkeypatch.setattr(charts, "_MOST_DOTS", 3)
    axes = axes_of([along_x("one", range(7), range(7), unit=None)], "ecpv")
    assert axes.lines[0].get_xdata().tolist() == [0, 3, 6]
    assert axes.lines[0].get_label().startswith("7 landmarks")


def test_methods_stand_side_by_side(tmp_path):
    points = np.zeros((3, 3))
    both = case(found={"smha": (points, points[:, 0]), "ecpv": (points, points[:, 0])})
    write_uncertainty_plot(tmp_path / "two.png", [both])
    write_uncertainty_plot(tmp_path / "one.png", [case()])
    assert imread(tmp_path / "two.png").shape[1] == 2 * imread(tmp_path / "one.png").shape[1]
