"""Weights of nnU-Net's residual encoder U-Net, for `MultiTaskUNet`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

Weights = Mapping[str, torch.Tensor]

_WRAPPERS = re.compile(r"^(?:module\.|_orig_mod\.)+")  # of distributed and compiled networks
_DUPLICATE = re.compile(r"\.all_modules\.|^decoder\.encoder\.")  # the same tensors under a second name
_LAYER = r"(?:conv|norm)\.\w+"
_KNOWN = re.compile(
    rf"^encoder\.stem\.convs\.0\.{_LAYER}$"
    rf"|^encoder\.stages\.\d+\.blocks\.\d+\.(?:conv1|conv2|skip\.\d)\.{_LAYER}$"
    rf"|^decoder\.stages\.\d+\.convs\.\d+\.{_LAYER}$"
    r"|^decoder\.(?:transpconvs|seg_layers)\.\d+\.(?:weight|bias)$"
)
_DECODER = r"^(?:shared_decoder|decoders\.\w+)\.levels\.(\d+)"


def resenc_weights(weights: Weights) -> dict[str, torch.Tensor]:
    """Take each tensor of a `ResidualEncoderUNet` once, under its plain name.

    Args:
        weights: `network_weights` of an nnU-Net v2 checkpoint, or the network's state dictionary.

    Raises:
        ValueError: if they belong to another network.
    """
    plain = {_WRAPPERS.sub("", name): value for name, value in weights.items()}
    single = {name: value for name, value in plain.items() if not _DUPLICATE.search(name)}
    unknown = [name for name in single if not _KNOWN.match(name)]
    needed = ("encoder.stem.convs.0.conv.weight", "encoder.stages.0.blocks.0.conv1.conv.weight")
    missing = [name for name in needed if name not in single]
    if unknown or missing:
        said = f"unknown: {', '.join(unknown[:3])}" if unknown else f"missing: {', '.join(missing)}"
        raise ValueError(
            f"the weights are not those of nnU-Net's ResidualEncoderUNet ({said}); plans of the ResEnc presets make it"
        )
    return single


def resenc_topology(weights: Weights) -> dict[str, Any]:
    """Read the options of the `MultiTaskUNet` that the weights fit from their shapes.

    Args:
        weights: from `resenc_weights`.

    Returns:
        `in_channels`, `features_per_stage`, `n_blocks_per_stage`, `strides`, `kernel_sizes`,
        `n_conv_per_stage_decoder` and `conv_bias`, full resolution first.

    Raises:
        ValueError: if parts are missing, or the stem has other channels than the first stage.
    """
    stem = weights["encoder.stem.convs.0.conv.weight"]  # O I D H W
    n_stages = _count(weights, r"encoder\.stages\.(\d+)\.")
    found = {part: _count(weights, rf"decoder\.{part}\.(\d+)\.") for part in ("stages", "transpconvs", "seg_layers")}
    if set(found.values()) != {n_stages - 1}:
        raise ValueError(f"the weights have {n_stages} encoder stages, which need {n_stages - 1} of each of {found}")
    first = [weights[f"encoder.stages.{s}.blocks.0.conv1.conv.weight"] for s in range(n_stages)]
    if len(stem) != len(first[0]):
        raise ValueError(f"the stem has {len(stem)} channels, the first stage {len(first[0])}; they must be the same")
    levels = range(n_stages - 2, -1, -1)  # nnU-Net counts decoder stages from the bottleneck
    strides = [[1] * (stem.ndim - 2), *(list(weights[f"decoder.transpconvs.{i}.weight"].shape[2:]) for i in levels)]
    return {
        "in_channels": stem.shape[1],
        "features_per_stage": [len(kernel) for kernel in first],
        "n_blocks_per_stage": [_count(weights, rf"encoder\.stages\.{s}\.blocks\.(\d+)\.") for s in range(n_stages)],
        "strides": strides,
        "kernel_sizes": [list(kernel.shape[2:]) for kernel in first],
        "n_conv_per_stage_decoder": [_count(weights, rf"decoder\.stages\.{i}\.convs\.(\d+)\.") for i in levels],
        "conv_bias": "encoder.stem.convs.0.conv.bias" in weights,
    }


def permute_resenc_axes(weights: Weights, axes: Sequence[int]) -> dict[str, torch.Tensor]:
    """Permute the spatial axes of all kernels.

    Args:
        weights: from `resenc_weights`.
        axes: for each axis of the new kernels, the old one: 0 is the first spatial axis.
    """
    order = [0, 1, *(2 + axis for axis in axes)]
    return {name: value.permute(order) if value.ndim > 2 else value for name, value in weights.items()}


def rename_resenc(weights: Weights, names: Iterable[str]) -> dict[str, torch.Tensor]:
    """Give nnU-Net's tensors the names that `MultiTaskUNet` has for them.

    Every decoder gets the weights of nnU-Net's one decoder, every head those of its segmentation layers.

    Args:
        weights: from `resenc_weights`.
        names: of the parameters and buffers of a `MultiTaskUNet`.

    Returns:
        those of the names that have a counterpart, and its tensor, whatever its shape.
    """
    n_levels = _count(weights, r"decoder\.stages\.(\d+)\.")
    counterparts = {name: _counterpart(name, n_levels) for name in names}
    return {name: weights[theirs] for name, theirs in counterparts.items() if theirs in weights}


def _counterpart(name: str, n_levels: int) -> str:
    """What nnU-Net calls a parameter of `MultiTaskUNet`."""

    def level(prefix: str, suffix: str = "") -> Any:
        return lambda match: f"decoder.{prefix}.{n_levels - 1 - int(match[1])}.{suffix}"

    name = name.replace(".adn.N.", ".norm.")
    name = re.sub(r"^encoder\.stem\.", "encoder.stem.convs.0.", name)
    name = re.sub(r"^(encoder\.stages\.\d+)\.(\d+)\.", r"\1.blocks.\2.", name)
    name = re.sub(rf"{_DECODER}\.up\.", level("transpconvs"), name)
    name = re.sub(rf"{_DECODER}\.convs\.", level("stages", "convs."), name)
    return re.sub(r"^heads\.\w+\.levels\.(\d+)\.", level("seg_layers"), name)


def _count(weights: Weights, pattern: str) -> int:
    """How many things are numbered 0, 1, ... in the names."""
    return len({match[1] for name in weights if (match := re.match(pattern, name))})
