"""The network of a task file in the keys of train.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ...networks import MultiTaskUNet, check_patch_size
from .task_file import Entry, Findings, Task, short
from .task_keys import MODEL, RESENC_KEYS, TRAINING, UNET3D_KEYS, choice, flag, number, whole

FEATURES = [32, 64, 128, 256, 320, 528]
"""Channels per level of the old 3D U-Net where the file does not say."""

NETWORK_KEYS = (
    *("in_channels", "features_per_stage", "n_blocks_per_stage", "strides", "kernel_sizes"),
    *("n_conv_per_stage_decoder", "squeeze_excitation", "se_ratio", "stochastic_depth_p", "norm", "act", "conv_bias"),
    *("decoder", "deep_supervision"),
)

_SE_MODULES = {"cse": "channel", "sse": "spatial", "scse": "both"}
_BLOCKS = {"basic_encoder_block": "BasicBlockD", "bottleneck_block": "BasicBlockD", "basic_decoder_block": "ConvBlock"}
_TOPOLOGY = ("features_per_stage", "n_blocks_per_stage", "kernel_sizes", "n_conv_per_stage_decoder", "strides")
_NORMS = {"InstanceNorm3d": "instance", "BatchNorm3d": "batch", "GroupNorm": "group"}
_LEAKY = {"negative_slope": 0.01, "inplace": True}


def import_network(task: Task, findings: Findings) -> None:
    """Write the network's keys.

    Raises:
        ValueError: for lists that do not fit each other, a missing topology, and a patch that the network cannot take.
    """
    given = set(task.entries[MODEL])
    families = [set(UNET3D_KEYS) & given, set(RESENC_KEYS) & given]
    if all(families):
        one, other = (", ".join(sorted(keys)) for keys in families)
        raise ValueError(f"model_config mixes the keys of two networks: {one}; and {other}")
    if families[1] or (task.layout.has_resenc and not families[0]):
        _import_resenc(task, findings)
    else:
        _import_unet3d(task, findings)
    settings = findings.settings
    settings["decoder"], settings["deep_supervision"] = "separate", False
    findings.defaults.append("their networks have a decoder for each target -> decoder = separate")
    findings.defaults.append("their losses see full resolution alone -> deep_supervision = false")
    _check(settings, settings["patch_size"], "patch_size")


def check_window(settings: Mapping[str, Any], size: Sequence[int]) -> None:
    """Check that a window of inference passes through the network.

    Raises:
        ValueError: with the nearest sizes.
    """
    _check(settings, size, "the window of inference")


def _check(settings: Mapping[str, Any], size: Sequence[int], what: str) -> None:
    options = {key: settings[key] for key in NETWORK_KEYS if key != "in_channels" and key in settings}
    try:
        with torch.device("meta"):
            network = MultiTaskUNet(
                len(settings["patch_size"]),
                settings["in_channels"],
                settings["targets"],
                patch_size=settings["patch_size"],
                **options,
            )
        check_patch_size(size, network.plan)
    except ValueError as error:
        raise ValueError(f"{what}: the network cannot be built as the task file says: {error}") from error


def _import_unet3d(task: Task, findings: Findings) -> None:
    """A 3D U-Net of pytorch-3dunet: one residual block of two convolutions per level, each of which halves."""
    settings = findings.settings
    if "autoconfigure" in task.entries[TRAINING]:
        findings.drop(task.entries[TRAINING]["autoconfigure"], "this network is as model_config says")
    features = task.get(MODEL, "f_maps") or Entry("f_maps", FEATURES, is_given=False)
    widths = features.read(_widths)
    for key in ("num_levels", "n_levels"):
        levels = task.get(MODEL, key)
        if levels is None:
            continue
        if levels.read(whole(1)) != len(widths):
            raise ValueError(f"{levels}, but {features}: expected one number per level, {levels.value} in all")
        findings.say(levels, f"the length of features_per_stage, {len(widths)}")
    findings.put(features, settings, "features_per_stage", widths)
    n_levels = len(widths)
    for key, value, why in (
        ("n_blocks_per_stage", [1] * n_levels, "one residual block of two convolutions per level"),
        ("n_conv_per_stage_decoder", [2] * (n_levels - 1), "two convolutions, which have no skip here"),
        ("strides", [[1, 1, 1], *[[2, 2, 2]] * (n_levels - 1)], "each level halves"),
        ("kernel_sizes", [[3, 3, 3]] * n_levels, "3 voxels along every axis"),
    ):
        settings[key] = value
        findings.defaults.append(f"their levels -> {key} = {short(value)} ({why})")
    _import_se_module(task, findings)


def _import_se_module(task: Task, findings: Findings) -> None:
    settings = findings.settings
    block, module = task.get(MODEL, "basic_module"), task.get(MODEL, "se_module")
    has_se = block is None or "SE" in str(block.value)
    if block is not None:
        if "ResNetBlock" in str(block.value):
            findings.say(block, f"residual blocks, with{'' if has_se else 'out'} squeeze-and-excitation")
        else:
            findings.drop(block, "the encoder's blocks are residual, with two convolutions each")
    if not has_se:
        settings["squeeze_excitation"] = False
        if module is not None:
            findings.drop(module, "the basic_module has no squeeze-and-excitation")
        findings.defaults.append("their basic_module -> squeeze_excitation = false")
        return
    module = module or Entry("se_module", "scse", is_given=False)
    findings.put(module, settings, "squeeze_excitation", module.read(lambda value: choice(value, _SE_MODULES)))
    settings["se_ratio"] = 1
    findings.defaults.append("their squeeze-and-excitation keeps all channels -> se_ratio = 1")


def _import_resenc(task: Task, findings: Findings) -> None:
    """A residual encoder U-Net, planned or as the lists say."""
    settings = findings.settings
    entries = task.entries[MODEL]
    planned = task.get(TRAINING, "autoconfigure") or Entry("autoconfigure", False, is_given=False)
    missing = [key for key in _TOPOLOGY if key not in entries]
    if missing and not planned.read(flag):
        raise ValueError(
            f"model_config lacks {', '.join(missing)}, and autoconfigure is false; give all of "
            f"{', '.join(_TOPOLOGY)}, or set autoconfigure: true"
        )
    findings.say(planned, "what model_config leaves out is planned" if planned.value else "nothing is planned")
    for key in _TOPOLOGY:
        if key in entries:
            findings.put(entries[key], settings, key, entries[key].value)
        else:
            settings[key] = None
            findings.defaults.append(f"{key} left out -> {key} = null, planned for patch and voxel size")
    if planned.value and len(missing) < len(_TOPOLOGY):
        findings.advice.append(
            "with autoconfigure, their program planned everything and did not read the lists of model_config; here "
            "they count. Set them to null in the overlay to have all of the network planned"
        )
    for key in ("num_stages", "n_stages"):
        if key in entries:
            stages, features = entries[key], settings["features_per_stage"]
            if features is not None and stages.read(whole(1)) != len(features):
                raise ValueError(f"{stages}, but {entries['features_per_stage']}: expected one number per stage")
            findings.say(stages, "the length of features_per_stage")
    _import_layers(entries, findings)
    for key, name in _BLOCKS.items():
        if key in entries and entries[key].value == name:
            findings.say(entries[key], "the block that is always used")
        elif key in entries:
            findings.drop(entries[key], f"the network has blocks such as {name} there")


def _import_layers(entries: Mapping[str, Entry], findings: Findings) -> None:
    settings = findings.settings
    se = entries.get("squeeze_excitation", Entry("squeeze_excitation", False, is_given=False))
    findings.put(se, settings, "squeeze_excitation", se.read(flag))
    ratio = entries.get("squeeze_excitation_reduction_ratio")
    ratio = ratio or Entry("squeeze_excitation_reduction_ratio", 1 / 16, is_given=False)
    if settings["squeeze_excitation"]:
        findings.put(ratio, settings, "se_ratio", ratio.read(_channels_per_hidden_channel))
    else:
        findings.drop(ratio, "there is no squeeze-and-excitation")
    depth = entries.get("stochastic_depth_p", Entry("stochastic_depth_p", 0.0, is_given=False))
    findings.put(depth, settings, "stochastic_depth_p", depth.read(number))
    if "conv_bias" in entries:
        findings.put(entries["conv_bias"], settings, "conv_bias", entries["conv_bias"].read(flag))
    _import_norm(entries, findings)
    _import_act(entries, findings)


def _import_norm(entries: Mapping[str, Entry], findings: Findings) -> None:
    found = [entries[key] for key in ("norm_op", "norm_op_kwargs") if key in entries]
    if not found:
        return
    named = entries.get("norm_op")
    name = "instance" if named is None else named.read(lambda value: choice(_last(value), _NORMS))
    arguments = entries["norm_op_kwargs"].read(_arguments) if "norm_op_kwargs" in entries else {}
    norm = [name, arguments] if arguments else name
    for entry in found:
        findings.put(entry, findings.settings, "norm", norm)


def _import_act(entries: Mapping[str, Entry], findings: Findings) -> None:
    found = [entries[key] for key in ("nonlin", "nonlin_kwargs") if key in entries]
    if not found:
        return
    named = entries.get("nonlin")
    name = "leakyrelu" if named is None else _last(named.value).lower()
    arguments = entries["nonlin_kwargs"].read(_arguments) if "nonlin_kwargs" in entries else {}
    arguments = _LEAKY | arguments if name == "leakyrelu" else arguments
    for entry in found:
        findings.put(entry, findings.settings, "act", [name, arguments] if arguments else name)


def _last(name: Any) -> str:
    """`ReLU` of `torch.nn.ReLU`."""
    return str(name).rpartition(".")[2]


def _arguments(value: Any) -> dict[str, Any]:
    """Arguments of a layer, of which YAML takes numbers such as 1e-5 for text."""
    if not isinstance(value, Mapping):
        raise ValueError(f"expected a table of arguments, got {value!r}")
    return {key: number(one) if isinstance(one, str) else one for key, one in value.items()}


def _channels_per_hidden_channel(value: Any) -> int:
    if not 0 < (ratio := number(value)) <= 1:
        raise ValueError(f"expected a share above 0, got {value!r}")
    return round(1 / ratio)


def _widths(value: Any) -> list[int]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"expected a list with one number of channels per level, got {value!r}")
    return [whole(1)(width) for width in value]
