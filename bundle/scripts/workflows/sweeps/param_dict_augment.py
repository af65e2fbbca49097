"""The augmentation of a `param_dict.json` as transforms of the bundle."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ...geometry.elastic import MOST_DISPLACEMENT
from ..imports.task_file import Entry, Findings
from .param_dict_values import flag, number, numbers, positive, whole_numbers

IMAGE = "image"
_STD_OF_EVEN = math.sqrt(3)
"""Half the width of an even distribution, in its standard deviations."""


def import_augmentation(
    entries: Mapping[str, Entry], findings: Findings, patch_size: Sequence[int], keys: str = IMAGE
) -> list[dict[str, Any]]:
    """Write `random_space`, and return the transforms of `augment` that follow it.

    Args:
        entries: of `contrastive` or `seg`.
        findings: get the settings.
        patch_size: voxels z, y, x.
        keys: of what is mirrored.
    """
    _import_elastic(entries, findings, patch_size)
    transforms: list[dict[str, Any]] = []
    for name, read in (("blur", _blur), ("simple", _simple), ("noise", _noise)):
        parameters = entries.get(f"{name}_params", Entry(f"{name}_params", {}, is_given=False))
        if name in entries and entries[name].read(flag):
            made = parameters.read(partial(read, patch_size=patch_size, keys=keys))
            transforms += made
            shown = ", ".join(one["_target_"].rpartition(".")[2] for one in made) or "nothing"
            findings.say(entries[name], f"augment: {shown}")
            findings.say(parameters, f"augment: {shown}")
        else:
            _say_off(entries, name, findings)
    return transforms


def _import_elastic(entries: Mapping[str, Entry], findings: Findings, patch_size: Sequence[int]) -> None:
    settings = findings.settings
    if "elastic" not in entries or not entries["elastic"].read(flag):
        settings["random_space"] = None
        _say_off(entries, "elastic", findings)
        return
    parameters = entries.get("elastic_params", Entry("elastic_params", {}, is_given=False))
    drawn = parameters.read(partial(_spatial_draw, patch_size=patch_size))
    settings |= {f"random_space#{key}": value for key, value in drawn.items()}
    findings.say(entries["elastic"], "random_space")
    findings.say(parameters, "random_space", ", ".join(f"{key} {value}" for key, value in drawn.items()))


def _say_off(entries: Mapping[str, Entry], name: str, findings: Findings) -> None:
    off = "random_space = null" if name == "elastic" else "left out of augment"
    if name in entries:
        findings.say(entries[name], off)
    if f"{name}_params" in entries:
        findings.drop(entries[f"{name}_params"], f"{name} is off")


def _spatial_draw(parameters: Mapping[str, Any], patch_size: Sequence[int]) -> dict[str, Any]:
    """Arguments of `RandSpatialDrawd`: a rotation about z, and control points that move along the axes."""
    spacing = max(numbers(parameters.get("control_point_spacing", [1.0]))[-2:])
    sigmas = _three(numbers(parameters.get("jitter_sigma", [0.0])))
    low, high = [*numbers(parameters.get("rotation_interval", [0.0, 0.0])), 0.0][:2]
    angle = round(min(math.degrees(max(abs(low), abs(high))), 180.0), 6)
    width = min(_STD_OF_EVEN * max(sigmas), MOST_DISPLACEMENT * spacing)
    return {
        "prob_rotation": 1.0 if angle else 0.0,
        "rotation": [angle, 0.0, 0.0],
        "prob_scaling": 0.0,
        "prob_elastic": 1.0 if width else 0.0,
        "elastic_spacing": spacing,
        "elastic_displacement": [round(width, 6)] * 2,
        "in_plane": patch_size[0] == 1 or not sigmas[0],
    }


def _blur(parameters: Mapping[str, Any], patch_size: Sequence[int], keys: str) -> list[dict[str, Any]]:
    """A blur of the same width each time."""
    sigmas = _three(numbers(parameters.get("sigma", [1.0])))
    counted = sigmas[1:] if patch_size[0] == 1 else sigmas  # one slice has nothing to mix along z
    if not any(counted):
        return []
    if len(set(counted)) == 1:
        return [
            {
                "_target_": "scripts.transforms.RandBlurd", "keys": IMAGE,
                "prob": 1.0, "channel_prob": 1.0, "sigma": [counted[0]] * 2,
            }
        ]  # fmt: skip
    return [{"_target_": "GaussianSmoothd", "keys": IMAGE, "sigma": sigmas}]


def _simple(parameters: Mapping[str, Any], patch_size: Sequence[int], keys: str) -> list[dict[str, Any]]:
    """Mirrors, each axis with probability 0.5, and exchanges of axes, each order as likely as any other."""
    mirrored = _axes(parameters.get("mirror_only"), patch_size)
    exchanged = _axes(parameters.get("transpose_only"), patch_size)
    made: list[dict[str, Any]] = []
    if mirrored:
        made.append({"_target_": "scripts.transforms.RandMirrord", "keys": keys, "prob": 0.5, "axes": mirrored})
    equal = [axis for axis in range(3) if [patch_size[axis]] * len(exchanged) == [patch_size[a] for a in exchanged]]
    if len(exchanged) < 2 or not set(exchanged) <= set(equal):
        return made
    if exchanged == equal:
        share = 1 - 1 / math.factorial(len(exchanged))
        made.append({"_target_": "scripts.transforms.RandTransposed", "keys": keys, "prob": round(share, 6)})
    else:  # RandTransposed would exchange the third axis, too; with mirrors, a turn is an exchange
        made.append({"_target_": "RandRotate90d", "keys": keys, "prob": 0.5, "max_k": 1, "spatial_axes": exchanged})
    return made


def _noise(parameters: Mapping[str, Any], patch_size: Sequence[int], keys: str) -> list[dict[str, Any]]:
    std = math.sqrt(positive(parameters.get("var", 0.01)))
    return [{"_target_": "scripts.transforms.RandNoised", "keys": IMAGE, "prob": 1.0, "std": [std, std]}]


def _axes(value: Any, patch_size: Sequence[int]) -> list[int]:
    """Axes of z, y, x; all where the file does not say."""
    axes = (
        [0, 1, 2] if value is None else sorted({0 if number(axis) == 0 else whole_numbers([axis])[0] for axis in value})
    )
    if not set(axes) <= {0, 1, 2}:
        raise ValueError(f"expected axes of 0, 1 and 2, got {value!r}")
    return [axis for axis in axes if patch_size[axis] > 1]


def _three(values: Sequence[float]) -> list[float]:
    """One number for each of z, y, x; a single one counts for all, two are y and x."""
    if len(values) == 1:
        return [values[0]] * 3
    if len(values) > 3:
        raise ValueError(f"expected at most 3 numbers, one per axis, got {list(values)}")
    return [0.0] * (3 - len(values)) + list(values)
