"""`plan`: the network, patch and batch for a memory, as a table and as JSON for `train.json`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from json import dumps
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser

from ..geometry import did_you_mean
from ..networks import (
    MultiTaskUNet,
    UNetPlan,
    batch_size_for,
    count_feature_map_values,
    estimate_training_memory,
    memory_budget,
    plan_unet,
)
from ..patches import open_images, volume_box
from .config_values import common_spacing
from .faults import root_message

TOPOLOGY_KEYS = ("features_per_stage", "n_blocks_per_stage", "strides", "kernel_sizes", "n_conv_per_stage_decoder")
"""Keys of `train.json` that set a network's topology by hand."""

_BY_HAND = {
    "targets": {"label": {"channels": 2}},
    "in_channels": 1,
    "decoder": "separate",
    "network_def": {
        "_target_": "scripts.networks.MultiTaskUNet",
        "spatial_dims": "$len(@patch_size)",
        **{key: f"@{key}" for key in ("in_channels", "targets", "decoder", "patch_size", *TOPOLOGY_KEYS)},
    },
}
_PRECISIONS = ("fp32", "bf16")


def plan(
    config_file: str | Sequence[str] | None = None,
    *,
    patch_size: Sequence[int] | None = None,
    median_shape: Sequence[float] | None = None,
    spacing: Sequence[float] | None = None,
    preset: str = "M",
    memory_gb: float | None = None,
    batch_size: int | None = None,
    max_features: int | None = None,
    json: str | Path | None = None,
    overwrite: bool = False,
    **settings: Any,
) -> str:
    """Plan a network by nnU-Net's rules, and say what it takes.

    With a config file (`configs/train.json`), channels, targets and the network's other options are the config's, and
    typical shape and spacing are the medians of its volumes; patch size, batch size and topology are planned anew.
    Without one, give `--spacing` and `--median_shape`, or `--spacing` and `--patch_size`; there is one target of
    two channels unless `--targets` says otherwise.

    Args:
        config_file: a config file, or a list of which later ones replace entries of earlier ones.
        patch_size: voxels z, y, x (2D: y, x). Default: the largest that fits the memory.
        median_shape: voxels of the typical volume at the spacing.
        spacing: physical size of a voxel.
        preset: M, L or XL, made for 8, 24 and 40 GB.
        memory_gb: memory of the GPU, GB. Default: the preset's.
        batch_size: patches per step. Default: by the memory.
        max_features: cap of the channels. Default: 320, in 2D 512.
        json: file to write the planned entries to, as a config overlay.
        overwrite: replace a file that exists.
        settings: other entries of the config, such as `--in_channels 2`; without a config file, `--volumes` and options
            of the network.

    Returns:
        a table of the stages, what the network takes, and the entries for `train.json`.

    Raises:
        FileExistsError: where the JSON file exists.
        FileNotFoundError: where the config file or a volume does not.
        ValueError: for what cannot be planned, such as a memory that is too small.
    """
    target = _checked_output(json, overwrite)
    for name, numbers in (("patch_size", patch_size), ("median_shape", median_shape), ("spacing", spacing)):
        if numbers is not None and (not isinstance(numbers, Sequence) or len(numbers) not in (2, 3)):
            raise ValueError(f"{name}: expected 2 or 3 numbers such as 1,1,1, got {numbers!r}")
    parser = _parser(config_file, settings)
    if spacing is None:
        spacing = common_spacing(_volumes(parser, "--spacing"))
    dataset_voxels = None
    if patch_size is None and median_shape is None:
        median_shape, dataset_voxels = _measure(_volumes(parser, "--patch_size or --median_shape"), spacing)
    in_channels, targets = (parser.get_parsed_content(key) for key in ("in_channels", "targets"))
    counted = {"in_channels": in_channels, "targets": targets, "decoder": parser.get_parsed_content("decoder")}
    budget = memory_budget(preset, len(spacing), memory_gb)
    planned = plan_unet(
        patch_size,
        spacing,
        preset=preset,
        memory_gb=None if batch_size is not None and memory_gb is None else budget.gigabytes,
        median_shape=median_shape,
        dataset_voxels=dataset_voxels,
        max_features=max_features,
        **counted,
    )
    entries = _entries(planned, planned.batch_size if batch_size is None else batch_size)
    network = _network(parser, entries, spacing)

    values = count_feature_map_values(planned, **counted)
    facts = {} if median_shape is None else {"typical volume": f"{_row(median_shape)} voxels"}
    facts |= {
        "patch size": f"{_row(entries['patch_size'])} voxels of {_row(spacing)}",
        "batch size": str(entries["batch_size"]),
        "parameters": f"{sum(p.numel() for p in network.parameters()):,}",
        "feature-map values": (
            f"{values:,} per patch; nnU-Net's rule (preset {preset}, {budget.gigabytes:g} GB) allows "
            f"{budget.values:,.0f} in a batch of {budget.reference_batch}"
        ),
    }
    for precision in _PRECISIONS:
        facts[f"memory in {precision}"] = _memory(network, entries, in_channels, precision, budget.gigabytes)
    text = _json(entries)
    if target is not None:
        target.write_text(text + "\n")
    return f"{_table(planned)}\n\n{_aligned(list(facts.items()))}\n\n{text}"


def _parser(config_file: str | Sequence[str] | None, settings: Mapping[str, Any]) -> ConfigParser:
    """The config, or the one that stands for none, with the settings of the command line."""
    parser = ConfigParser({**_BY_HAND, "network_def": {**_BY_HAND["network_def"]}})  # type: ignore[dict-item]
    known = ["volumes", *_BY_HAND]
    options = [name for name in inspect.signature(MultiTaskUNet).parameters if name not in (*_BY_HAND, "plan")]
    if config_file is not None:
        parser = ConfigParser()
        parser.read_config(config_file)
        known, options = [str(key) for key in parser.get() or ()], []
        if missing := [key for key in _BY_HAND if key not in known]:
            raise ValueError(f"config_file: {config_file} lacks {', '.join(missing)}; give configs/train.json first")
    for key, value in settings.items():
        name = key.replace("#", "::").partition("::")[0]
        if name not in (*known, *options):
            words = [*known, *options, *inspect.signature(plan).parameters]
            raise ValueError(f"unknown setting '{key}'{did_you_mean(key, words)}; see python -m scripts plan --help")
        parser[f"network_def::{key}" if name in options else key] = value
    return parser


def _volumes(parser: ConfigParser, instead: str) -> list[dict[str, Any]]:
    if "volumes" not in parser:
        raise ValueError(f"there are no volumes to measure; give {instead}, or --volumes, or a config file")
    return parser.get_parsed_content("volumes")


def _measure(volumes: Sequence[Mapping[str, Any]], spacing: Sequence[float]) -> tuple[list[float], float]:
    """Median shape of the volumes, or of their regions, in voxels of this spacing, and the voxels of all."""
    shapes = []
    for row in volumes:
        image = open_images(row)[0]
        low, high = volume_box(row, image)
        size = np.subtract(high, low) * np.asarray(image.spacing) / np.asarray(spacing)
        shapes.append(np.maximum(1, np.round(size)))
    return [float(edge) for edge in np.median(shapes, axis=0)], float(np.prod(shapes, axis=1).sum())


def _entries(planned: UNetPlan, batch_size: int | None) -> dict[str, Any]:
    """What `train.json` needs to build the planned network."""
    values = planned.as_dict()
    return {
        "patch_size": list(planned.padded_patch_size),
        "batch_size": batch_size,
        **{key: values[key] for key in TOPOLOGY_KEYS},
    }


def _network(parser: ConfigParser, entries: Mapping[str, Any], spacing: Sequence[float]) -> MultiTaskUNet:
    """The network that a training with these entries would build, without data.

    Raises:
        ValueError: if the config builds none, or another one than planned.
    """
    parser.update({**entries, "spacing": list(spacing)})
    try:
        with torch.device("meta"):
            network = parser.get_parsed_content("network_def")
    except RuntimeError as error:
        raise ValueError(root_message(error)) from error
    built = getattr(network, "plan", None)
    if built is None or any(built.as_dict()[key] != entries[key] for key in TOPOLOGY_KEYS):
        raise ValueError(
            f"network_def builds a {type(network).__name__} that does not follow the plan; it must be a "
            f"scripts.networks.MultiTaskUNet with {', '.join(f'@{key}' for key in TOPOLOGY_KEYS)}"
        )
    return network


def _memory(
    network: MultiTaskUNet, entries: Mapping[str, Any], in_channels: int, precision: str, memory_gb: float
) -> str:
    options: dict[str, Any] = {"in_channels": in_channels, "precision": precision}
    memory = estimate_training_memory(network, entries["patch_size"], entries["batch_size"], **options)
    try:
        fitting = f"a batch of {batch_size_for(memory_gb, network, entries['patch_size'], **options)}"
    except ValueError:
        fitting = "not even one patch"
    return (
        f"{_gigabytes(memory.peak)} (weights {_gigabytes(memory.parameters)}, gradients "
        f"{_gigabytes(memory.gradients)}, AdamW {_gigabytes(memory.optimizer)}, activations "
        f"{_gigabytes(memory.activations)}); {memory_gb:g} GB holds {fitting}"
    )


def _table(planned: UNetPlan) -> str:
    size = planned.padded_patch_size
    rows: list[tuple[str, ...]] = [("stage", "size", "stride", "kernel", "features", "blocks", "decoder convolutions")]
    for stage, stride in enumerate(planned.strides):
        size = tuple(edge // step for edge, step in zip(size, stride, strict=True))
        convolutions = planned.n_conv_per_stage_decoder[stage : stage + 1]
        rows.append(
            (
                str(stage + 1),
                *(_row(numbers) for numbers in (size, stride, planned.kernel_sizes[stage])),
                str(planned.features_per_stage[stage]),
                str(planned.n_blocks_per_stage[stage]),
                str(*convolutions) if convolutions else "-",
            )
        )
    return _aligned(rows)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _row(numbers: Sequence[float]) -> str:
    return " x ".join(f"{number:g}" for number in numbers)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.3g} GB"


def _json(entries: Mapping[str, Any]) -> str:
    """JSON with one line per entry."""
    return "{\n" + ",\n".join(f'    "{key}": {dumps(value)}' for key, value in entries.items()) + "\n}"


def _checked_output(json: str | Path | None, overwrite: bool) -> Path | None:
    if json is None:
        return None
    path = Path(json)
    if path.suffix != ".json":
        raise ValueError(f"json: expected a name that ends in .json, got {json}")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; choose another path, or pass --overwrite to replace it")
    return path
