"""Folding before a network, against slicing; its outputs at the image's resolution."""

import numpy as np
import pytest
import torch
from torch import nn

from scripts.geometry.peaks import peak_points, soft_argmax
from scripts.landmarks import gaussian_heatmaps
from scripts.losses import MultiTaskLoss
from scripts.networks import CoarseOutput, MultiTaskUNet, check_patch_size, coarse_size, halving_stages
from scripts.networks.coarse_output import fold_blocks

TARGETS = {"marks": {"channels": 2, "kind": "points"}}


@pytest.mark.parametrize(("shape", "stride"), [((4, 6, 8), (2, 3, 2)), ((1, 6, 8), (1, 2, 4)), ((6, 8), (3, 2))])
def test_each_channel_is_one_voxel_of_every_block(shape, stride):
    x = torch.rand(2, 3, *shape)
    folded = fold_blocks(x, stride)
    assert folded.shape == (2, 3 * np.prod(stride), *(n // step for n, step in zip(shape, stride, strict=True)))
    channel = 0
    for c in range(3):
        for offset in np.ndindex(*stride):
            box = tuple(slice(o, None, step) for o, step in zip(offset, stride, strict=True))
            assert torch.equal(folded[:, channel], x[:, c][:, *box])
            channel += 1


class Means(nn.Module):
    """The mean of all channels, for two landmarks."""

    targets = TARGETS

    def forward(self, x):
        return {"marks": x.mean(dim=1, keepdim=True).expand(-1, 2, *x.shape[2:])}


def test_the_mean_place_of_a_heatmap_stays_where_it_is():
    torch.manual_seed(0)
    x = torch.rand(1, 8, 8, 12, 16) * 9
    network = CoarseOutput(Means(), [2, 2, 2], "nearest")
    coarse = soft_argmax(network.train()(x)["marks"])
    torch.testing.assert_close(soft_argmax(network.eval()(x)["marks"]), (coarse + 0.5) * 2 - 0.5)


def test_the_maximum_between_voxels_stays_where_it_is():
    points = torch.tensor([[[3.3, 5.6, 7.2], [4.0, 6.0, 5.5]]])
    maps = gaussian_heatmaps((points + 0.5) / 2 - 0.5, (8, 12, 16), 1.5)

    class Maps(Means):
        def forward(self, x):
            return {"marks": maps}

    found = CoarseOutput(Maps(), [2, 2, 2]).eval()(torch.zeros(1, 1, 16, 24, 32))["marks"]
    assert found.shape == (1, 2, 16, 24, 32)
    assert (peak_points(found) - points).abs().max() < 0.05


def test_outputs_are_coarse_in_training_and_interpolated_in_evaluation():
    """A ramp of blocks' means is about the ramp again, but at the borders."""
    ramp = torch.arange(12.0).expand(1, 1, 4, 6, 12)
    network = CoarseOutput(Means(), [2, 2, 2])
    assert network.train()(ramp)["marks"].shape == (1, 2, 2, 3, 6)
    found = network.eval()(ramp)["marks"]
    assert found.shape == (1, 2, 4, 6, 12)
    torch.testing.assert_close(found[0, 1, ..., 3:-3], ramp[0, 0, ..., 3:-3], atol=0.1, rtol=0)


def test_a_stride_of_one_changes_nothing():
    plain = MultiTaskUNet(3, 1, TARGETS, patch_size=(16, 16, 16), **halving_stages((16, 16, 16), 4, 4))
    x = torch.rand(1, 1, 16, 16, 16)
    for training in (True, False):
        network = CoarseOutput(plain, [1, 1, 1]).train(training)
        torch.testing.assert_close(network(x)["marks"], plain(x)["marks"])


def test_the_plan_is_that_of_the_image():
    coarse = coarse_size([1, 48, 64], 2)
    assert coarse == {"size": [1, 24, 32], "stride": [1, 2, 2]}
    inner = MultiTaskUNet(3, 4, TARGETS, patch_size=coarse["size"], **halving_stages(coarse["size"], 6, 4))
    network = CoarseOutput(inner, coarse["stride"])
    assert network.plan.divisor == (1, 8, 8)
    check_patch_size([1, 48, 64], network.plan)
    with pytest.raises(ValueError, match="axis y has 52 voxels, which 8 does not divide"):
        check_patch_size([1, 52, 64], network.plan)
    assert [p.shape for p in network.shared_parameters()] == [p.shape for p in inner.shared_parameters()]


def test_the_loss_places_landmarks_on_the_coarser_grid():
    """Voxel x of the image is (x + 0.5) / 2 - 0.5 of blocks of two; a sigma stays as long in space."""
    points = torch.tensor([[[4.0, 5.0, 9.5], [1.0, 2.5, 3.0]]])
    prediction = torch.rand(1, 2, 4, 5, 6)
    row = {"channels": 2, "kind": "points", "loss": {"name": "mse", "sigma": 3.0, "amplitude": 2.0}}
    found = MultiTaskLoss({"marks": row}, output_stride=[2, 2, 2])({"marks": prediction}, {"marks": points})
    small = row | {"loss": {"name": "mse", "sigma": 1.5, "amplitude": 2.0}}
    expected = MultiTaskLoss({"marks": small})({"marks": prediction}, {"marks": (points + 0.5) / 2 - 0.5})
    torch.testing.assert_close(found, expected)


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"output_stride = 3 must divide the edges of a patch of \[1, 48, 64\] voxels"):
        coarse_size([1, 48, 64], 3)
    with pytest.raises(ValueError, match=r"an image of \[5, 6, 8\] voxels is not filled by blocks of \[2, 2, 2\]"):
        CoarseOutput(Means(), [2, 2, 2])(torch.rand(1, 1, 5, 6, 8))
    with pytest.raises(ValueError, match="interpolation must be 'cubic' or 'nearest', got 'linear'"):
        CoarseOutput(Means(), [2, 2, 2], "linear")
    with pytest.raises(ValueError, match=r"at least 1, one per axis; got \[2, 0, 2\]"):
        CoarseOutput(Means(), [2, 0, 2])
