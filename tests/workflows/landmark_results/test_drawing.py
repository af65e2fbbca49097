"""Marks and pictures as they stand in axes, and figures as files."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from scripts.workflows.landmark_results.drawing import mark_points, name_point, point_legend, save_figure, show_plane

NAN = float("nan")


@pytest.fixture
def axes():
    return Figure().add_subplot()


def test_true_points_are_rings_and_predicted_ones_crosses_with_lines_between(axes):
    truth = np.array([[1.0, 2.0], [3.0, 4.0], [NAN, NAN]])
    found = np.array([[1.0, 5.0], [NAN, NAN], [6.0, 7.0]])
    mark_points(axes, truth, found)
    (line, rings, crosses) = axes.lines
    assert np.column_stack(line.get_data()).tolist() == [[2, 1], [5, 1]]  # x, y
    assert (rings.get_marker(), crosses.get_marker()) == ("o", "x")
    assert np.array_equal(np.column_stack(rings.get_data()), truth[:, ::-1], equal_nan=True)
    assert np.array_equal(np.column_stack(crosses.get_data()), found[:, ::-1], equal_nan=True)


def test_pictures_keep_the_proportions_of_voxels(axes):
    plane = np.arange(12.0).reshape(3, 4)
    show_plane(axes, plane, "zx", np.array([2.0, 0.5]))
    assert axes.get_aspect() == 4  # a voxel is four times as high as wide
    assert np.array_equal(axes.images[0].get_array(), plane)
    assert axes.get_xlabel().startswith("x")
    assert axes.get_ylabel().startswith("z")


def test_a_picture_of_one_value_can_be_shown(axes, tmp_path):
    show_plane(axes, np.full((2, 2), 7.0), "yx", np.ones(2))
    save_figure(axes.figure, tmp_path / "x.png")


def test_names_stand_beside_their_points(axes):
    name_point(axes, np.array([3.0, 5.0]), "tip")
    assert axes.texts[0].get_text() == "tip"
    assert axes.texts[0].xy == (5, 3)


def test_the_legend_names_what_there_is():
    assert [artist.get_label() for artist in point_legend(True)] == ["truth", "prediction", "error"]
    assert [artist.get_label() for artist in point_legend(False)] == ["prediction"]


def test_figures_are_written_as_a_whole(tmp_path):
    save_figure(Figure(figsize=(2, 1), facecolor="red"), tmp_path / "deep" / "x.png")
    picture = imread(tmp_path / "deep" / "x.png")
    assert picture.shape[1] == 2 * picture.shape[0]
    assert (picture[..., :3] == [1, 0, 0]).all()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["x.png"]
