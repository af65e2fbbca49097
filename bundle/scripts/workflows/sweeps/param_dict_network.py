"""The U-Net of a `param_dict.json` in the keys of train.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...networks import UNetPlan
from ..imports.task_file import Entry, Findings
from .experiment import Combination, Notes
from .param_dict_keys import MODEL
from .param_dict_reading import drop_keys, single
from .param_dict_values import choice, flag, whole, whole_numbers

_CONVOLUTIONS_PER_BLOCK = 2

_AS_THEIRS = {
    "squeeze_excitation": (False, "no squeeze-and-excitation"),
    "act": ("relu", "ReLU"),
    "decoder": ("shared", "one decoder"),
    "deep_supervision": (False, "the loss sees full resolution alone"),
}


def import_model(table: Mapping[str, Any], place: str) -> Combination:
    """The network's keys of one model.

    Raises:
        ValueError: for lists that do not fit each other, and for a key that is missing.
    """
    entries = single(MODEL, table, place)
    findings = Findings()
    settings = findings.settings
    if missing := [
        key for key in ("in_shape", "num_fmaps", "fmap_inc_factors", "downsample_factors") if key not in entries
    ]:
        raise ValueError(f"{place} lacks {', '.join(missing)}; expected the keys of a U-Net")
    if "model" in entries:
        entries["model"].read(lambda value: choice(value, {"unet": "unet"}))
        findings.say(entries["model"], "network_def", "the residual U-Net of train.json, with one decoder")
    strides = _strides(entries["downsample_factors"])
    shape = entries["in_shape"].read(lambda value: _sizes(value, len(strides[0])))
    findings.put(entries["downsample_factors"], settings, "strides", [_spatial(row) for row in strides])
    patch = [_nearest_multiple(size, divisor) for size, divisor in zip(shape, _total(strides), strict=True)]
    rounded = "rounded to a multiple of the strides" if patch != shape else ""
    slices = "slices along z" if len(patch) == 2 else ""
    findings.put(
        entries["in_shape"], settings, "patch_size", _spatial(patch), "; ".join(filter(None, (slices, rounded)))
    )
    _import_features(entries, findings, len(strides))
    _import_kernels(entries, findings, len(strides), len(patch))
    for key, new, read in (
        ("in_channels", "in_channels", whole),
        ("constant_upsample", "upsampling", lambda value: "nearest" if flag(value) else "transposed"),
        ("h_channels", "h_channels", whole),
        ("contrastive_out_channels", "projection_channels", whole),
    ):
        reader: Callable[[Any], Any] = read
        if key in entries:
            findings.put(entries[key], settings, new, entries[key].read(reader))
    for key, (value, why) in _AS_THEIRS.items():
        settings[key] = value
        findings.mapped.append(f"their U-Net -> {key} = {value} ({why})")
    drop_keys(MODEL, entries, findings)
    _check(settings, place)
    return Combination(settings, Notes(findings.mapped, findings.dropped))


def _import_features(entries: Mapping[str, Entry], findings: Findings, n_stages: int) -> None:
    factors = entries["fmap_inc_factors"].read(
        lambda value: whole_numbers(value) if isinstance(value, list) else [whole(value)] * (n_stages - 1)
    )
    if len(factors) != n_stages - 1:
        raise ValueError(f"{entries['fmap_inc_factors']}: expected a factor for each of the {n_stages - 1} halvings")
    features = [entries["num_fmaps"].read(whole)]
    for factor in factors:
        features.append(features[-1] * factor)
    for key in ("num_fmaps", "fmap_inc_factors"):
        findings.put(entries[key], findings.settings, "features_per_stage", features)


def _import_kernels(entries: Mapping[str, Entry], findings: Findings, n_stages: int, dims: int) -> None:
    settings = findings.settings
    down = _levels(entries, "down", n_stages, dims)
    kernels = [_spatial([max(axis) for axis in zip(*level, strict=True)]) for level in down]
    settings["kernel_sizes"] = kernels
    settings["n_blocks_per_stage"] = [-(-len(level) // _CONVOLUTIONS_PER_BLOCK) for level in down]
    settings["n_conv_per_stage_decoder"] = [len(level) for level in _levels(entries, "up", n_stages - 1, dims)]
    differ = any(len({tuple(kernel) for kernel in level}) > 1 for level in down)
    for way, keys, why in (
        ("down", ("kernel_sizes", "n_blocks_per_stage"), "the largest kernel of each level" if differ else ""),
        ("up", ("n_conv_per_stage_decoder",), "with the kernels of the way down"),
    ):
        for name in (f"kernel_size_{way}", f"kernel_size_{way}_repeated"):
            if name in entries:
                became = "; ".join(f"{key} = {settings[key]}" for key in keys)
                findings.say(entries[name], became, why)


def _levels(entries: Mapping[str, Entry], way: str, n_levels: int, dims: int) -> list[list[list[int]]]:
    """Kernels of the convolutions of each level, finest level first; two of 3 voxels where the file does not say."""
    given = entries.get(f"kernel_size_{way}", Entry(f"kernel_size_{way}", [[[3] * dims] * 2], is_given=False))
    default = 1 if given.is_given else n_levels
    repeated = entries.get(f"kernel_size_{way}_repeated", Entry("", default, is_given=False)).read(whole)
    levels = given.read(lambda value: [[_sizes(kernel, dims) for kernel in level] for level in value]) * repeated
    if len(levels) != n_levels:
        raise ValueError(
            f"{given}: expected {n_levels} levels, of which each is a list of kernels; got {len(levels) // repeated} "
            f"levels repeated {repeated} times"
        )
    return levels


def _strides(entry: Entry) -> list[list[int]]:
    """Strides of each stage; ones for the first."""
    rows = entry.read(lambda value: [whole_numbers(row if isinstance(row, list) else [row]) for row in value])
    if not rows or len({len(row) for row in rows}) != 1 or len(rows[0]) not in (2, 3):
        raise ValueError(f"{entry}: expected a factor for each of 2 or 3 axes, and one list of them per halving")
    return [[1] * len(rows[0]), *rows]


def _total(strides: Sequence[Sequence[int]]) -> list[int]:
    total = [1] * len(strides[0])
    for row in strides:
        total = [one * factor for one, factor in zip(total, row, strict=True)]
    return total


def _sizes(value: Any, dims: int) -> list[int]:
    sizes = whole_numbers(value)
    if len(sizes) != dims:
        raise ValueError(f"expected {dims} numbers, one per axis, got {value!r}")
    return sizes


def _nearest_multiple(size: int, divisor: int) -> int:
    return max((2 * size + divisor) // (2 * divisor), 1) * divisor


def _spatial(sizes: Sequence[int]) -> list[int]:
    """Sizes along z, y, x; those of 2D with 1 along z."""
    return [1] * (3 - len(sizes)) + list(sizes)


def _check(settings: Mapping[str, Any], place: str) -> None:
    """Check that there is such a network."""
    names = ("patch_size", "strides", "kernel_sizes", "features_per_stage", "n_blocks_per_stage")
    try:
        UNetPlan(**{name: settings[name] for name in (*names, "n_conv_per_stage_decoder")})
    except ValueError as error:
        raise ValueError(f"{place}: the network cannot be built so: {error}") from error
