"""What a network takes from the weights of another."""

import re

import pytest
import torch

from scripts.networks import MultiTaskUNet, match_weights

SHEET = {"sheet": {"channels": 1}}
BOTH = {**SHEET, "normals": {"channels": 3, "kind": "normal"}}


def network(targets, **options):
    torch.manual_seed(len(targets))
    given = {"patch_size": [8, 8, 8], "features_per_stage": [4, 8], "n_blocks_per_stage": [1, 1], **options}
    return MultiTaskUNet(3, 1, targets, **given)


def test_a_new_target_starts_anew_and_the_rest_is_loaded():
    old, new = network(SHEET), network(BOTH)
    match = match_weights(new, old.state_dict())
    assert match.faults == []
    assert (match.loaded, match.fresh, match.unused) == (
        ["encoder", "decoders.sheet", "heads.sheet.levels.0"],
        ["decoders.normals", "heads.normals.levels.0"],
        [],
    )
    before = new.heads["normals"].levels[0].weight.clone()
    new.load_state_dict(match.weights, strict=False)
    image = torch.randn(2, 1, 8, 8, 8)
    torch.testing.assert_close(new.eval()(image)["sheet"], old.eval()(image)["sheet"])
    assert torch.equal(new.heads["normals"].levels[0].weight, before)
    assert str(match) == (
        "loaded encoder, decoders.sheet, heads.sheet.levels.0; "
        "starting anew, not in the file or with other channels there: decoders.normals, heads.normals.levels.0"
    )


def test_a_target_that_is_gone_is_left_out():
    match = match_weights(network(SHEET), network(BOTH).state_dict())
    assert match.faults == match.fresh == []
    assert match.unused == ["decoders.normals", "heads.normals.levels.0"]
    assert "in the file, but not in the network: decoders.normals" in str(match)


def test_a_head_with_other_channels_starts_anew():
    match = match_weights(network({"sheet": {"channels": 3}}), network(SHEET).state_dict())
    assert match.faults == []
    assert match.fresh == ["heads.sheet.levels.0"]
    assert "decoders.sheet" in match.loaded


def test_levels_of_deep_supervision_may_come_later():
    shape = {"patch_size": [16, 16, 16], "features_per_stage": [4, 8, 8], "n_blocks_per_stage": [1, 1, 1]}
    match = match_weights(network(SHEET, deep_supervision=True, **shape), network(SHEET, **shape).state_dict())
    assert match.faults == []
    assert match.fresh == ["heads.sheet.levels.1"]
    assert "heads.sheet.levels.0" in match.loaded


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"features_per_stage": [4, 16]}, r"has other shapes: encoder\.stages\.1\.0\.conv1.*instead of"),
        ({"n_blocks_per_stage": [1, 2]}, r"lacks encoder\.stages\.1\.1\.conv1"),
        ({"squeeze_excitation": True, "se_ratio": 2}, r"lacks encoder\.stages\.0\.0\.excite"),
        ({"n_conv_per_stage_decoder": 2}, None),
    ],
)
def test_another_plan_is_a_fault(options, said):
    match = match_weights(network(SHEET, **options), network(SHEET).state_dict())
    if said is None:  # more convolutions: the decoder as a whole starts anew
        assert match.faults == []
        assert "decoders.sheet" in match.fresh
    else:
        assert len(match.faults) >= 1
        assert any(re.search(said, fault) for fault in match.faults)


def test_weights_of_another_kind_of_network_are_a_fault():
    match = match_weights(network(SHEET), torch.nn.Conv3d(1, 1, 1).state_dict())
    assert match.faults[1] == "has unknown weight, bias"
    assert match.faults[0].startswith("lacks encoder.stem.conv.weight")


def test_the_only_decoder_of_a_file_starts_those_that_it_does_not_have():
    match = match_weights(network({"depth": {"channels": 1}, "fibre": {"channels": 1}}), network(SHEET).state_dict())
    assert match.faults == []
    assert str(match).startswith("loaded encoder, decoders.depth (from decoders.sheet), decoders.fibre (from decoders")
    several = match_weights(network({"depth": {"channels": 1}}), network(BOTH).state_dict())
    assert several.fresh == ["decoders.depth", "heads.depth.levels.0"]
    other = match_weights(network({"depth": {"channels": 1}}, n_conv_per_stage_decoder=2), network(SHEET).state_dict())
    assert (other.faults, other.fresh[0], other.sources) == ([], "decoders.depth", {})


def test_frozen_parts_must_be_in_the_file():
    one = network(BOTH)
    one.decoders["normals"].requires_grad_(False)
    (fault,) = match_weights(one, network(SHEET).state_dict()).faults
    assert fault.startswith("lacks decoders.normals.levels.0.up")
