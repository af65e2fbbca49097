"""Encoder and decoder: what depends on their depth."""

import pytest
import torch
from monai.networks.layers import DropPath

from scripts.networks import UNetPlan
from scripts.networks.unet_parts import ResidualEncoder

PLAN = UNetPlan(
    patch_size=(8, 8),
    strides=(1, 2),
    kernel_sizes=(3, 3),
    features_per_stage=(4, 8),
    n_blocks_per_stage=(2, 3),
    n_conv_per_stage_decoder=(1,),
)


def test_drop_probability_grows_linearly_to_the_last_block():
    encoder = ResidualEncoder(1, PLAN, stochastic_depth_p=0.5)
    blocks = [block for stage in encoder.stages for block in stage]
    assert [block.drop.drop_prob for block in blocks] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert not any(isinstance(module, DropPath) for module in ResidualEncoder(1, PLAN).modules())


def test_dropping_changes_training_and_not_evaluation():
    torch.manual_seed(0)
    plain = ResidualEncoder(1, PLAN)
    dropping = ResidualEncoder(1, PLAN, stochastic_depth_p=0.5)
    dropping.load_state_dict(plain.state_dict())
    x = torch.randn(4, 1, 8, 8)
    assert not torch.equal(dropping(x)[-1], plain(x)[-1])
    assert not torch.equal(dropping(x)[-1], dropping(x)[-1])
    assert torch.equal(dropping.eval()(x)[-1], plain.eval()(x)[-1])
