"""Options of the blocks: which are taken, and what is said of the others."""

import math

import pytest
import torch

from scripts.networks.block_options import BlockOptions


def test_learned_scale_is_the_default_of_instance_norm():
    assert BlockOptions().norm == ("instance", {"affine": True})
    assert BlockOptions(norm=["Instance", {"affine": False}]).norm == ("instance", {"affine": False})


def test_true_is_the_channel_form():
    assert BlockOptions(squeeze_excitation=True) == BlockOptions(squeeze_excitation="channel")
    assert BlockOptions(squeeze_excitation=False) == BlockOptions()


@pytest.mark.parametrize(
    ("act", "slope"),
    [
        (["leakyrelu", {"negative_slope": 0.3}], 0.3),
        ("LEAKYRELU", 0.01),
        (["prelu", {"init": 0.2}], 0.2),
        ("relu", 0.0),
        ("gelu", 0.0),
    ],
)
def test_initial_weights_follow_the_slope_of_the_activation(act, slope):
    assert BlockOptions(act=act).negative_slope == pytest.approx(slope)
    with torch.device("meta"):  # where a network is built without data
        assert BlockOptions(act=act).negative_slope == pytest.approx(slope)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "instnace"}, r"norm must be .*, got 'instnace' \(did you mean 'instance'\?\)"),
        ({"norm": "group"}, r'"group" needs num_groups, as in .*; got \'group\''),
        ({"norm": ["group", {"num_groups": 0}]}, "needs num_groups"),
        ({"norm": ["instance", {"epsilon": 1}]}, r"norm: \['instance', \{'epsilon': 1\}\] cannot be built"),
        ({"norm": ["batch"]}, r"norm must be a name, or a list .*; got \['batch'\]"),
        ({"norm": None}, "norm must be a name, or a list .*; got None"),
        ({"act": "leakyrelo"}, r"got 'leakyrelo' \(did you mean 'leakyrelu'\?\)"),
        ({"act": ["relu", {"slope": 1}]}, "cannot be used: .*'slope'"),
        ({"act": ["leakyrelu", {"negative_slope": -1.0, "inplace": True}]}, "cannot be used: .*negative slope"),
        ({"act": "geglu"}, "act: 'geglu' changes the shape"),
        ({"act": ["elu", {"alpha": math.inf}]}, "act: .* makes numbers that are not finite"),
        ({"squeeze_excitation": "chanel"}, r"got 'chanel' \(did you mean 'channel'\?\)"),
        ({"squeeze_excitation": 1}, "'channel' or 'spatial' or 'both', got 1"),
        ({"upsampling": "trilinear"}, r"got 'trilinear' \(did you mean 'linear'\?\)"),
        ({"conv_bias": "no"}, "conv_bias must be true or false, got 'no'"),
        ({"dropout": 1.0}, "dropout must be a number >= 0 and < 1, got 1.0"),
        ({"dropout": "0.1"}, "dropout must be a number >= 0 and < 1, got '0.1'"),
        ({"dropout": True}, "dropout must be a number >= 0 and < 1, got True"),
        ({"activation_checkpointing": 1}, "activation_checkpointing must be true or false, got 1"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        BlockOptions(**options)


def test_groups_must_divide_the_features_of_every_stage():
    options = BlockOptions(norm=["group", {"num_groups": 4}])
    options.check_features([4, 8])
    with pytest.raises(ValueError, match=r"num_groups = 4 does not divide 6, one of features_per_stage = \[4, 6\]"):
        options.check_features([4, 6])


def test_the_ratio_counts_where_channels_are_squeezed():
    BlockOptions(squeeze_excitation="spatial", se_ratio=16).check_features([4, 8])
    for form in ("channel", "both"):
        with pytest.raises(ValueError, match="se_ratio must be 1 to 4, the fewest features of a stage; got 16"):
            BlockOptions(squeeze_excitation=form, se_ratio=16).check_features([4, 8])
