"""Networks of MONAI with one head per target."""

import pytest
import torch
import torch.nn.functional as F
from monai.bundle import ConfigParser
from monai.networks.nets import AttentionUnet, DynUNet, SegResNet, SegResNetDS, UNet
from torch import nn

from scripts.networks import MultiTargetNetwork, PackedOutput

TARGETS = {"sheet": {"channels": 1}, "normals": {"channels": 3, "kind": "normal"}}
N = 5


def _swin_unetr():
    pytest.importorskip("einops")
    from monai.networks.nets import SwinUNETR

    few = {"depths": (1, 1, 1, 1), "num_heads": (1, 1, 1, 1), "feature_size": 12}
    return SwinUNETR(in_channels=1, out_channels=N, spatial_dims=2, **few)


def _unetr():
    pytest.importorskip("einops")
    from monai.networks.nets import UNETR

    few = {"feature_size": 4, "hidden_size": 12, "mlp_dim": 16, "num_heads": 2}
    return UNETR(in_channels=1, out_channels=N, img_size=(32, 32), spatial_dims=2, **few)


def _dynunet(dims=3):
    shape = {"kernel_size": (3, 3, 3), "strides": (1, 2, 2), "upsample_kernel_size": (2, 2), "filters": (4, 4, 8)}
    return DynUNet(dims, 1, N, **shape, deep_supervision=True, deep_supr_num=1)


# network, size of its input, its last layer
NETWORKS = {
    "UNet": (lambda: UNet(3, 1, N, (4, 8), (2,), num_res_units=1), (8, 8, 8), "model.2.1.conv.unit0.conv"),
    "SegResNet": (lambda: SegResNet(3, 8, in_channels=1, out_channels=N), (16, 8, 8), "conv_final.2.conv"),
    "DynUNet": (_dynunet, (8, 8, 8), "output_block.conv.conv"),
    "SegResNetDS": (
        lambda: SegResNetDS(3, 8, in_channels=1, out_channels=N, blocks_down=(1, 1, 1), dsdepth=2, norm="instance"),
        (8, 8, 16),
        "up_layers.1.head",
    ),
    "AttentionUnet": (lambda: AttentionUnet(2, 1, N, (4, 8), (2,)), (16, 16), "model.2.conv"),
    "SwinUNETR": (_swin_unetr, (64, 64), "out.conv.conv"),
    "UNETR": (_unetr, (32, 32), "out.conv.conv"),
}


@pytest.fixture(params=NETWORKS)
def case(request):
    build, size, last_layer = NETWORKS[request.param]
    torch.manual_seed(0)
    body = build()
    return body, torch.randn(2, 1, *size), last_layer


def test_outputs_are_the_networks_own_through_one_1x1_convolution(case):
    body, x, _ = case
    network = MultiTargetNetwork(body, TARGETS, patch_size=x.shape[2:]).eval()
    outputs, features = network(x), body(x)
    assert list(outputs) == ["sheet", "normals"]
    for name, channels in (("sheet", 1), ("normals", 3)):
        head = network.heads[name]
        assert tuple(head.weight.flatten(2).shape) == (channels, N, 1)
        expected = torch.einsum("bn...,cn->bc...", features, head.weight.flatten(1))
        expected += head.bias.view(1, -1, *[1] * (x.ndim - 2))
        torch.testing.assert_close(outputs[name], expected, rtol=1e-4, atol=1e-5)
    assert getattr(network, "plan", None) is None


def test_gradients_reach_every_head_and_the_body(case):
    body, x, last_layer = case
    network = MultiTargetNetwork(body, TARGETS, patch_size=x.shape[2:])
    shared = network.shared_parameters()
    assert [id(p) for p in shared] == [id(p) for p in body.get_submodule(last_layer).parameters()]
    first = next(p for p in body.parameters() if p.ndim > 2)
    for name, output in network(x).items():
        network.zero_grad()
        levels = output if isinstance(output, list) else [output]
        sum(level.square().mean() for level in levels).backward(retain_graph=True)
        for parameter in (first, shared[0], *network.heads[name].parameters()):
            assert torch.count_nonzero(parameter.grad) > 0
        assert all(p.grad is None for other in TARGETS if other != name for p in network.heads[other].parameters())


def test_state_dict_round_trip(case):
    body, x, _ = case
    network = MultiTargetNetwork(body, TARGETS, patch_size=x.shape[2:]).eval()
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    before = network(x)["normals"]
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    assert not torch.equal(network(x)["normals"], before)
    network.load_state_dict(kept)
    assert torch.equal(network(x)["normals"], before)


def test_stacked_levels_become_lists_per_target():
    targets = TARGETS | {"plain": {"channels": 1, "deep_supervision": False}}
    network = MultiTargetNetwork(_dynunet(2), targets)
    x = torch.randn(2, 1, 16, 16)
    outputs, stacked = network(x), network.network(x)  # B L N H W
    assert stacked.shape[:3] == (2, 2, N)
    assert isinstance(outputs["plain"], torch.Tensor)
    for name in TARGETS:
        assert len(outputs[name]) == 2
        for i, level in enumerate(outputs[name]):
            torch.testing.assert_close(level, F.conv2d(stacked[:, i], *network.heads[name].parameters()))
    assert isinstance(network.eval()(x)["sheet"], torch.Tensor)


def test_list_of_levels_becomes_lists_per_target():
    body = NETWORKS["SegResNetDS"][0]()
    network = MultiTargetNetwork(body, TARGETS)
    x = torch.randn(1, 1, 8, 16, 8)
    outputs, levels = network(x), body(x)
    assert [tuple(level.shape) for level in outputs["normals"]] == [(1, 3, 8, 16, 8), (1, 3, 4, 8, 4)]
    for given, level in zip(outputs["normals"], levels, strict=True):
        torch.testing.assert_close(given, F.conv3d(level, *network.heads["normals"].parameters()))


def test_from_json():
    config = ConfigParser(
        {
            "targets": TARGETS,
            "network_def": {
                "_target_": "scripts.networks.MultiTargetNetwork",
                "network": {
                    "_target_": "SegResNet",
                    "spatial_dims": 3,
                    "init_filters": 8,
                    "in_channels": 2,
                    "out_channels": 16,
                },
                "targets": "@targets",
            },
        }
    )
    network = config.get_parsed_content("network_def")
    assert isinstance(network.network, SegResNet)
    assert network.heads["normals"].in_channels == 16
    packed = PackedOutput(network)(torch.randn(1, 2, 8, 8, 8))
    assert packed.shape == (1, 4, 8, 8, 8)


def test_given_channels_need_no_dry_run():
    class Features(nn.Module):
        """Works with values only."""

        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4))

        def forward(self, x):
            return x * float(x.abs().max() > 0) * self.weight.view(1, -1, 1, 1)

    with pytest.raises(ValueError, match="Features has no convolution that tells its input; give patch_size and in_ch"):
        MultiTargetNetwork(Features(), TARGETS)
    with pytest.raises(
        ValueError, match=r"cannot process 4 channels of size \[8, 8\].*Give a patch_size .* feature_channels"
    ):
        MultiTargetNetwork(Features(), TARGETS, patch_size=(8, 8), in_channels=4)
    network = MultiTargetNetwork(Features(), TARGETS, patch_size=(8, 8), in_channels=4, feature_channels=4)
    assert network(torch.ones(1, 4, 8, 8))["normals"].shape == (1, 3, 8, 8)


def test_compiled_network_gives_the_same_output():
    network = MultiTargetNetwork(UNet(2, 1, N, (4, 8), (2,)), TARGETS)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    x = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(compiled(x), network(x))


def test_refused_size_names_the_network_and_the_nearest_size():
    network = MultiTargetNetwork(SegResNet(2, 8, in_channels=1, out_channels=N), TARGETS)
    with pytest.raises(
        ValueError, match=r"SegResNet cannot process 1 channels of size \[15, 20\]; it takes \[16, 24\]"
    ):
        network(torch.zeros(1, 1, 15, 20))
    with pytest.raises(ValueError, match=r"SegResNet cannot process 3 channels of size \[16, 16\]: "):
        network(torch.zeros(1, 3, 16, 16))
    body = SegResNet(2, 8, in_channels=1, out_channels=N)
    with pytest.raises(
        ValueError, match=r"SegResNet cannot process 1 channels of size \[15, 20\]; it takes \[16, 24\]"
    ):
        MultiTargetNetwork(body, TARGETS, patch_size=(15, 20))


def test_faults_that_are_not_the_inputs_pass_unchanged():
    network = MultiTargetNetwork(UNet(2, 1, N, (4, 8), (2,)), TARGETS)

    def full(_, inputs):
        if inputs[0].device.type == "cpu":
            raise RuntimeError("out of memory")

    network.network.register_forward_pre_hook(full)
    with pytest.raises(RuntimeError) as fault:
        network(torch.zeros(1, 1, 8, 8))
    assert str(fault.value) == "out of memory"


class _Wrong(nn.Module):
    """A network whose output is no map of features."""

    def __init__(self, answer):
        super().__init__()
        self.conv, self.answer = nn.Conv2d(1, 4, 1), answer

    def forward(self, x):
        return self.answer(self.conv(x))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda y: {"out": y}, "_Wrong returned dict; expected a tensor B C H W of features, or a list of them"),
        (lambda y: (y, y.mean((2, 3))), r"_Wrong returned \[\(2, 4, 32, 32\), \(2, 4\)\]; expected"),
        (lambda y: y[..., 1:], r"_Wrong returned a size of \[32, 31\] for an input of \[32, 32\]"),
    ],
)
def test_outputs_that_are_no_features(answer, message):
    with pytest.raises(ValueError, match=message):
        MultiTargetNetwork(_Wrong(answer), TARGETS)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"a": {"channels": 1, "decoder": "separate"}}, "targets: a: UNet has one body for all targets"),
        ({"a": {"channels": 1, "deep_supervision": True}}, "'deep_supervision' is true, but UNet returns one level"),
        ({"values": {"channels": 1}}, "'values' is a word that torch keeps for itself"),
    ],
)
def test_options_of_targets_that_cannot_be_followed(targets, message):
    with pytest.raises(ValueError, match=message):
        MultiTargetNetwork(UNet(2, 1, N, (4, 8), (2,)), targets)
