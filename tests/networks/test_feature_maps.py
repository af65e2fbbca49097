"""The number of feature-map values against nnU-Net's, and against the outputs of the network's convolutions."""

import math

import pytest
import torch
from monai.networks.blocks import Convolution
from torch import nn

from scripts.networks import MultiTaskUNet, UNetPlan, count_feature_map_values, plan_unet

ONE = (1, 1, 1)


@pytest.mark.parametrize(
    ("patch", "spacing", "values"),
    [
        ((64, 192, 192), ONE, 625_038_336),
        ((128, 128, 128), ONE, 555_323_392),
        ((20, 256, 256), (5, 1, 1), 563_758_080),
        ((64, 64, 64), ONE, 69_341_184),
        ((40, 56, 40), ONE, 23_520_000),
    ],
    ids=str,
)
def test_values_of_nnunet(patch, spacing, values):
    assert count_feature_map_values(plan_unet(patch, spacing)) == values


def test_values_of_nnunet_in_2d():
    # The planner's source notes 129,793,792 for three classes with deep supervision; its five lower heads and the third
    # class are taken off here.
    plan = UNetPlan(
        (512, 512), (1, *[2] * 6), (3,) * 7, (32, 64, 128, 256, 512, 512, 512), (1, 3, 4, 6, 6, 6, 6), (1,) * 6
    )
    lower = 3 * sum(edge**2 for edge in (256, 128, 64, 32, 16))
    assert count_feature_map_values(plan) == 129_793_792 - lower - 512**2


TARGETS = {"a": {"channels": 1}, "b": {"channels": 3}, "c": {"channels": 2, "decoder": "shared"}}


@pytest.mark.parametrize("decoder", ["separate", "shared"])
@pytest.mark.parametrize(
    "plan",
    [
        UNetPlan((16, 16, 24), (1, (1, 2, 2), 2), (3,) * 3, (4, 8, 8), (1, 2, 3), (2, 1)),
        UNetPlan((16, 24), (1, 2), (3, 3), (6, 6), (2, 1), (1,)),
        UNetPlan((8, 8, 8), (1,), (3,), (4,), (2,), ()),
    ],
    ids=["anisotropic", "2D", "one stage"],
)
def test_values_are_those_that_the_networks_convolutions_give(plan, decoder):
    counted = []

    def count(module, inputs, output):
        counted.append(output.numel())

    with torch.device("meta"):
        network = MultiTaskUNet(plan.spatial_dims, 3, TARGETS, plan=plan, decoder=decoder)
        for module in network.modules():
            # a block's skip counts once, whether it pools, projects, or does both
            if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
                module.register_forward_hook(count)
        for name, module in network.named_modules():
            if name.endswith("skip") and len(module) == 1 and not isinstance(module[0], Convolution):
                module.register_forward_hook(count)
        network(torch.zeros(1, 3, *plan.patch_size))
    further_image_channels = 2 * math.prod(plan.patch_size)
    values = count_feature_map_values(plan, in_channels=3, targets=TARGETS, decoder=decoder)
    assert values == sum(counted) + further_image_channels
