"""nnU-Net's plans, written by hand after the files that its ResEnc planners make."""

import copy

import pytest

from scripts.networks import plans_axes, plans_options

ARCHITECTURE = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet",
    "arch_kwargs": {
        "n_stages": 3,
        "features_per_stage": [32, 64, 128],
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
        "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
        "n_blocks_per_stage": [1, 3, 4],
        "n_conv_per_stage_decoder": [2, 1],
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    },
    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
}
PLANS = {
    "transpose_forward": [1, 0, 2],
    "transpose_backward": [1, 0, 2],
    "configurations": {
        "3d_fullres": {"patch_size": [20, 64, 48], "spacing": [5.0, 1.0, 1.5], "architecture": ARCHITECTURE},
        "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
        "old": {"patch_size": [64, 64, 64], "spacing": [1, 1, 1], "UNet_class_name": "ResidualEncoderUNet"},
    },
}


def test_values_are_read_full_resolution_first():
    assert plans_options(PLANS, "3d_fullres") == {
        "patch_size": [20, 64, 48],
        "spacing": [5.0, 1.0, 1.5],
        "features_per_stage": [32, 64, 128],
        "n_blocks_per_stage": [1, 3, 4],
        "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
        "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
        "n_conv_per_stage_decoder": [1, 2],
        "norm": ["instance", {"eps": 1e-05, "affine": True}],
        "act": ["leakyrelu", {"inplace": True}],
    }
    assert plans_options(PLANS, "3d_cascade_fullres") == plans_options(PLANS, "3d_fullres")


def test_one_number_stands_for_all_stages_and_axes():
    plans = copy.deepcopy(PLANS)
    arguments = plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    arguments |= {"strides": [1, 2, 2], "kernel_sizes": 3, "n_blocks_per_stage": 2, "n_conv_per_stage_decoder": 1}
    arguments |= {"norm_op": "torch.nn.BatchNorm3d", "norm_op_kwargs": None, "nonlin": "torch.nn.ReLU"}
    options = plans_options(plans, "3d_fullres")
    assert options["strides"] == [[1, 1, 1], [2, 2, 2], [2, 2, 2]]
    assert options["kernel_sizes"] == [[3, 3, 3]] * 3
    assert options["n_blocks_per_stage"] == [2, 2, 2]
    assert options["n_conv_per_stage_decoder"] == [1, 1]
    assert (options["norm"], options["act"]) == (["batch", {}], ["relu", {"inplace": True}])


def test_older_plans_give_patch_size_and_spacing_alone():
    assert plans_options(PLANS, "old") == {"patch_size": [64, 64, 64], "spacing": [1, 1, 1]}


def test_axes_undo_the_transposition():
    assert plans_axes(PLANS, 3) == [1, 0, 2]
    # network axes 0 1 2 are image axes 2 0 1, so image axes 0 1 2 are network axes 1 2 0
    assert plans_axes({"transpose_forward": [2, 0, 1]}, 3) == [1, 2, 0]
    assert plans_axes({"transpose_forward": [2, 1, 0]}, 2) == [1, 0]
    assert plans_axes({}, 2) == [0, 1]


def test_bad_plans():
    with pytest.raises(ValueError, match="no configuration '3d_lowres', only 3d_fullres, 3d_cascade_fullres, old"):
        plans_options(PLANS, "3d_lowres")
    plans = copy.deepcopy(PLANS)
    architecture = plans["configurations"]["3d_fullres"]["architecture"]
    architecture["arch_kwargs"]["norm_op"] = "torch.nn.LayerNorm"
    with pytest.raises(ValueError, match=r"the plans' norm is torch\.nn\.LayerNorm; known are InstanceNorm, BatchNorm"):
        plans_options(plans, "3d_fullres")
    architecture["network_class_name"] = "dynamic_network_architectures.architectures.unet.PlainConvUNet"
    with pytest.raises(ValueError, match="the plans are for PlainConvUNet; only ResidualEncoderUNet"):
        plans_options(plans, "3d_fullres")
