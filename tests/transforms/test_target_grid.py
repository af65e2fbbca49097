"""ToTargetGridd: voxels, affines and nominal spacings of a patch's arrays, each on its own grid."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Flipd

from scripts.geometry import TargetGrid
from scripts.geometry.affines import nominal_spacing
from scripts.transforms import LabelToDistanced, TakeReferenceAffined, ToTargetGridd

TARGETS = {"cell": {"channels": 1, "mask": "seen"}, "depth": {"channels": 1, "kind": "scalar"}}
GRID = TargetGrid((8, 8, 8), (8, 8, 8), (4, 4, 2), (8, 16, 16))  # read as 8 x 8 x 8, margin 2, 0, 2


@pytest.fixture
def sample():
    affine = torch.diag(torch.tensor([8.0, 8, 8, 1], dtype=torch.float64))
    affine[:3, 3] = torch.tensor([100.0, 200, 300])
    arrays = {
        "image": torch.rand(1, 8, 8, 8),
        "cell": torch.zeros(1, 8, 8, 8, dtype=torch.int32),
        "seen": torch.ones(1, 8, 8, 8, dtype=torch.int32),
        "depth": torch.arange(8.0).expand(1, 8, 8, 8).clone(),  # grows along x
    }
    arrays["cell"][:, 3:5, 2:6, 4:] = 7
    keys = list(arrays)
    return TakeReferenceAffined(keys)({key: MetaTensor(array, affine) for key, array in arrays.items()})


def test_each_array_has_its_grid_and_states_it(sample):
    out = Compose([Flipd(list(sample), 2), ToTargetGridd(list(sample), TARGETS, GRID)])(sample)
    assert out["image"].shape == (1, 8, 8, 8)
    assert torch.equal(out["image"], sample["image"].flip(3))
    # two planes of each side go, then 2 x 2 voxels become one
    assert out["cell"][0, 1].tolist() == [[0, 0], [7, 0], [7, 0], [0, 0]]
    assert out["cell"].dtype == torch.int32
    assert out["depth"][0, 0, 0].tolist() == [4.5, 2.5]
    assert (out["seen"] == 1).all()
    assert nominal_spacing(out["image"]) == (8, 8, 8)
    assert nominal_spacing(out["cell"]) == (8, 16, 16)
    # the first voxel of the new grid: z 2, y 0.5, x 5 - 0.5 before the flip
    corner = out["cell"].affine @ torch.tensor([0.0, 0, 0, 1], dtype=torch.float64)
    assert corner[:3].tolist() == [100 + 8 * 2, 200 + 8 * 0.5, 300 + 8 * 4.5]


def test_distances_are_those_of_the_new_grid(sample):
    sample["cell"][:, :, 2:6, 4:] = 7  # a column along z
    out = Compose([ToTargetGridd(list(sample), TARGETS, GRID), LabelToDistanced("cell", "distance")])(sample)
    assert out["distance"].shape == (1, 4, 4, 2)
    assert np.isclose(float(out["distance"].max()), 8)  # to the centre of the next voxel, less half its size of 16


def test_a_patch_of_another_size_is_refused(sample):
    sample["depth"] = sample["depth"][..., :4]
    with pytest.raises(ValueError, match=r"'depth' has \[8, 8, 4\] voxels.* is read with \[8, 8, 8\]"):
        ToTargetGridd(list(sample), TARGETS, GRID)(sample)
