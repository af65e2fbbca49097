"""LabelToBoundary against a small array written out by hand and scikit-image."""

import numpy as np
import pytest
import torch
from skimage.segmentation import find_boundaries

from scripts.transforms import LabelToBoundary

LINE = torch.tensor([[[0, 0, 0, 1, 1, 1, 1, 5, 5, 5, 5, 5, 0]]])  # 1 H W; spacing 2 along W


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, "0001001100010", id="voxels that touch"),
        pytest.param({"include_background": True}, "0011001100011", id="and the background that touches"),
        pytest.param({"thickness": 0.1}, "0001001100010", id="thinner than a voxel"),
        pytest.param({"thickness": 3.0}, "0001111110110", id="two voxels deep"),
        pytest.param({"thickness": 3.0, "include_background": True}, "0111111110111", id="both"),
    ],
)
def test_a_line_by_hand(options, expected):
    out = LabelToBoundary(**options, spacing=(1.0, 2.0))(LINE)
    assert out.dtype == torch.int8
    assert "".join(str(v) for v in out[0, 0].tolist()) == expected


@pytest.mark.parametrize(("include_background", "mode"), [(False, "inner"), (True, "thick")])
def test_equals_scikit_image_on_noise(include_background, mode):
    ids = np.random.default_rng(1).integers(0, 3, (6, 12, 12)).repeat(2, axis=2)
    out = LabelToBoundary(include_background=include_background, spacing=(1, 1, 1))(torch.from_numpy(ids)[None])
    assert np.array_equal(out[0].numpy() > 0, find_boundaries(ids, connectivity=1, mode=mode))


@pytest.mark.parametrize("value", [0, 4])
def test_no_boundary_in_the_patch(value):
    out = LabelToBoundary(thickness=5.0, include_background=True, spacing=(1, 1))(torch.full((1, 4, 4), value))
    assert not out.any()


def test_errors():
    with pytest.raises(ValueError, match=r"thickness must be a physical length above 0.*got 0"):
        LabelToBoundary(thickness=0)
