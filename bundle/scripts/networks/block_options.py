"""What the blocks of the residual U-Net are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from monai.networks.layers import Act, get_act_layer, get_norm_layer, split_args
from torch import nn

from ..geometry import did_you_mean
from .unet_plan import is_positive_int

Layer = str | Sequence[Any]
"""A layer as MONAI names it: `"relu"`, or with its arguments `["leakyrelu", {"negative_slope": 0.01}]`."""

DEFAULT_ACT = ("leakyrelu", {"negative_slope": 0.01, "inplace": True})

NORMS = ("instance", "batch", "group")
SQUEEZE_EXCITATIONS = ("channel", "spatial", "both")
UPSAMPLINGS = ("transposed", "nearest", "linear")


@dataclass(frozen=True)
class BlockOptions:
    """Layers that all blocks of encoder and decoders share.

    Args:
        norm: `"instance"`, `"batch"` or `"group"`, alone or with its arguments, such as `["group", {"num_groups": 8}]`.
            Scale and offset are learned unless `affine` says otherwise.
        act: any activation of MONAI, alone or with its arguments.
        conv_bias: whether convolutions have a bias; a skip's 1x1 convolution never has one, a head always.
        dropout: probability, below 1, with which a convolution's channel is zeroed in training.
        squeeze_excitation: `"channel"` (or true), `"spatial"`, `"both"`, or false for none.
        se_ratio: channels per hidden channel of the channel squeeze-and-excitation.
        upsampling: `"transposed"`, `"nearest"` or `"linear"`.
        activation_checkpointing: whether training keeps the inputs of stages and levels alone, and computes the rest
            once more in the backward pass: slower, in less memory.

    Raises:
        ValueError: for a layer or word that is not known, and for a value of the wrong type.
    """

    norm: Layer = "instance"
    act: Layer = DEFAULT_ACT
    conv_bias: bool = True
    dropout: float = 0.0
    squeeze_excitation: bool | str = False
    se_ratio: int = 16
    upsampling: str = "transposed"
    activation_checkpointing: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "norm", _checked_norm(self.norm))
        object.__setattr__(self, "act", _checked_act(self.act))
        if self.squeeze_excitation is True:
            object.__setattr__(self, "squeeze_excitation", "channel")
        elif self.squeeze_excitation is not False:
            check_choice("squeeze_excitation", self.squeeze_excitation, SQUEEZE_EXCITATIONS)
        check_choice("upsampling", self.upsampling, UPSAMPLINGS)
        is_number = isinstance(self.dropout, (int, float)) and not isinstance(self.dropout, bool)
        if not is_number or not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be a number >= 0 and < 1, got {self.dropout!r}")
        for name in ("conv_bias", "activation_checkpointing"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be true or false, got {getattr(self, name)!r}")

    @property
    def negative_slope(self) -> float:
        """The activation's slope below zero, by which initial weights are scaled; 0 where it is no straight line."""
        with torch.device("cpu"):  # a network may be built without data, on the device "meta"
            layer = get_act_layer(self.act)  # type: ignore[arg-type]
        if isinstance(layer, nn.LeakyReLU):
            return float(layer.negative_slope)
        if isinstance(layer, nn.PReLU):
            return float(layer.weight.detach().mean())
        return 0.0

    def check_features(self, features_per_stage: Sequence[int]) -> None:
        """Check that the layers can be built for these numbers of channels.

        Raises:
            ValueError: if squeeze-and-excitation would have no hidden channel, or groups do not divide the channels.
        """
        thinnest = min(features_per_stage)
        has_ratio = is_positive_int(self.se_ratio) and self.se_ratio <= thinnest
        if self.squeeze_excitation in ("channel", "both") and not has_ratio:
            raise ValueError(f"se_ratio must be 1 to {thinnest}, the fewest features of a stage; got {self.se_ratio!r}")
        name, arguments = _split("norm", self.norm)
        uneven = [features for features in features_per_stage if name == "group" and features % arguments["num_groups"]]
        if uneven:
            raise ValueError(
                f"norm: num_groups = {arguments['num_groups']} does not divide {uneven[0]}, "
                f"one of features_per_stage = {list(features_per_stage)}"
            )


def check_choice(name: str, value: Any, known: Sequence[str]) -> None:
    """Check that an option is one of the known words.

    Raises:
        ValueError: that lists them, and names the closest.
    """
    if value not in known:
        words = " or ".join(f"'{word}'" for word in known)
        raise ValueError(f"{name} must be {words}, got {value!r}{did_you_mean(value, known)}")


def _checked_norm(layer: Layer) -> tuple[str, dict[str, Any]]:
    name, arguments = _split("norm", layer)
    name = name.lower()
    check_choice("norm", name, NORMS)
    if name == "instance":
        arguments = {"affine": True} | arguments  # torch's own default is false
    if name == "group" and not is_positive_int(arguments.get("num_groups")):
        raise ValueError(f'norm: "group" needs num_groups, as in ["group", {{"num_groups": 8}}]; got {layer!r}')
    try:
        get_norm_layer((name, arguments), 3, arguments.get("num_groups", 1))
    except (TypeError, ValueError) as error:
        raise ValueError(f"norm: {layer!r} cannot be built: {error}") from error
    return name, arguments


def _checked_act(layer: Layer) -> tuple[str, dict[str, Any]]:
    name, arguments = _split("act", layer)
    known = [word.lower() for word in Act.names]
    name = name.lower()
    if name not in known:
        raise ValueError(f"act must be one of {', '.join(known)}; got {name!r}{did_you_mean(name, known)}")
    sample = torch.linspace(-1, 1, 16).reshape(1, 4, 2, 2)  # B C H W
    try:
        with torch.enable_grad():
            result = get_act_layer((name, arguments))(sample.clone().requires_grad_() + 0.0)
            result.sum().backward()  # one that overwrites its input may have no way back
        kept = result.shape == sample.shape
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"act: {layer!r} cannot be used: {error}") from error
    if not kept:
        raise ValueError(f"act: {layer!r} changes the shape; an activation must keep it")
    if not (result.is_meta or result.isfinite().all()):
        raise ValueError(f"act: {layer!r} makes numbers that are not finite")
    return name, arguments


def _split(name: str, layer: Layer) -> tuple[str, dict[str, Any]]:
    if not isinstance(layer, str) and (
        not isinstance(layer, Sequence)
        or len(layer) != 2
        or not isinstance(layer[0], str)
        or not isinstance(layer[1], Mapping)
    ):
        raise ValueError(f'{name} must be a name, or a list ["name", {{arguments}}]; got {layer!r}')
    word, arguments = split_args(layer)
    return word, dict(arguments)
