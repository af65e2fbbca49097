"""nnU-Net's weights in MultiTaskUNet, against outputs that `record_resenc.py` recorded from nnU-Net's own network."""

from pathlib import Path

import pytest
import torch

from scripts.networks import (
    MultiTaskUNet,
    UNetPlan,
    match_weights,
    permute_resenc_axes,
    rename_resenc,
    resenc_topology,
    resenc_weights,
)

DATA = Path(__file__).parent / "data"


@pytest.fixture(params=["resenc_3d", "resenc_2d"])
def recorded(request):
    return torch.load(DATA / f"{request.param}.pt", weights_only=True)


def _network(topology, targets, **options):
    topology = dict(topology)
    in_channels, conv_bias = topology.pop("in_channels"), topology.pop("conv_bias")
    dims = len(topology["strides"][0])
    options |= {"plan": UNetPlan(patch_size=[8] * dims, **topology), "conv_bias": conv_bias}
    return MultiTaskUNet(dims, in_channels, targets, deep_supervision=True, **options)


def test_topology_is_read_from_the_shapes(recorded):
    arguments = recorded["arguments"]
    assert resenc_topology(resenc_weights(recorded["weights"])) == {
        "in_channels": arguments["input_channels"],
        "features_per_stage": arguments["features_per_stage"],
        "n_blocks_per_stage": arguments["n_blocks_per_stage"],
        "strides": arguments["strides"],
        "kernel_sizes": arguments["kernel_sizes"],
        "n_conv_per_stage_decoder": arguments["n_conv_per_stage_decoder"][::-1],
        "conv_bias": arguments["conv_bias"],
    }


@pytest.mark.parametrize("decoder", ["separate", "shared"])
def test_outputs_of_every_level_equal_nnunets(recorded, decoder):
    weights = resenc_weights(recorded["weights"])
    n_classes = recorded["arguments"]["num_classes"]
    targets = {"first": {"channels": n_classes}, "second": {"channels": n_classes}}
    network = _network(resenc_topology(weights), targets, decoder=decoder)
    network.load_state_dict(rename_resenc(weights, network.state_dict()))  # strict: every parameter has a counterpart
    outputs = network(recorded["input"])
    for name in targets:
        torch.testing.assert_close(outputs[name], recorded["outputs"], rtol=1e-5, atol=1e-5)
    full = network.eval()(recorded["input"])
    torch.testing.assert_close(full["second"], recorded["outputs"][0], rtol=1e-5, atol=1e-5)


def test_a_target_of_other_channels_gets_the_decoder_and_its_own_head(recorded):
    weights = resenc_weights(recorded["weights"])
    targets = {"classes": {"channels": recorded["arguments"]["num_classes"]}, "other": {"channels": 5}}
    network = _network(resenc_topology(weights), targets)
    match = match_weights(network, rename_resenc(weights, network.state_dict()))
    assert match.faults == []
    assert match.fresh == ["heads.other.levels.0", "heads.other.levels.1"]
    network.load_state_dict(match.weights, strict=False)
    torch.testing.assert_close(network(recorded["input"])["classes"], recorded["outputs"], rtol=1e-5, atol=1e-5)
    theirs, ours = (network.decoders[name].state_dict() for name in targets)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_names_of_wrapped_networks_are_the_same(recorded, prefix):
    plain = resenc_weights(recorded["weights"])
    wrapped = resenc_weights({prefix + name: value for name, value in recorded["weights"].items()})
    assert list(wrapped) == list(plain)
    assert not any("all_modules" in name or "decoder.encoder" in name for name in plain)
    assert sum(value.numel() for value in plain.values()) == sum(
        value.numel() for value in {value.data_ptr(): value for value in recorded["weights"].values()}.values()
    )


def test_permuted_kernels_see_permuted_images_as_before():
    recorded = torch.load(DATA / "resenc_3d.pt", weights_only=True)
    # the image's axes z y x went to the network's axes 2 0 1, as with nnU-Net's transpose_forward = [1, 2, 0]
    weights = permute_resenc_axes(resenc_weights(recorded["weights"]), [2, 0, 1])
    topology = resenc_topology(weights)
    assert topology["strides"] == [[1, 1, 1], [2, 1, 2], [2, 2, 2]]
    assert topology["kernel_sizes"][0] == [3, 1, 3]
    network = _network(topology, {"t": {"channels": 3}})
    network.load_state_dict(rename_resenc(weights, network.state_dict()))
    image = recorded["input"].permute(0, 1, 4, 2, 3)  # B C i0 i1 i2 -> B C z y x, with z = i2, y = i0, x = i1
    for given, expected in zip(network(image)["t"], recorded["outputs"], strict=True):
        torch.testing.assert_close(given, expected.permute(0, 1, 4, 2, 3), rtol=1e-5, atol=1e-5)


def test_parameters_without_counterpart_are_left_out(recorded):
    weights = resenc_weights(recorded["weights"])
    network = _network(
        resenc_topology(weights), {"t": {"channels": 2}}, upsampling="linear", squeeze_excitation="spatial"
    )
    names = list(network.state_dict())
    missing = set(names) - set(rename_resenc(weights, names))
    assert missing == {name for name in names if ".up.preconv." in name or ".excite." in name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda w: {"encoder.stages.0.0.convs.0.conv.weight": torch.ones(1)},
            "unknown: encoder.stages.0.0.convs.0.conv",
        ),
        (lambda w: w | {"encoder.stages.0.blocks.0.conv3.conv.weight": torch.ones(1)}, "unknown: .*conv3"),
        (lambda w: {}, "missing: encoder.stem.convs.0.conv.weight"),
    ],
    ids=["plain encoder", "bottleneck block", "nothing"],
)
def test_other_networks_are_refused(recorded, change, message):
    with pytest.raises(ValueError, match=message):
        resenc_weights(change(recorded["weights"]))


def test_incomplete_weights_are_refused(recorded):
    weights = resenc_weights(recorded["weights"])
    cut = {name: value for name, value in weights.items() if not name.startswith("decoder.seg_layers.1")}
    with pytest.raises(ValueError, match=r"3 encoder stages, which need 2 of each of .*'seg_layers': 1"):
        resenc_topology(cut)
    stem = {"encoder.stem.convs.0.conv.weight": torch.ones(7, 1, 3, 3)}
    with pytest.raises(ValueError, match="the stem has 7 channels, the first stage 4; they must be the same"):
        resenc_topology(weights | stem)
