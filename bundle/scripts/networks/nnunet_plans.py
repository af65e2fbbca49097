"""What nnU-Net's plans say of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_NORMS = {"InstanceNorm": "instance", "BatchNorm": "batch"}


def plans_options(plans: Mapping[str, Any], configuration: str) -> dict[str, Any]:
    """Read a configuration of nnU-Net's plans as options of `MultiTaskUNet`, axes and stages in nnU-Net's order.

    Args:
        plans: content of nnU-Net v2's plans file, which every checkpoint holds, too.
        configuration: such as `"3d_fullres"`.

    Returns:
        `patch_size`, `spacing`, and, where the plans describe the architecture (older ones do not),
        `features_per_stage`, `n_blocks_per_stage`, `strides`, `kernel_sizes`, `n_conv_per_stage_decoder`, `norm` and
        `act`, full resolution first.

    Raises:
        ValueError: for a configuration that is not there, and for another network than `ResidualEncoderUNet`.
    """
    values = _configuration(plans, configuration)
    options: dict[str, Any] = {key: list(values[key]) for key in ("patch_size", "spacing") if key in values}
    architecture = values.get("architecture")
    if architecture is None:
        return options
    name = str(architecture["network_class_name"]).rpartition(".")[2]
    if name != "ResidualEncoderUNet":
        raise ValueError(f"the plans are for {name}; only ResidualEncoderUNet, of the ResEnc presets, can be imported")
    arguments = architecture["arch_kwargs"]
    n_stages, dims = arguments["n_stages"], len(values["patch_size"])
    return {
        **options,
        "features_per_stage": _per_stage(arguments["features_per_stage"], n_stages),
        "n_blocks_per_stage": _per_stage(arguments["n_blocks_per_stage"], n_stages),
        "strides": [_per_axis(row, dims) for row in _per_stage(arguments["strides"], n_stages)],
        "kernel_sizes": [_per_axis(row, dims) for row in _per_stage(arguments["kernel_sizes"], n_stages)],
        # nnU-Net counts decoder stages from the bottleneck
        "n_conv_per_stage_decoder": _per_stage(arguments["n_conv_per_stage_decoder"], n_stages - 1)[::-1],
        "norm": _norm(arguments),
        "act": [_class_name(arguments["nonlin"]).lower(), dict(arguments["nonlin_kwargs"] or {})],
    }


def plans_axes(plans: Mapping[str, Any], spatial_dims: int) -> list[int]:
    """For each axis of an image, the axis of nnU-Net's network that it goes to.

    nnU-Net transposes images before the network sees them. A 2D network takes slices along the first transposed axis.

    Args:
        plans: nnU-Net's plans.
        spatial_dims: of the network.
    """
    forward = list(plans.get("transpose_forward", range(3)))[-spatial_dims:]
    return sorted(range(spatial_dims), key=lambda axis: forward[axis])


def _configuration(plans: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A configuration, with what it inherits."""
    known = plans.get("configurations", {})
    if name not in known:
        raise ValueError(f"the plans have no configuration '{name}', only {', '.join(known) or 'none'}")
    values = dict(known[name])
    parent = values.pop("inherits_from", None)
    return values if parent is None else _configuration(plans, parent) | values


def _norm(arguments: Mapping[str, Any]) -> list[Any]:
    name = _class_name(arguments["norm_op"]).rstrip("123d")
    if name not in _NORMS:
        raise ValueError(f"the plans' norm is {arguments['norm_op']}; known are {', '.join(_NORMS)}")
    return [_NORMS[name], dict(arguments["norm_op_kwargs"] or {})]


def _class_name(path: Any) -> str:
    return str(path).rpartition(".")[2]


def _per_stage(value: Any, count: int) -> list[Any]:
    return list(value) if isinstance(value, Sequence) else [value] * count


def _per_axis(value: Any, dims: int) -> list[int]:
    return list(value) if isinstance(value, Sequence) else [value] * dims
