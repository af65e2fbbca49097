"""Records what nnU-Net's residual encoder U-Net computes; run by hand, its files are read by the tests.

    pip install --no-deps --target /tmp/resenc dynamic-network-architectures==0.4.4
    PYTHONPATH=/tmp/resenc python tests/networks/record_resenc.py

Each file of `data/` holds the arguments, the state dictionary as nnU-Net saves it (the same tensors under several
names), an input, and the outputs of all supervised levels.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

FOLDER = Path(__file__).parent / "data"

ARGUMENTS = {
    "resenc_3d": {
        "input_channels": 2,
        "n_stages": 3,
        "features_per_stage": [4, 6, 8],
        "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
        "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
        "n_blocks_per_stage": [1, 2, 2],
        "n_conv_per_stage_decoder": [2, 1],  # lowest level first
        "num_classes": 3,
        "conv_bias": True,
    },
    "resenc_2d": {
        "input_channels": 1,
        "n_stages": 3,
        "features_per_stage": [4, 8, 8],
        "kernel_sizes": [[3, 3], [3, 3], [5, 3]],
        "strides": [[1, 1], [2, 2], [2, 1]],
        "n_blocks_per_stage": [1, 1, 2],
        "n_conv_per_stage_decoder": [1, 1],
        "num_classes": 2,
        "conv_bias": False,
    },
}
SIZES = {"resenc_3d": (4, 12, 8), "resenc_2d": (12, 8)}


def record(name: str) -> None:
    """Build a network with random weights, run it, and write `data/NAME.pt`."""
    from dynamic_network_architectures.architectures.unet import ResidualEncoderUNet

    arguments = ARGUMENTS[name]
    dims = len(arguments["strides"][0])
    torch.manual_seed(0)
    network = ResidualEncoderUNet(
        **arguments,
        conv_op=(nn.Conv2d, nn.Conv3d)[dims - 2],
        norm_op=(nn.InstanceNorm2d, nn.InstanceNorm3d)[dims - 2],
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        deep_supervision=True,
    )
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    x = torch.randn(2, arguments["input_channels"], *SIZES[name])
    with torch.no_grad():
        outputs = network(x)
    FOLDER.mkdir(exist_ok=True)
    torch.save(
        {"arguments": arguments, "weights": network.state_dict(), "input": x, "outputs": outputs},
        FOLDER / f"{name}.pt",
    )


if __name__ == "__main__":
    for case in ARGUMENTS:
        record(case)
