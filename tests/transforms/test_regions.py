"""Regions as unions of classes."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from scripts.transforms import LabelToRegions, LabelToRegionsd

LABEL = torch.tensor([[[[0, 1, 2, 3]], [[4, -1, 2, 0]]]], dtype=torch.int16)  # 1 D H W = 1 2 1 4


def test_a_channel_for_each_region():
    found = LabelToRegions([[1, 2, 3], [2, 3], [3]], ignore_label=4)(LABEL)
    expected = [
        [[[0, 1, 1, 1]], [[-1, -1, 1, 0]]],
        [[[0, 0, 1, 1]], [[-1, -1, 1, 0]]],
        [[[0, 0, 0, 1]], [[-1, -1, 0, 0]]],
    ]
    np.testing.assert_array_equal(found, expected)


def test_without_an_ignored_value_it_is_a_class_like_any_other():
    np.testing.assert_array_equal(LabelToRegions([[4]])(LABEL)[0], [[[0, 0, 0, 0]], [[1, -1, 0, 0]]])


def test_the_dictionary_form_keeps_label_and_meta():
    label = MetaTensor(LABEL, affine=torch.diag(torch.tensor([3.0, 2.0, 1.0, 1.0])))
    sample = LabelToRegionsd("labels", [[1, 2], [2]], output_keys="regions")({"labels": label})
    assert sample["labels"] is label
    assert sample["regions"].shape == (2, 2, 1, 4)
    torch.testing.assert_close(sample["regions"].affine, label.affine)


@pytest.mark.parametrize("regions", [[], [[1], []]])
def test_a_region_needs_classes(regions):
    with pytest.raises(ValueError, match="regions must be lists of classes"):
        LabelToRegions(regions)
