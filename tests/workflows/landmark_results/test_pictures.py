"""What the pictures of images and heatmaps show."""

import numpy as np
import pytest
from tests.workflows.landmark_results.cases import NAN, SPACING, TRUTH, along_x, case

from scripts.workflows.landmark_results import pictures
from scripts.workflows.landmark_results.pictures import worst_landmarks, write_case_picture, write_heatmap_picture

IMAGE = np.random.default_rng(0).random((4, 6, 8), dtype=np.float32)


@pytest.fixture
def figures(monkeypatch):
    """Figures that are saved, in place of their files."""
    saved = []
    monkeypatch.setattr(pictures, "save_figure", lambda figure, path: saved.append(figure))
    return saved


def shown(figure):
    """Axes with a picture."""
    return [axes for axes in figure.axes if axes.images]


def marked(axes):
    """Positions x, y of rings and of crosses."""
    return [np.column_stack(line.get_data()) for line in axes.lines if line.get_marker() in "ox"]


def test_projections_along_each_axis_carry_all_points(figures):
    write_case_picture("x.png", case(), IMAGE)
    axes = shown(figures[0])
    for panel, (along, down, right) in zip(axes, [(0, 1, 2), (1, 0, 2), (2, 0, 1)], strict=False):
        assert np.array_equal(panel.images[0].get_array(), IMAGE.max(axis=along))
        assert panel.get_aspect() == SPACING[down] / SPACING[right]
        rings, crosses = marked(panel)
        assert np.array_equal(rings, TRUTH[:, [right, down]], equal_nan=True)
        assert np.array_equal(crosses, case().prediction[:, [right, down]])
        assert [text.get_text() for text in panel.texts] == ["a", "b"]


def test_the_worst_landmarks_are_shown_in_the_slice_of_their_error(figures):
    write_case_picture("x.png", case(), IMAGE)
    first, second, *others = shown(figures[0])[3:]
    assert first.get_title() == "a: 3.61 mm away, z = 0"  # its error lies in y and x
    assert np.array_equal(first.images[0].get_array(), IMAGE[0])
    assert [each.tolist() for each in marked(first)] == [[[0, 0]], [[4, 3]]]
    centre = [np.mean(first.get_xlim()), np.mean(first.get_ylim())]
    assert centre == pytest.approx([2, 1.5])  # between both
    width, height = np.ptp(first.get_xlim()) * SPACING[2], np.ptp(first.get_ylim()) * SPACING[1]
    assert width == pytest.approx(height)  # square in space
    assert second.get_title().startswith("b: 0 mm away")
    assert not others


def test_a_landmark_that_was_not_found_is_shown_where_it_is(figures):
    one = case(found={"ecpv": (np.full((3, 3), NAN), np.zeros(3))})
    write_case_picture("x.png", one, IMAGE)
    assert shown(figures[0])[4].get_title() == "a: not found, z = 0"


def test_a_picture_in_2d_is_seen_as_it_is(figures):
    flat = along_x("one", [2], spacing=(1.0, 1.0, 1.0), shape=(1, 6, 8), grid_shape=(1, 6, 8), unit=None)
    write_case_picture("x.png", flat, IMAGE[:1])
    whole, zoomed = shown(figures[0])
    assert np.array_equal(whole.images[0].get_array(), IMAGE[0])
    assert zoomed.get_title() == "a: 2 voxels away"


def test_points_are_scaled_to_the_picture(figures):
    write_case_picture("x.png", case(), IMAGE[:, ::2, ::2])
    rings, _ = marked(shown(figures[0])[0])
    assert rings[1].tolist() == [(3 + 0.5) / 2 - 0.5, (2 + 0.5) / 2 - 0.5]
    assert shown(figures[0])[0].get_aspect() == SPACING[1] / SPACING[2]


def test_voxels_of_no_value_are_black(figures):
    image = IMAGE.copy()
    image[:, 2, 3] = NAN
    image[0, 4, 4] = NAN
    write_case_picture("x.png", case(), image)
    shown_values = np.asarray(shown(figures[0])[0].images[0].get_array())
    assert shown_values[2, 3] == 0
    assert shown_values[4, 4] == IMAGE[1:, 4, 4].max()


def test_images_with_channels_are_refused():
    with pytest.raises(
        ValueError, match=r"image 'one': expected voxels D H W to draw; got an array of shape \[1, 4, 6, 8\]"
    ):
        write_case_picture("x.png", case(), IMAGE[None])


def test_the_worst_landmarks_are_those_of_greatest_error_or_least_sure():
    assert worst_landmarks(along_x("one", [1, NAN, 5, np.inf, 3, 2])) == [3, 2, 4]
    points = np.zeros((3, 3))
    sure = case(found={"smha": (points, np.array([3.0, 1.0, NAN]))}, truth=None)
    assert worst_landmarks(sure) == [1, 0]
    nowhere = case(found={"ecpv": (np.full((3, 3), NAN), np.zeros(3))}, truth=None)
    assert worst_landmarks(nowhere) == []


def test_without_points_there_is_still_a_picture(tmp_path):
    nowhere = case(found={"ecpv": (np.full((3, 3), NAN), np.zeros(3))}, truth=None)
    write_case_picture(tmp_path / "deep" / "x.png", nowhere, np.full((4, 6, 8), NAN))
    assert (tmp_path / "deep" / "x.png").read_bytes().startswith(b"\x89PNG")


def test_heatmaps_are_laid_over_the_image(figures):
    heatmaps = np.zeros((2, 4, 6, 8))
    heatmaps[0, 1, 2, 3], heatmaps[1, 3, 5, 7] = 50, 100
    write_heatmap_picture("x.png", IMAGE, heatmaps, TRUTH, SPACING)
    panel = shown(figures[0])[0]
    picture = np.asarray(panel.images[0].get_array()).astype(int)
    assert picture.shape == (6, 8, 3)
    is_grey = (picture == picture[..., :1]).all(axis=-1)
    assert np.argwhere(~is_grey).tolist() == [[2, 3], [5, 7]]
    assert picture[5, 7, 0] > 200  # the hotter, the less of the image
    assert np.array_equal(marked(panel)[0], TRUTH[:, [2, 1]], equal_nan=True)
    assert "2 heatmaps, highest value 100" in figures[0].get_suptitle()


def test_heatmaps_of_other_voxels_are_refused():
    with pytest.raises(
        ValueError, match=r"heatmaps of shape \[2, 3, 6, 8\] cannot be laid over an image of \[4, 6, 8\]"
    ):
        write_heatmap_picture("x.png", IMAGE, np.zeros((2, 3, 6, 8)), TRUTH)
