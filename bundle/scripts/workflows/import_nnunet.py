"""`import-nnunet CKPT`: start from a network that nnU-Net trained."""

from __future__ import annotations

import json
import math
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..networks import (
    MultiTaskUNet,
    UNetPlan,
    match_weights,
    permute_resenc_axes,
    plans_axes,
    plans_options,
    rename_resenc,
    resenc_topology,
    resenc_weights,
)

DEFAULT_TARGET = "segmentation"

_TOPOLOGY = ("features_per_stage", "n_blocks_per_stage", "strides", "kernel_sizes", "n_conv_per_stage_decoder")

# nnU-Net logs its losses as NumPy numbers, whose module had another name before NumPy 2
_NUMPY_NUMBERS: list[Any] = [
    np.dtype,
    *(type(np.dtype(name)) for name in ("bool", "int32", "int64", "float16", "float32", "float64")),
    *((np.float64().__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]


def import_nnunet(
    checkpoint: str | Path,
    *,
    output_path: str | Path,
    targets: Mapping[str, Any] | str | Path | None = None,
    decoder: str = "separate",
    deep_supervision: bool = True,
    trust: bool = False,
    dry_run: bool = False,
    overwrite: bool = False,
) -> str:
    """Turn an nnU-Net v2 ResEnc checkpoint into weights that a training starts from, and the config that fits them.

    The encoder is taken over as it is, nnU-Net's one decoder by every decoder, and its segmentation layers by the heads
    of all targets with as many channels. Axes that nnU-Net had transposed are put back.

    Args:
        checkpoint: `checkpoint_final.pth` or `checkpoint_best.pth` of nnU-Net v2, or a state dictionary alone.
        output_path: file for the weights, such as `model.pt`; the config overlay goes beside it, as `model.json`.
        targets: the `targets` table, as JSON or as a JSON file that holds it (a training config will do). Default: one
            target `segmentation` with nnU-Net's classes.
        decoder: `separate` or `shared`, as in the training config.
        deep_supervision: whether the lower levels' heads are taken over, too, and trained.
        trust: load a file although it holds objects that could run code when they are loaded.
        dry_run: say what would be loaded, and write nothing.
        overwrite: replace files that exist.

    Returns:
        what was loaded and what was not, and what was written.

    Raises:
        FileExistsError: where an output exists.
        FileNotFoundError: where the checkpoint does not.
        ValueError: for a file of another network, and for one that cannot be loaded safely.
    """
    weights_path = Path(output_path)
    config_path = weights_path.with_suffix(".json")
    if weights_path == config_path:
        raise ValueError(f"output_path: expected a name such as model.pt for the weights, got {output_path}")
    for path in (weights_path, config_path):
        if path.exists() and not (overwrite or dry_run):
            raise FileExistsError(f"{path} exists; choose another path, or pass --overwrite to replace it")

    content = _load(Path(checkpoint), trust)
    weights, options, origin = _network_of(content)
    notes = [origin]
    n_classes = len(weights["decoder.seg_layers.0.weight"])
    table = {DEFAULT_TARGET: {"channels": n_classes}} if targets is None else _read_targets(targets)
    network = _build(options, table, decoder, deep_supervision)
    match = match_weights(network, rename_resenc(weights, network.state_dict()))
    if match.faults:
        raise ValueError(f"{checkpoint} does not fit the network that its shapes ask for: {'; '.join(match.faults)}")
    network.load_state_dict(match.weights, strict=False)
    notes.append(str(match))
    if not any(part.startswith("heads.") for part in match.loaded):
        notes.append(f"not used: the segmentation layers, as no target has their {n_classes} channels")

    if dry_run:
        return "\n".join([*notes, f"dry run: {weights_path} and {config_path} are not written"])
    weights_path.absolute().parent.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), weights_path)
    overlay = {
        "_about_": f"The network of {Path(checkpoint).name}; give this file after configs/train.json.",
        "targets": table,
        **options,
        "squeeze_excitation": False,
        "upsampling": "transposed",
        "decoder": decoder,
        "deep_supervision": deep_supervision,
        "weights": str(weights_path.absolute()),
    }
    config_path.write_text(json.dumps(overlay, indent=4) + "\n")
    notes.append(f"wrote {weights_path} and {config_path}")
    return "\n".join(notes)


def _network_of(content: Mapping[str, Any]) -> tuple[dict[str, torch.Tensor], dict[str, Any], str]:
    """Weights, options and origin of a checkpoint's network, its axes those of the images."""
    weights = resenc_weights(content.get("network_weights", content))
    options = resenc_topology(weights)
    given = content.get("init_args", {})
    if "plans" not in given:
        return weights, options, "the file has no plans: patch_size is left to the training config"
    planned = plans_options(given["plans"], given.get("configuration", ""))
    _compare(planned, options)
    axes = plans_axes(given["plans"], len(options["strides"][0]))
    weights = permute_resenc_axes(weights, axes)
    options = resenc_topology(weights) | {key: planned[key] for key in ("norm", "act") if key in planned}
    options["patch_size"] = [planned["patch_size"][axis] for axis in axes]
    return weights, options, _origin(given, [round(float(planned["spacing"][axis]), 4) for axis in axes])


def _load(path: Path, trust: bool) -> Mapping[str, Any]:
    """Content of a checkpoint, on the CPU."""
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint {path} does not exist")
    if not zipfile.is_zipfile(path):  # what torch writes
        raise ValueError(f"{path} is no checkpoint")
    try:
        with torch.serialization.safe_globals(_NUMPY_NUMBERS):
            content = torch.load(path, map_location="cpu", weights_only=not trust)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        raise ValueError(
            f"{path} holds an object that could run code when it is loaded ({found[1] if found else error}); "
            "if you know where the file comes from, pass --trust"
        ) from error
    except RuntimeError as error:
        raise ValueError(f"{path} is no checkpoint: {error}") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} holds a {type(content).__name__}; expected an nnU-Net checkpoint or its weights")
    return content


def _compare(planned: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    wrong = [
        f"{key} is {planned[key]} by the plans, and {found[key]} by the weights"
        for key in _TOPOLOGY
        if key in planned and planned[key] != found[key]
    ]
    if wrong:
        raise ValueError(f"the checkpoint contradicts itself: {'; '.join(wrong)}")


def _origin(given: Mapping[str, Any], spacing: list[float]) -> str:
    """What the network was trained on, which the data that it meets now should resemble."""
    said = f"trained by nnU-Net ({given['configuration']}) at spacing {spacing}"
    schemes = given["plans"]["configurations"][given["configuration"]].get("normalization_schemes")
    if schemes:
        said += f", images normalised by {', '.join(schemes)}"
    labels = given.get("dataset_json", {}).get("labels", {})
    if labels:
        said += f", classes {', '.join(labels)}"
    if any(isinstance(value, (list, tuple)) for value in labels.values()):
        said += " (regions that may overlap: one sigmoid channel each, no background)"
    return said


def _read_targets(targets: Mapping[str, Any] | str | Path) -> dict[str, Any]:
    if not isinstance(targets, Mapping):
        inline = str(targets).lstrip().startswith("{")
        try:
            targets = json.loads(str(targets) if inline else Path(targets).read_text())
        except json.JSONDecodeError as error:
            raise ValueError(f"targets: {targets} is no JSON: {error}") from error
    return dict(targets.get("targets", targets))  # type: ignore[union-attr]


def _build(
    options: Mapping[str, Any], targets: Mapping[str, Any], decoder: str, deep_supervision: bool
) -> MultiTaskUNet:
    topology = {key: options[key] for key in _TOPOLOGY}
    # without plans, the smallest patch builds the network
    patch_size = options.get("patch_size", [math.prod(axis) for axis in zip(*options["strides"], strict=True)])
    return MultiTaskUNet(
        len(patch_size),
        options["in_channels"],
        targets,
        plan=UNetPlan(patch_size=patch_size, **topology),
        decoder=decoder,
        deep_supervision=deep_supervision,
        **{key: options[key] for key in ("conv_bias", "norm", "act") if key in options},
    )
