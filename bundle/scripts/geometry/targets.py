"""The `targets` table: what is predicted, and how its values behave when space is transformed."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

UNKNOWN_LABEL = -1
"""Value of a label voxel whose truth is unknown; every other kind marks unknown voxels with NaN."""

IMAGE_KEY = "image"
MASK_KEY = "mask"

SEED_KEY = "seed"
"""Key of a sample that holds the seed of its random transforms."""

_OF_TRUTH = ("loss", "metric", "mask", "source")

_RESERVED_KEYS = (
    *(IMAGE_KEY, SEED_KEY, "patch", "points", "start", "size", "volume", "spatial", "bounds"),
    *("landmarks", "id", "extra"),
)


class Kind(StrEnum):
    """How a target's values behave when space is transformed."""

    LABEL = "label"
    SCALAR = "scalar"
    VECTOR = "vector"
    NORMAL = "normal"
    POINTS = "points"
    EMBEDDING = "embedding"

    @property
    def interpolation(self) -> str:
        """MONAI interpolation mode for spatial transforms of this kind."""
        return "nearest" if self in (Kind.LABEL, Kind.POINTS) else "bilinear"

    @property
    def is_directional(self) -> bool:
        """Whether components rotate with space."""
        return self in (Kind.VECTOR, Kind.NORMAL)

    @property
    def has_truth(self) -> bool:
        """Whether volumes carry it; an embedding is learnt from images alone."""
        return self is not Kind.EMBEDDING


class Activation(StrEnum):
    """What turns the network's raw output into the written prediction."""

    NONE = "none"
    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"


@dataclass(frozen=True)
class Target:
    """One row of the `targets` table.

    Args:
        name: key of the sample, and name of the network's output.
        channels: channels of the network's output; a label with C > 1 channels has classes 0..C-1, 0 = background.
        kind: how the values behave when space is transformed.
        activation: applied to the output when it is written or scored; training uses the raw output.
        weight: factor of this target's loss in the total.
        loss: name of a loss (see `scripts.losses.LOSS_NAMES`), a dictionary with its name, weight, first epoch and
            options, any callable `(prediction, label) -> scalar`, or a list of these; `None` takes the kind's default.
        metric: names of metrics (see `scripts.metrics.METRIC_NAMES`); `None` takes the kind's default.
        decoder: `"separate"` or `"shared"`, overriding the network's choice for this target; `None` follows it.
        deep_supervision: whether this target's loss uses the decoder's lower levels; `None` follows the network.
        ignore_label: label value whose voxels count as unknown.
        mask: key of the sample whose zeros mark voxels where this target's loss and metrics do not count.
        source: key that the volumes carry and from which a transform derives this target; `None`: its own name.
        label_smoothing: share of the truth that is spread over the other classes, 0 <= s < 1.
        class_weights: one factor per class for the cross-entropy part; `"balanced"`: from how often each class occurs.
        loss_only_on_label: whether the loss counts only where the truth is labelled: not 0.
    """

    name: str
    channels: int
    kind: Kind = Kind.LABEL
    activation: Activation = Activation.NONE
    weight: float = 1.0
    loss: str | Mapping[str, Any] | Callable[..., Any] | Sequence[Any] | None = None
    metric: tuple[str, ...] | None = None
    decoder: str | None = None
    deep_supervision: bool | None = None
    ignore_label: int | None = None
    mask: str | None = None
    source: str | None = None
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | str | None = None
    loss_only_on_label: bool = False

    @property
    def stored_key(self) -> str:
        """Key under which a volume carries the array that this target is read or derived from."""
        return self.source or self.name


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `" (did you mean 'x'?)"` for the closest known word, or an empty string."""
    close = difflib.get_close_matches(str(word), [str(k) for k in known], n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def target_faults(targets: Any) -> list[str]:
    """List every fault of a `targets` table in words; an empty list means that `parse_targets` accepts it."""
    if not isinstance(targets, Mapping) or not targets:
        return [f"targets: expected a dictionary name -> options with at least one entry, got {targets!r}"]
    faults: list[str] = []
    for name, options in targets.items():
        faults.extend(f"targets: {name}: {fault}" for fault in _option_faults(name, options))
    return faults


def parse_targets(targets: Mapping[str, Any]) -> dict[str, Target]:
    """Turn the `targets` table of a config into `Target` objects, in its order.

    Args:
        targets: dictionary name -> options (or `Target`, which passes through).

    Raises:
        ValueError: with every fault of the table at once.
    """
    faults = target_faults(targets)
    if faults:
        raise ValueError("\n".join(faults))
    return {name: row if isinstance(row, Target) else _parse_row(name, row) for name, row in targets.items()}


def require_truths(targets: Mapping[str, Target]) -> None:
    """Raise a ValueError where a target has no truth that a prediction could be compared with."""
    if without := [name for name, target in targets.items() if not target.kind.has_truth]:
        raise ValueError(
            f"targets: {', '.join(without)}: kind 'embedding' has no truth to compare with; it is learnt from two "
            "views of an image, by configs/contrastive.json"
        )


def stored_keys(targets: Mapping[str, Any]) -> list[str]:
    """Keys that the volumes carry for these targets: each target's source and mask, once, in order."""
    keys: dict[str, None] = {}
    for target in parse_targets(targets).values():
        if target.kind.has_truth:
            keys[target.stored_key] = None
    for target in parse_targets(targets).values():
        if target.mask is not None:
            keys[target.mask] = None
    return list(keys)


def stored_kinds(targets: Mapping[str, Any]) -> dict[str, Kind]:
    """Kind of each key of `stored_keys`: a source that is no target itself, and a mask, are labels."""
    table = parse_targets(targets)
    return {key: table[key].kind if key in table else Kind.LABEL for key in stored_keys(targets)}


def interpolation_modes(keys: Sequence[str], targets: Mapping[str, Any]) -> list[str]:
    """MONAI interpolation mode for each key of a spatial transform: images linear, targets by their kind."""
    kinds = stored_kinds(targets) | {name: target.kind for name, target in parse_targets(targets).items()}
    return [kinds[key].interpolation if key in kinds else "bilinear" for key in keys]


def _parse_row(name: str, row: Mapping[str, Any]) -> Target:
    values: dict[str, Any] = dict(row)
    values["kind"] = Kind(values.get("kind") or Kind.LABEL)
    values["activation"] = Activation(values.get("activation") or Activation.NONE)
    if isinstance(values.get("metric"), str):
        values["metric"] = (values["metric"],)
    for key in ("metric", "class_weights"):
        if values.get(key) is not None and not isinstance(values[key], str):
            values[key] = tuple(values[key])
    return Target(name=name, **values)


def _option_faults(name: Any, row: Any) -> list[str]:
    if isinstance(row, Target):
        return []
    if not isinstance(name, str) or not name.isidentifier():
        return [f"expected a name of letters, digits and '_', got {name!r}"]
    if name in _RESERVED_KEYS:
        return [f"'{name}' is a key of every sample and cannot be a target; choose another name"]
    if not isinstance(row, Mapping):
        return [f'expected a dictionary of options such as {{"channels": 1}}, got {row!r}']
    known = [field.name for field in fields(Target) if field.name != "name"]
    faults = [
        f"unknown option '{key}'{did_you_mean(key, known)}; known options: {', '.join(known)}"
        for key in row
        if key not in known
    ]
    channels = row.get("channels")
    if not isinstance(channels, int) or isinstance(channels, bool) or channels < 1:
        faults.append(f"'channels' must be given as a whole number of at least 1, got {channels!r}")
    faults += _choice_faults(row, "kind", [str(k) for k in Kind], Kind.LABEL)
    faults += _choice_faults(row, "activation", [str(a) for a in Activation], Activation.NONE)
    faults += _choice_faults(row, "decoder", ["separate", "shared"], None)
    faults += _value_faults(row)
    return faults if faults else _combination_faults(row)


def _value_faults(row: Mapping[str, Any]) -> list[str]:
    """Values that their options cannot have."""
    faults = []
    weight, smoothing = row.get("weight", 1.0), row.get("label_smoothing", 0.0)
    if not _is_number(weight) or weight < 0:
        faults.append(f"'weight' must be a number >= 0, got {weight!r}")
    if not _is_number(smoothing) or not 0 <= smoothing < 1:
        faults.append(f"'label_smoothing' must be a number >= 0 and < 1, got {smoothing!r}")
    if row.get("ignore_label") is not None and not _is_int(row["ignore_label"]):
        faults.append(f"'ignore_label' must be a whole number or null, got {row['ignore_label']!r}")
    if row.get("loss_only_on_label", False) not in (True, False):
        faults.append(f"'loss_only_on_label' must be true or false, got {row['loss_only_on_label']!r}")
    if row.get("deep_supervision") not in (None, True, False):
        faults.append(f"'deep_supervision' must be true, false or null, got {row['deep_supervision']!r}")
    metric = row.get("metric")
    if metric is not None and not isinstance(metric, str) and not _is_list_of_names(metric):
        faults.append(f"'metric' must be a name or a list of names, got {metric!r}")
    for key in ("mask", "source"):
        if row.get(key) is not None and not isinstance(row[key], str):
            faults.append(f"'{key}' must be the name of a key, got {row[key]!r}")
    return faults


def _combination_faults(row: Mapping[str, Any]) -> list[str]:
    """Faults between options that are valid each by itself."""
    kind, channels = Kind(row.get("kind") or Kind.LABEL), row["channels"]
    faults = []
    if kind is Kind.NORMAL and channels not in (2, 3):
        faults.append(f"a normal has 3 channels (z, y, x), or 2 in 2D; got channels = {channels}")
    faults += _class_weight_faults(row, kind, channels)
    if row.get("loss_only_on_label") and kind is Kind.LABEL and channels == 1:
        faults.append(
            "'loss_only_on_label' would leave a label with 1 channel nothing but its foreground; give the voxels that "
            "count in a 'mask'"
        )
    for key, default in (("label_smoothing", 0.0), ("ignore_label", None)):
        if row.get(key, default) != default and kind is not Kind.LABEL:
            faults.append(f"'{key}' belongs to kind 'label', not '{kind}'")
    if kind is Kind.EMBEDDING and (given := [key for key in _OF_TRUTH if row.get(key) is not None]):
        faults.append(
            f"{' and '.join(repr(key) for key in given)} compare with a truth, which kind 'embedding' has not; it is "
            "learnt from two views of an image, by configs/contrastive.json"
        )
    activation = row.get("activation") or Activation.NONE
    if kind is Kind.NORMAL and activation != Activation.NONE:
        faults.append(
            f"'activation' has no effect on kind 'normal', whose prediction gets unit length; got {activation!r}"
        )
    if activation == Activation.SOFTMAX and channels == 1:
        faults.append("softmax over one channel is always 1; use 'sigmoid', or give the background its own channel")
    return faults


def _class_weight_faults(row: Mapping[str, Any], kind: Kind, channels: int) -> list[str]:
    weights = row.get("class_weights")
    if weights is None:
        return []
    if kind is not Kind.LABEL:
        return [f"'class_weights' belong to kind 'label', not '{kind}'"]
    if weights == "balanced":
        is_derived = row.get("source") is not None
        return ["'class_weights' can be 'balanced' for stored labels alone, this one has a 'source'"] * is_derived
    if not isinstance(weights, Sequence) or len(weights) != channels or not all(_is_number(w) for w in weights):
        return [f"'class_weights' must hold one number per channel ({channels}), or be 'balanced'; got {weights!r}"]
    return []


def _choice_faults(row: Mapping[str, Any], key: str, choices: list[str], default: str | None) -> list[str]:
    value = row.get(key, default)
    if value is None or value in choices:
        return []
    return [f"'{key}' must be one of {', '.join(choices)}; got {value!r}{did_you_mean(value, choices)}"]


def _is_list_of_names(value: Any) -> bool:
    return isinstance(value, Sequence) and len(value) > 0 and all(isinstance(name, str) for name in value)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
