"""Rotations against SciPy, and what they do to points whose physical place is known."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from scripts.geometry.rotations import rotation_matrix, turn_and_scale


def test_the_rotation_is_scipys_about_x_then_y_then_z():
    """SciPy's frame is x y z. Read backwards it is a mirrored one, in which positive angles turn the other way."""
    angles = (20.0, -35.0, 50.0)  # about z, y, x
    expected = Rotation.from_euler("xyz", [-angle for angle in reversed(angles)], degrees=True).as_matrix()[::-1, ::-1]
    np.testing.assert_allclose(rotation_matrix(angles), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("angles", "start", "end"),
    [
        ((90, 0, 0), (0, 1, 0), (0, 0, 1)),  # about z: y goes to x
        ((0, 90, 0), (0, 0, 1), (1, 0, 0)),  # about y: x goes to z
        ((0, 0, 90), (1, 0, 0), (0, 1, 0)),  # about x: z goes to y
    ],
)
def test_a_quarter_turn_takes_one_axis_to_the_next(angles, start, end):
    turned = rotation_matrix(angles) @ torch.tensor(start, dtype=torch.float64)
    torch.testing.assert_close(turned, torch.tensor(end, dtype=torch.float64))


def test_in_two_dimensions_there_is_one_angle():
    expected = torch.tensor([[0.5, -(3**0.5) / 2], [3**0.5 / 2, 0.5]], dtype=torch.float64)
    torch.testing.assert_close(rotation_matrix([60]), expected)
    with pytest.raises(ValueError, match=r"expected 3 angles \(about z, y, x\), or 1 in 2D; got \[1, 2\]"):
        rotation_matrix([1, 2])


def test_lengths_are_physical():
    """With voxels of 3 x 1 x 1.5, a step of the new grid along any axis is as long as before, times its factor."""
    spacing, factors = np.array([3.0, 1.0, 1.5]), np.array([1.0, 2.0, 0.5])
    matrix = turn_and_scale((30, 20, -50), factors, spacing).numpy()
    steps = np.diag(spacing) @ matrix  # columns: physical step per new index
    assert np.allclose(np.linalg.norm(steps, axis=0), spacing * factors)
    cosines = steps.T @ steps / np.outer(spacing * factors, spacing * factors)
    assert np.allclose(cosines, np.eye(3))
