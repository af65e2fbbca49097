"""The network's options: each changes it as documented, by counts worked out by hand."""

import pytest
import torch
from monai.data import MetaTensor

from scripts.networks import MultiTaskUNet

TARGETS = {"sheet": {"channels": 1}, "normals": {"channels": 3, "kind": "normal"}}
SMALL = {"patch_size": (8, 8, 8), "features_per_stage": [4, 8], "n_blocks_per_stage": [1, 1]}


def _count(module):
    return sum(p.numel() for p in module.parameters())


def _conv(c_in, c_out, kernel=27):
    """Parameters of convolution with bias and affine norm."""
    return c_in * c_out * kernel + c_out + 2 * c_out


ENCODER = _conv(1, 4) + 2 * _conv(4, 4) + _conv(4, 8) + _conv(8, 8) + (4 * 8 + 2 * 8)
DECODER = (8 * 4 * 8 + 4) + _conv(8, 4)
HEADS = (4 + 1) + 3 * (4 + 1)


def _network(targets=TARGETS, **options):
    torch.manual_seed(0)
    network = MultiTaskUNet(3, 1, targets, **(SMALL | options))
    for parameter in network.parameters():  # the last norms start at zero and would hide what lies before them
        torch.nn.init.normal_(parameter, std=0.3)
    return network


def test_parameters_by_hand():
    assert _count(_network()) == ENCODER + 2 * DECODER + HEADS


def test_shared_decoder_saves_one_decoder():
    assert _count(_network(decoder="shared")) == ENCODER + DECODER + HEADS


def test_targets_override_the_decoder():
    targets = {
        "a": {"channels": 1},
        "b": {"channels": 1, "decoder": "shared"},
        "c": {"channels": 1, "decoder": "separate"},
        "d": {"channels": 1, "decoder": "shared"},
    }
    mixed = _network(targets)  # a and c have their own, b and d share one
    assert _count(mixed) == ENCODER + 3 * DECODER + 4 * 5
    assert list(mixed.decoders) == ["a", "c"]
    mixed.eval()
    x = torch.randn(1, 1, 8, 8, 8)
    before = mixed(x)
    with torch.no_grad():
        mixed.shared_decoder.levels[0].up.weight.mul_(-1)
    after = mixed(x)
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed == ["b", "d"]
    assert list(before) == ["a", "b", "c", "d"]


def test_squeeze_excitation_adds_its_layers_and_changes_the_output():
    plain, excited = _network(), _network(squeeze_excitation=True, se_ratio=2)
    # two linear layers C -> C / 2 -> C per block, one block of 4 and one of 8 channels
    assert _count(excited) - _count(plain) == (4 * 2 + 2 + 2 * 4 + 4) + (8 * 4 + 4 + 4 * 8 + 8)
    assert _count(_network(squeeze_excitation=True, se_ratio=4)) - _count(plain) == (4 + 1 + 4 + 4) + (16 + 2 + 16 + 8)
    missing = excited.load_state_dict(plain.state_dict(), strict=False)
    assert not missing.unexpected_keys
    x = torch.randn(1, 1, 8, 8, 8)
    difference = (plain.eval()(x)["sheet"] - excited.eval()(x)["sheet"]).abs().max()
    assert difference.item() > 1e-3


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({"squeeze_excitation": "spatial"}, 4 + 8),
        ({"squeeze_excitation": "both", "se_ratio": 2}, (4 * 2 + 2 + 2 * 4 + 4) + (8 * 4 + 4 + 4 * 8 + 8) + 4 + 8),
        ({"norm": ["instance", {"affine": False}]}, -2 * (4 * 3 + 8 * 3 + 2 * 4)),
        ({"norm": "batch"}, 0),
        ({"norm": ["group", {"num_groups": 2}]}, 0),
        ({"act": "relu"}, 0),
        ({"act": "prelu"}, 1 + 2 * 2 + 2),
        ({"conv_bias": False}, -(4 * 3 + 8 * 2) - 2 * (4 + 4)),
        ({"upsampling": "nearest"}, -2 * 7 * 8 * 4),
        ({"upsampling": "linear"}, -2 * 7 * 8 * 4),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_options_change_parameters_as_counted_and_the_output(options, more):
    torch.manual_seed(0)
    plain, other = MultiTaskUNet(3, 1, TARGETS, **SMALL), MultiTaskUNet(3, 1, TARGETS, **SMALL, **options)
    assert _count(other) - _count(plain) == more
    for network in (plain, other):
        generator = torch.Generator().manual_seed(0)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    kept = {name: value for name, value in plain.state_dict().items() if name in other.state_dict()}
    same_shape = {name: value for name, value in kept.items() if other.state_dict()[name].shape == value.shape}
    other.load_state_dict(same_shape, strict=False)
    x = torch.randn(2, 1, 8, 8, 8)
    assert (plain(x)["normals"] - other(x)["normals"]).abs().max() > 1e-3


def test_defaults_are_instance_norm_leaky_relu_and_transposed_convolutions():
    plain = _network(deep_supervision=True).eval()
    written_out = _network(
        deep_supervision=True,
        norm=["instance", {"eps": 1e-5, "affine": True}],
        act=["leakyrelu", {"negative_slope": 0.01, "inplace": True}],
        conv_bias=True,
        dropout=0.0,
        squeeze_excitation=False,
        stochastic_depth_p=0.0,
        upsampling="transposed",
        activation_checkpointing=False,
    ).eval()
    x = torch.randn(1, 1, 8, 8, 8)
    torch.testing.assert_close(plain(x), written_out(x), rtol=0, atol=0)


def test_stochastic_depth_changes_training_alone():
    plain, dropping = _network(), _network(stochastic_depth_p=0.9)
    x = torch.randn(2, 1, 8, 8, 8)
    assert not torch.equal(plain(x)["sheet"], dropping(x)["sheet"])
    assert torch.equal(plain.eval()(x)["sheet"], dropping.eval()(x)["sheet"])


@pytest.mark.parametrize("decoder", ["separate", "shared"])
def test_dropout_changes_training_alone_and_no_name_of_a_weight(decoder):
    plain, zero, dropping = (_network(decoder=decoder, dropout=p) for p in (0.0, 0.0, 0.5))
    assert list(dropping.state_dict()) == list(plain.state_dict())
    assert [str(module) for module in zero.modules()] == [
        str(module) for module in MultiTaskUNet(3, 1, TARGETS, **SMALL, decoder=decoder).modules()
    ]
    x = torch.randn(2, 1, 8, 8, 8)
    torch.testing.assert_close(zero(x), plain(x), rtol=0, atol=0)
    first, second = dropping(x)["normals"], dropping(x)["normals"]
    assert not torch.equal(first, plain(x)["normals"])
    assert not torch.equal(first, second)
    torch.testing.assert_close(dropping.eval()(x), plain.eval()(x), rtol=0, atol=0)


def test_dropout_is_in_the_encoder_and_in_the_decoders():
    dropping = _network(dropout=0.5)
    where = {name.split(".")[0] for name, m in dropping.named_modules() if isinstance(m, torch.nn.Dropout3d)}
    assert where == {"encoder", "decoders"}


def test_activation_checkpointing_repeats_the_same_dropout():
    plain, twice = (_network(dropout=0.5, activation_checkpointing=on) for on in (False, True))
    x = torch.randn(2, 1, 8, 8, 8)
    for network in (plain, twice):
        torch.manual_seed(1)
        network(x)["sheet"].square().mean().backward()
    for one, other in zip(plain.parameters(), twice.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None)
        if one.grad is not None:
            torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("upsampling", ["nearest", "linear"])
def test_every_option_at_once_in_2d_and_3d(dims, upsampling):
    torch.manual_seed(0)
    network = MultiTaskUNet(
        dims,
        3,
        {"a": {"channels": 2}, "b": {"channels": 1, "decoder": "separate", "deep_supervision": False}},
        patch_size=(16,) * dims,
        features_per_stage=[4, 8, 8],
        n_blocks_per_stage=[1, 2, 1],
        strides=[1, (2,) * dims, (1, *(2,) * (dims - 1))],
        squeeze_excitation="both",
        se_ratio=2,
        stochastic_depth_p=0.3,
        norm=["group", {"num_groups": 4}],
        act="gelu",
        conv_bias=False,
        dropout=0.2,
        upsampling=upsampling,
        activation_checkpointing=True,
        decoder="shared",
        deep_supervision=True,
    )
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    outputs = network(torch.randn(4, 3, *(16,) * dims))
    assert [tuple(level.shape) for level in outputs["a"]] == [(4, 2, *(16,) * dims), (4, 2, *(8,) * dims)]
    sum(level.square().mean() for level in [*outputs["a"], outputs["b"]]).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not torch.any(p.grad)] == []


def test_shared_parameters_belong_to_the_last_layer_that_every_target_uses():
    def names(network):
        ids = {id(p) for p in network.shared_parameters()}
        return {name for name, p in network.named_parameters() if id(p) in ids}

    separate, shared = _network(), _network(decoder="shared", n_conv_per_stage_decoder=2)
    mixed = _network({"a": {"channels": 1, "decoder": "shared"}, "b": {"channels": 1}})
    bottleneck = {name for name, _ in separate.named_parameters() if name.startswith("encoder.stages.1.")}
    assert names(separate) == names(mixed) == bottleneck
    last = "shared_decoder.levels.0.convs.1"
    assert names(shared) == {f"{last}.{name}" for name in ("conv.weight", "conv.bias", "adn.N.weight", "adn.N.bias")}
    for network in (separate, shared, mixed):
        outputs = network(torch.randn(1, 1, 8, 8, 8))
        for output in outputs.values():  # every target moves every shared parameter
            gradients = torch.autograd.grad(output.square().mean(), network.shared_parameters(), retain_graph=True)
            assert len(gradients) == len(names(network))


def test_shared_parameters_of_a_single_stage():
    network = MultiTaskUNet(3, 1, TARGETS, patch_size=(5, 5, 5), features_per_stage=[4], decoder="shared")
    assert len(network.shared_parameters()) == len(list(network.encoder.stages[0].parameters()))


def test_bfloat16_on_cpu_is_close():
    network = _network(squeeze_excitation="both", se_ratio=2, upsampling="linear", activation_checkpointing=True)
    x = torch.randn(2, 1, 8, 8, 8)
    full = network(x)["normals"]
    with torch.autocast("cpu", torch.bfloat16):
        half = network(x)["normals"]
    half.float().mean().backward()
    assert torch.isfinite(half).all()
    # eight bits of mantissa, through ten layers
    assert (half - full).abs().max() < 0.1 * full.abs().max()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


@pytest.mark.long
def test_compiled_network_gives_the_same_output():
    network = _network(squeeze_excitation=True, se_ratio=2, deep_supervision=True)
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    x = torch.randn(2, 1, 8, 8, 8)
    torch.testing.assert_close(compiled(x), network(x), rtol=1e-5, atol=1e-5)


def test_in_channels_blocks_and_convolutions_count():
    assert _count(MultiTaskUNet(3, 2, TARGETS, **SMALL)) - _count(_network()) == 4 * 27
    assert _count(_network(n_blocks_per_stage=[1, 2])) - _count(_network()) == 2 * _conv(8, 8)
    assert _count(_network(n_conv_per_stage_decoder=2)) - _count(_network()) == 2 * _conv(4, 4)


def test_deep_supervision_lists_every_level_in_training_only():
    options = {"patch_size": (16, 32, 16), "features_per_stage": [4, 8, 8], "n_blocks_per_stage": [1, 1, 1]}
    targets = TARGETS | {"plain": {"channels": 1, "deep_supervision": False}}
    network = _network(targets, **options, deep_supervision=True)
    x = torch.randn(2, 1, 16, 32, 16)
    outputs = network(x)
    assert [tuple(level.shape) for level in outputs["normals"]] == [(2, 3, 16, 32, 16), (2, 3, 8, 16, 8)]
    assert tuple(outputs["plain"].shape) == (2, 1, 16, 32, 16)
    outputs["sheet"][1].sum().backward()
    lower = network.heads["sheet"].levels[1].weight.grad
    assert lower is not None
    assert torch.count_nonzero(lower) > 0
    assert network.heads["sheet"].levels[0].weight.grad is None
    evaluated = network.eval()(x)
    assert {name: type(value) for name, value in evaluated.items()} == dict.fromkeys(targets, torch.Tensor)
    torch.testing.assert_close(evaluated["normals"], outputs["normals"][0])


def test_a_target_may_ask_for_deep_supervision_alone():
    network = _network({"a": {"channels": 1, "deep_supervision": True}, "b": {"channels": 1}})
    outputs = network(torch.randn(1, 1, 8, 8, 8))
    assert isinstance(outputs["a"], list)
    assert isinstance(outputs["b"], torch.Tensor)


def test_anisotropic_plan_mixes_nothing_across_slices_where_kernels_are_flat():
    network = _network(patch_size=(4, 16, 16), spacing=(10, 1, 1), kernel_sizes=[[1, 3, 3], [1, 3, 3]]).eval()
    assert network.plan.strides == ((1, 1, 1), (1, 2, 2))
    x = torch.zeros(1, 1, 4, 16, 16, requires_grad=True)
    # Instance norm joins all voxels by its statistics, so look at the convolutions alone.
    for module in network.modules():
        if isinstance(module, torch.nn.InstanceNorm3d):
            module.forward = lambda y: y
    network(x)["sheet"][:, :, 1].sum().backward()
    touched = x.grad.abs().amax(dim=(0, 1, 3, 4))  # B C D H W -> D
    assert (touched > 0).tolist() == [False, True, False, False]


def test_2d_parameters_by_hand():
    network = MultiTaskUNet(2, 3, {"t": {"channels": 2}}, patch_size=(16, 16), features_per_stage=[4, 8])
    conv = lambda c_in, c_out: _conv(c_in, c_out, kernel=9)  # noqa: E731
    encoder = conv(3, 4) + 2 * conv(4, 4) + conv(4, 8) + conv(8, 8) + 48 + 4 * conv(8, 8)  # 1 and 3 blocks
    decoder = (8 * 4 * 4 + 4) + conv(8, 4)
    assert _count(network) == encoder + decoder + 2 * 5
    assert network(torch.randn(1, 3, 16, 24))["t"].shape == (1, 2, 16, 24)


def test_single_stage_has_no_decoder_levels():
    network = MultiTaskUNet(3, 1, {"t": {"channels": 1}}, patch_size=(5, 5, 5), features_per_stage=[4])
    assert _count(network) == _conv(1, 4) + 2 * _conv(4, 4) + 5
    assert network(torch.randn(1, 1, 5, 5, 5))["t"].shape == (1, 1, 5, 5, 5)


def test_state_dict_round_trip_gives_equal_outputs():
    network = _network().eval()
    other = MultiTaskUNet(3, 1, TARGETS, **SMALL).eval()
    x = torch.randn(1, 1, 8, 8, 8)
    assert not torch.equal(other(x)["sheet"], network(x)["sheet"])
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(x)["sheet"], network(x)["sheet"])


def test_metatensor_gives_the_same_values():
    network = _network().eval()
    x = torch.randn(1, 1, 8, 8, 8)
    torch.testing.assert_close(torch.as_tensor(network(MetaTensor(x))["normals"]), network(x)["normals"])


def test_input_that_does_not_fit_names_the_nearest_sizes():
    with pytest.raises(ValueError, match=r"axis y has 9 voxels, which 2 does not divide \(nearest: 8 or 10\)"):
        _network()(torch.zeros(1, 1, 8, 9, 8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decoder": "share"}, r"'separate' or 'shared', got 'share' \(did you mean 'shared'\?\)"),
        ({"in_channels": 0}, "in_channels must be a positive whole number, got 0"),
        ({"squeeze_excitation": True, "se_ratio": "4"}, "se_ratio must be 1 to 4, .* got '4'"),
        ({"stochastic_depth_p": "0.1"}, "stochastic_depth_p must be a number >= 0 and < 1, got '0.1'"),
        ({"stochastic_depth_p": 1.0}, "stochastic_depth_p must be a number >= 0 and < 1, got 1.0"),
        ({"norm": ["group", {"num_groups": 3}]}, "num_groups = 3 does not divide 4"),
        ({"upsampling": "bilinear"}, r"got 'bilinear' \(did you mean 'linear'\?\)"),
        ({"squeeze_excitation": True}, "se_ratio must be 1 to 4, the fewest features of a stage; got 16"),
        ({"targets": {"values": {"channels": 1}}}, "targets: 'values' is a word that torch keeps for itself"),
        ({"targets": {"a": {"chanels": 1}}}, "did you mean 'channels'"),
        ({"spatial_dims": 2}, r"spatial_dims is 2, but the patch size is \[8, 8, 8\]"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        MultiTaskUNet(**({"spatial_dims": 3, "in_channels": 1, "targets": TARGETS} | SMALL | options))
