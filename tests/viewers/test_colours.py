"""Colours of values, by hand."""

import numpy as np
import pytest

from scripts.geometry import parse_targets
from scripts.viewers import UNKNOWN_COLOUR, grey, overlay, target_colours, value_limits


def row(**options):
    return parse_targets({"t": options})["t"]


def colours(values, limits=None, **options):
    """Colours of voxels in a row: values C W -> W 3."""
    array = np.asarray(values, np.float32)[:, None, None, :]  # C W -> C 1 1 W
    picture = target_colours(array, row(**options), limits)
    assert picture.dtype == np.uint8
    return [tuple(colour) for colour in picture[0, 0].tolist()]


def test_grey_stretches_the_given_limits():
    picture = grey(np.array([[10.0, 20.0, 30.0, 50.0]]), 10, 30)
    assert picture.tolist() == [[[0] * 3, [127] * 3, [255] * 3, [255] * 3]]


def test_grey_takes_percentiles_and_shows_unknown_voxels_black():
    values = np.append(np.arange(101.0), [np.nan, np.inf])  # 1st percentile 1, 99th 99
    shown = grey(values)[:, 0]
    assert shown[[0, 1, 50, 99, 100]].tolist() == [0, 0, 127, 255, 255]
    assert shown[101] == 0


def test_grey_of_a_constant_image_is_black():
    assert not grey(np.full((2, 3), 7.0)).any()


def test_limits_come_from_the_first_array_that_holds_a_number():
    nothing, something = np.full(3, np.nan), np.linspace(0, 100, 101)
    assert value_limits(nothing, something, something * 9) == pytest.approx((1, 99))
    assert value_limits(nothing) == (0, 1)
    low, high = value_limits(np.zeros(4))
    assert low == 0
    assert high > low


def test_probabilities_are_grey_and_unknown_labels_stand_out():
    assert colours([[0, 0.5, 1, 3, -1]], channels=1) == [(0,) * 3, (127,) * 3, (255,) * 3, (255,) * 3, UNKNOWN_COLOUR]


def test_classes_have_a_colour_each_and_the_background_is_black():
    shown = colours([[0, 1, 2, 7, 8, -1]], channels=9)
    assert shown[:3] == [(0, 0, 0), (0xE6, 0x9F, 0x00), (0x56, 0xB4, 0xE9)]
    assert len(set(shown[:4])) == 4
    assert shown[4] == shown[1]  # seven colours, then again
    assert shown[5] == UNKNOWN_COLOUR


def test_class_probabilities_show_the_likeliest():
    assert colours([[0.8, 0.1], [0.1, 0.2], [0.1, 0.7]], channels=3) == [(0, 0, 0), (0x56, 0xB4, 0xE9)]


def test_normals_show_their_axes_whichever_way_they_point():
    z_up, z_down, y, x = (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, 0, -1)
    between, nothing, unknown = (0, 0.6, -0.8), (0, 0, 0), (np.nan, 0, 1)
    shown = colours(np.transpose([z_up, z_down, y, x, between, nothing, unknown]), channels=3, kind="normal")
    assert shown[:4] == [(255, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255)]
    assert shown[4] == (0, 153, 204)
    assert shown[5:] == [UNKNOWN_COLOUR, UNKNOWN_COLOUR]


def test_normals_in_two_dimensions_have_no_red():
    assert colours([[1, 0.6], [0, -0.8]], channels=2, kind="normal") == [(0, 255, 0), (0, 153, 204)]


def test_vectors_are_scaled_by_the_limits_and_may_be_zero():
    shown = colours([[0, 2, 0], [0, 0, -4], [0, 0, np.nan]], (-1, 4), channels=3, kind="vector")
    assert shown == [(0, 0, 0), (127, 0, 0), UNKNOWN_COLOUR]


def test_scalars_go_through_viridis_between_the_limits():
    dark, bright = (68, 1, 84), (253, 231, 36)  # the ends of the map
    assert colours([[2, 6, 9, np.nan]], (2, 6), channels=1, kind="scalar") == [dark, bright, bright, UNKNOWN_COLOUR]


def test_heatmaps_show_the_highest_of_all_points():
    dark, bright = (68, 1, 84), (253, 231, 36)
    assert colours([[0, 1, 0], [0, 0, 1]], (0, 1), channels=2, kind="points") == [dark, bright, bright]


def test_an_overlay_keeps_the_picture_visible():
    background = np.full((1, 3, 3), 100, np.uint8)
    shown = overlay(background, np.array([[0.0, 0.5, 1.0]]), (250, 100, 0))
    assert shown[0].tolist() == [[100, 100, 100], [145, 100, 70], [190, 100, 40]]


@pytest.mark.parametrize("channels", [2, 3, 5])
def test_of_several_foregrounds_the_first_three_are_red_green_and_blue(channels):
    values = np.zeros((channels, 3))
    values[0, 0] = values[1, 0] = values[1, 1] = 1
    values[:, 2] = -1
    shown = colours(values, channels=channels, activation="sigmoid")
    assert shown == [(255, 255, 0), (0, 255, 0), UNKNOWN_COLOUR]
