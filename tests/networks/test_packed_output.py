"""Several outputs as one tensor."""

import pytest
import torch
from monai.networks.utils import copy_model_state
from torch import nn

from scripts.networks import MultiTaskUNet, PackedOutput
from scripts.networks.packed_output import example_size, trace
from scripts.networks.unet_plan import UNetPlan

TARGETS = {"sheet": {"channels": 1}, "normals": {"channels": 3, "kind": "normal"}}


def unet(seed: int = 0, **options) -> MultiTaskUNet:
    torch.manual_seed(seed)
    return MultiTaskUNet(2, 1, TARGETS, patch_size=(8, 8), features_per_stage=[4, 8], **options).eval()


def test_channels_follow_the_order_of_the_targets():
    network = unet(deep_supervision=True)
    packed = PackedOutput(network)
    x = torch.randn(2, 1, 8, 8)
    for training in (True, False):  # with deep supervision, training gives lists
        packed.train(training)
        outputs = network.eval()(x)
        network.train(training)
        y = packed(x)
        assert y.shape == (2, 4, 8, 8)
        torch.testing.assert_close(y[:, :1], outputs["sheet"])
        torch.testing.assert_close(y[:, 1:], outputs["normals"])


@pytest.mark.parametrize("targets", ["normals", ["normals", "sheet"]])
def test_targets_choose_and_order_the_outputs(targets):
    network, x = unet(), torch.randn(2, 1, 8, 8)
    outputs = network(x)
    wanted = torch.cat([outputs[name] for name in ([targets] if isinstance(targets, str) else targets)], dim=1)
    torch.testing.assert_close(PackedOutput(network, targets)(x), wanted)


def test_softmax_with_the_background_is_the_sigmoid_of_the_logit():
    network, x = unet(), torch.randn(2, 1, 8, 8)
    y = PackedOutput(network, "sheet", background=True)(x)
    assert y.shape == (2, 2, 8, 8)
    logit = network(x)["sheet"][:, 0]
    torch.testing.assert_close(y.softmax(dim=1)[:, 1], torch.sigmoid(logit))
    assert torch.equal(y.argmax(dim=1), (logit > 0).long())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": ["sheet", "depth"]}, "the network has sheet, normals, got depth"),
        ({"targets": "normals", "background": True}, "expected one target of one channel, got 3 channels"),
    ],
)
def test_outputs_that_cannot_be_packed_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        PackedOutput(unet(), **options)(torch.randn(2, 1, 8, 8))


def test_weights_have_the_names_of_the_network_and_go_both_ways():
    network, packed = unet(0), PackedOutput(unet(1))
    assert list(packed.state_dict()) == list(network.state_dict())
    packed.load_state_dict(network.state_dict())
    x = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(packed(x)[:, :1], network(x)["sheet"])
    other = unet(2)
    other.load_state_dict(packed.state_dict())
    torch.testing.assert_close(other(x), network(x))


def test_names_hold_within_a_larger_module():
    larger = nn.ModuleDict({"network": PackedOutput(unet(0))})
    assert list(larger.state_dict()) == [f"network.{name}" for name in unet().state_dict()]
    other = nn.ModuleDict({"network": PackedOutput(unet(1))})
    other.load_state_dict(larger.state_dict())
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(other["network"](x), larger["network"](x))


def test_weights_that_do_not_fit_are_refused():
    packed = PackedOutput(unet())
    state = dict(unet(1).state_dict())
    del state["heads.sheet.levels.0.bias"]
    with pytest.raises(RuntimeError, match=r"Missing key.*heads\.sheet\.levels\.0\.bias"):
        packed.load_state_dict(state)


def test_copying_by_name_as_monai_does_copies_every_weight():
    network, packed = unet(0), PackedOutput(unet(1))
    _, updated, unchanged = copy_model_state(packed, network.state_dict())
    assert not unchanged
    assert len(updated) == len(network.state_dict())
    x = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(packed(x)[:, 1:], network(x)["normals"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_takes_other_sizes_than_it_was_made_from():
    packed = PackedOutput(unet())
    x = torch.randn(3, 1, 12, 20)
    with torch.no_grad():
        assert torch.equal(torch.jit.script(packed)(x), packed(x))
        assert torch.equal(trace(packed, torch.zeros(2, 1, 8, 8))(x), packed(x))


def test_an_example_has_two_voxels_at_the_bottleneck():
    plan = UNetPlan((1, 8, 40), ((1, 1, 1), (1, 8, 8)), ((1, 3, 3),) * 2, (4, 8), (1, 1), (1,))
    assert example_size(plan) == (1, 16, 40)
