"""The U-Net of a `param_dict.json`: widths, strides and kernels by hand."""

import pytest
from tests.workflows.sweep_files import MODEL

from scripts.networks import MultiTaskUNet
from scripts.workflows.sweeps.param_dict_network import import_model

# the 3D model of Contraband's experiment 17_A1
MODEL_3D = {
    **MODEL, "in_shape": [14, 260, 256], "fmap_inc_factors": [2, 3, 4],
    "downsample_factors": [[1, 2, 2], [1, 2, 2], [2, 2, 2]],
    "kernel_size_down": [[[1, 3, 3], [3, 3, 3]], [[1, 3, 3], [1, 3, 3]]], "kernel_size_down_repeated": 2,
    "kernel_size_up": [[[1, 3, 3], [3, 3, 3]], [[1, 3, 3]], [[1, 3, 3], [3, 3, 3], [3, 3, 3]]],
    "kernel_size_up_repeated": 1, "constant_upsample": False, "legacy_no_h": True,
}  # fmt: skip


def test_a_model_of_slices():
    settings = import_model(MODEL, "model[0]").settings
    assert settings == {
        "strides": [[1, 1, 1], [1, 2, 2], [1, 2, 2], [1, 2, 2]],
        "patch_size": [1, 264, 264],  # 260 / 8 = 32.5
        "features_per_stage": [12, 72, 432, 2592],
        "kernel_sizes": [[1, 3, 3]] * 4,
        "n_blocks_per_stage": [1, 1, 1, 1],
        "n_conv_per_stage_decoder": [2, 2, 2],
        "in_channels": 1, "upsampling": "nearest", "h_channels": 12, "projection_channels": 12,
        "squeeze_excitation": False, "act": "relu", "decoder": "shared", "deep_supervision": False,
    }  # fmt: skip


def test_a_model_of_volumes():
    model = import_model(MODEL_3D, "model[0]")
    settings = model.settings
    assert settings["strides"] == [[1, 1, 1], [1, 2, 2], [1, 2, 2], [2, 2, 2]]
    assert settings["patch_size"] == [14, 264, 256]
    assert settings["features_per_stage"] == [12, 24, 72, 288]
    assert settings["kernel_sizes"] == [[3, 3, 3], [1, 3, 3], [3, 3, 3], [1, 3, 3]]
    assert settings["n_conv_per_stage_decoder"] == [2, 1, 3]
    assert settings["upsampling"] == "transposed"
    assert any("rounded to a multiple of the strides" in line for line in model.notes.mapped)
    assert any("model[0].legacy_no_h" in line for line in model.notes.dropped)


def test_the_network_can_be_built():
    small = {**MODEL_3D, "num_fmaps": 2, "fmap_inc_factors": 2}
    settings = dict(import_model(small, "model[0]").settings)
    channels = settings.pop("h_channels")
    del settings["projection_channels"]
    network = MultiTaskUNet(3, settings.pop("in_channels"), {"embedding": {"channels": channels}}, **settings)
    assert network.plan.features_per_stage == (2, 4, 8, 16)


@pytest.mark.parametrize(("size", "expected"), [(256, 256), (259, 256), (260, 264), (3, 8)])
def test_patches_are_rounded_to_the_nearest_multiple(size, expected):
    assert import_model({**MODEL, "in_shape": [size, 64]}, "m").settings["patch_size"] == [1, expected, 64]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"in_shape": [260, 260, 260]},
            r"model\[0\].in_shape: expected 2 numbers, one per axis, got \[260, 260, 260\]",
        ),
        ({"fmap_inc_factors": [2, 2]}, "expected a factor for each of the 3 halvings"),
        ({"kernel_size_down_repeated": 3}, "expected 4 levels.*got 1 levels repeated 3 times"),
        ({"kernel_size_down": [[[2, 2], [2, 2]]]}, "model.0.: the network cannot be built so: kernel_sizes"),
        ({"downsample_factors": [2, 2]}, "for each of 2 or 3 axes"),
        ({"downsample_factors": [[2, 2], [2, 2, 2]]}, "for each of 2 or 3 axes"),
        ({"model": "resnet"}, "expected one of unet; got 'resnet'"),
        ({"num_fmaps": 1.5}, r"model\[0\].num_fmaps: expected a whole number of at least 1, got 1.5"),
        ({"constant_upsample": "yes"}, "expected true or false, got 'yes'"),
    ],
)
def test_what_is_no_u_net_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        import_model({**MODEL, **changes}, "model[0]")


def test_missing_keys_are_named():
    with pytest.raises(ValueError, match=r"model\[0\] lacks num_fmaps; expected"):
        import_model({key: value for key, value in MODEL.items() if key != "num_fmaps"}, "model[0]")
