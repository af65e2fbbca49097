"""LabelToAffinities against lines written out by hand, and what a patch's transforms make of it."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Flipd

from scripts.transforms import LabelToAffinities, LabelToAffinitiesd

LINE = torch.tensor([[[4, 4, 7, 0, -1, 2, 2]]])  # 1 H W


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        pytest.param((0, 1), [1, 0, 0, -1, -1, 1, -1], id="the next voxel"),
        pytest.param((0, -1), [-1, 1, 0, 0, -1, -1, 1], id="the one before"),
        pytest.param((0, 3), [0, -1, 0, 0, -1, -1, -1], id="far"),
        pytest.param((1, 0), [-1] * 7, id="along an axis of one voxel"),
    ],
)
def test_a_line_by_hand(offset, expected):
    out = LabelToAffinities([offset])(LINE)
    assert out.dtype == torch.int8
    assert out.tolist() == [[expected]]


def test_next_voxels_are_the_default():
    ids = torch.from_numpy(np.random.default_rng(0).integers(0, 3, (1, 4, 5, 6)))
    out = LabelToAffinities()(ids).numpy()
    labels = ids[0].numpy()
    assert out.shape == (3, 4, 5, 6)
    for axis in range(3):
        before, after = np.delete(labels, -1, axis), np.delete(labels, 0, axis)
        assert np.array_equal(np.delete(out[axis], -1, axis), (before == after) & (before > 0))
        assert (np.take(out[axis], -1, axis) == -1).all()


def test_offsets_are_along_the_axes_of_the_augmented_patch():
    sample = {"cells": MetaTensor(LINE[None], torch.eye(4))}  # 1 D H W
    chain = Compose([Flipd("cells", 2), LabelToAffinitiesd("cells", "affinities", offsets=[[0, 0, 1]])])
    assert chain(sample)["affinities"].tolist() == [[[[1, -1, -1, 0, 0, 1, -1]]]]


@pytest.mark.parametrize(("offsets", "got"), [([[0, 0]], r"\[0, 0\]"), ([], r"\[\]"), ([[1, 0], [1]], r"\[1\]")])
def test_faulty_offsets(offsets, got):
    with pytest.raises(ValueError, match=f"whole steps per channel, not all 0.*got {got}"):
        LabelToAffinities(offsets)


def test_offsets_of_another_number_of_axes():
    with pytest.raises(ValueError, match=r"key 'cells': offsets must hold 2 whole steps.*got \[0, 0, 1\]"):
        LabelToAffinitiesd("cells", offsets=[[0, 0, 1]])({"cells": LINE})
