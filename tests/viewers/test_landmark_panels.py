"""Landmarks on the image's maximum along z."""

import numpy as np

from scripts.viewers.landmark_panels import PREDICTED_MARK, TRUE_MARK, landmark_panels

NAN = float("nan")
PLUS = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]
CROSS = [(0, 0), (1, 1), (-1, -1), (1, -1), (-1, 1)]
NOWHERE = np.full((1, 3), NAN)


def marked(panel, colour):
    """Pixels y, x of one colour."""
    return {(int(y), int(x)) for y, x in np.argwhere((panel == colour).all(axis=-1))}


def around(y, x, steps):
    return {(y + dy, x + dx) for dy, dx in steps}


def black():
    return np.zeros((5, 20, 30, 3), np.uint8)


def test_true_landmarks_are_pluses_in_both_panels_and_predicted_ones_crosses_below():
    upper, lower = landmark_panels(black(), np.array([[1.0, 5.4, 7.6]]), np.array([[3.0, 12.0, 20.0]]))
    for panel in (upper, lower):
        assert panel.shape == (5, 20, 30, 3)
        for slice_ in panel:  # whatever z a landmark has
            assert marked(slice_, TRUE_MARK) == around(5, 8, PLUS)
    assert marked(upper[0], PREDICTED_MARK) == set()
    assert marked(lower[0], PREDICTED_MARK) == around(12, 20, CROSS)


def test_a_prediction_lies_above_the_truth():
    at = np.array([[2.0, 5.0, 8.0]])
    _, lower = landmark_panels(black(), at, at)
    assert marked(lower[0], PREDICTED_MARK) == around(5, 8, CROSS)
    assert marked(lower[0], TRUE_MARK) == around(5, 8, PLUS[1:])


def test_missing_ones_are_not_shown_and_marks_end_with_the_picture():
    truth = np.array([[NAN] * 3, [0, 0, 29], [0, -1, 10], [0, 10, 31], [0, 1e6, -1e6], [0, np.inf, 5]])
    upper, _ = landmark_panels(black(), truth, NOWHERE)
    assert marked(upper[0], TRUE_MARK) == {(0, 29), (0, 28), (1, 29)} | {(0, 10)}


def test_the_image_is_its_maximum_along_z():
    image = np.random.default_rng(0).integers(0, 256, (5, 20, 30, 3), np.uint8)
    before = image.copy()
    for panel in landmark_panels(image, NOWHERE, NOWHERE):
        for slice_ in panel:
            np.testing.assert_array_equal(slice_, image.max(axis=0))
    np.testing.assert_array_equal(image, before)
