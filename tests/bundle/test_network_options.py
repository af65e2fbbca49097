"""Networks of other kinds: trained, written down in network.json, and built again for inference."""

import json
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser
from tests.bundle.running import BUNDLE, folders, options, run, write_overlay

from scripts.networks import MultiTargetNetwork, MultiTaskUNet
from scripts.volumes import open_volume
from scripts.workflows import phantom

SHORT = {"max_epochs": 1, "max_steps_per_epoch": 2, "max_val_steps_per_epoch": 2, "device": "cpu"}
SMALL = {"patch_size": [16, 16, 16], "features_per_stage": [8, 8], "n_blocks_per_stage": [1, 1]}

OTHER_BLOCKS = {
    **SMALL,
    "strides": [1, [1, 2, 2]],
    "kernel_sizes": [[1, 3, 3], 3],
    "n_conv_per_stage_decoder": 2,
    "squeeze_excitation": "both",
    "se_ratio": 2,
    "stochastic_depth_p": 0.2,
    "norm": ["group", {"num_groups": 4}],
    "act": "gelu",
    "conv_bias": False,
    "upsampling": "linear",
    "activation_checkpointing": True,
    "deep_supervision": True,
    "loss_balance": "gradient_norm",
}
OF_MONAI = {
    "patch_size": [16, 16, 16],
    "width": 8,  # a setting of one's own, which inference does not have
    "network_def": {
        "_target_": "scripts.networks.MultiTargetNetwork",
        "network": {
            "_target_": "SegResNet",
            "spatial_dims": 3,
            "in_channels": "@in_channels",
            "out_channels": "@width",
            "init_filters": 8,
            "blocks_down": [1, 1],
            "blocks_up": [1],
        },
        "targets": "@targets",
        "patch_size": "@patch_size",
    },
}


@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "kind"), [(OTHER_BLOCKS, MultiTaskUNet), (OF_MONAI, MultiTargetNetwork)], ids=["blocks", "monai"]
)
def test_a_network_is_trained_and_predicts(settings: dict[str, object], kind: type, tmp_path: Path) -> None:
    phantom(tmp_path / "phantom.zarr", size=64, n_blocks=2, block=32)
    overlay = write_overlay(tmp_path / "settings.json", **settings)
    run("training", *options(**folders(tmp_path), **SHORT), configs=["configs/train.json", overlay])
    described = tmp_path / "output" / "network.json"
    network = ConfigParser(
        ConfigParser.load_config_files([str(BUNDLE / "configs" / "inference.json"), str(described)])
    ).get_parsed_content("network_def")
    assert type(network) is kind
    network.load_state_dict(torch.load(tmp_path / "models" / "model.pt", weights_only=True))
    if kind is MultiTaskUNet:
        plan = network.plan
        assert plan.strides == ((1, 1, 1), (1, 2, 2))
        assert plan.kernel_sizes == ((1, 3, 3), (3, 3, 3))
        assert plan.n_conv_per_stage_decoder == (2,)
    else:
        assert json.loads(described.read_text())["network_def"]["network"]["out_channels"] == 8
    run(
        "inference",
        *options(
            input=tmp_path / "phantom.zarr" / "raw",
            output=tmp_path / "prediction.zarr",
            weights=tmp_path / "models" / "model.pt",
            device="cpu",
            roi_size=[32, 32, 32],
        ),
        configs=["configs/inference.json", described],
    )
    for target, channels in (("sheet", 1), ("normals", 3)):
        predicted = open_volume(tmp_path / "prediction.zarr" / target)
        assert predicted.shape == (channels, 64, 64, 64)
        values = predicted.read((0, 0, 0), (64, 64, 64))
        assert values.min() < values.max()
