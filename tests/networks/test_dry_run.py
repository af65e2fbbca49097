"""What a network says of itself without computing."""

import pytest
import torch
from monai.networks.nets import DynUNet, SegResNet, UNet
from torch import nn

from scripts.networks.dry_run import dry_run, nearest_size, takes


def test_output_and_last_layer_are_those_of_a_real_run():
    network = DynUNet(2, 1, 5, (3, 3, 3), (1, 2, 2), (2, 2), filters=(4, 4, 4), deep_supervision=True)
    output, last_layer = dry_run(network, 1, (16, 24))
    assert output.device.type == "meta"
    assert output.shape == network(torch.randn(2, 1, 16, 24)).shape
    assert network.get_submodule(last_layer) is network.output_block.conv.conv


def test_nothing_is_changed():
    network = UNet(2, 1, 4, (4, 8), (2,), norm="batch")
    frozen = next(m for m in network.modules() if isinstance(m, nn.BatchNorm2d)).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    dry_run(network, 1, (16, 16))
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)
    assert network.training
    assert not frozen.training
    assert not any(module._forward_hooks for module in network.modules())


def test_nearest_size_rounds_each_axis_up():
    network = SegResNet(2, init_filters=8, in_channels=1, out_channels=4)  # halves three times
    assert takes(network, 1, (16, 24))
    assert not takes(network, 1, (16, 20))
    assert nearest_size(network, 1, (15, 20)) == [16, 24]
    assert nearest_size(network, 2, (15, 20)) is None


def test_a_network_without_parameters_has_no_last_layer():
    with pytest.raises(ValueError, match="Identity ran no layer that has parameters"):
        dry_run(nn.Identity(), 1, (4, 4))
