"""The grid of patches by hand."""

import pytest
import torch

from scripts.landmarks import patch_centres, patch_grid_shape


def test_the_last_patch_may_reach_beyond_the_image():
    assert patch_grid_shape((16, 17, 24)) == (2, 3, 3)
    assert patch_grid_shape((16, 17), (4, 8)) == (4, 3)


def test_centres_lie_between_the_fourth_and_the_fifth_voxel():
    centres = patch_centres((2, 3))
    assert centres.shape == (2, 2, 3)
    assert centres[0, :, 0].tolist() == [3.5, 11.5]
    assert centres[1, 1].tolist() == [3.5, 11.5, 19.5]
    assert patch_centres((3,), 2, torch.zeros(1, dtype=torch.float64))[0].tolist() == [0.5, 2.5, 4.5]


@pytest.mark.parametrize("patch_size", [0, (8, 8, 8)])
def test_sizes_must_fit(patch_size):
    with pytest.raises(ValueError, match=r"patch_size must be a whole number of at least 1, or 2 of them; got [0(]"):
        patch_grid_shape((16, 17), patch_size)
