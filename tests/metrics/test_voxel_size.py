"""Voxel sizes in words."""

import numpy as np
import pytest

from scripts.metrics.voxel_size import checked_voxel_size


def test_one_length_per_axis():
    np.testing.assert_array_equal(checked_voxel_size((8, 4.5), 2, "voxel_size"), [8, 4.5])


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (None, "voxel_size is missing; .* along each of 3 axes"),
        ((4, 4), r"voxel_size must be 3 numbers above 0, one per axis, got \[4, 4\]"),
        ((4, 0, 4), r"got \[4, 0, 4\]"),
        ((4, -1.5, 4), r"got \[4.0, -1.5, 4.0\]"),
        ((4, float("nan"), 4), r"got \[4.0, nan, 4.0\]"),
        (4.0, r"got 4.0"),
    ],
)
def test_what_is_no_size(size, message):
    with pytest.raises(ValueError, match=message):
        checked_voxel_size(size, 3, "voxel_size")
