"""What the plain settings of the configs may be: the numbers and switches at the top of a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from ..patches.splits import METHODS as SPLIT_METHODS
from ..volumes.ngff import VERSIONS
from .argument_types import is_made_when_run
from .components import TARGET, iter_components

_MOST_VOXELS = 2**31
"""Of one patch or window: 8 GiB of float32, before any feature is computed."""

_LONGEST_AXIS = 2**16
"""Of the same, voxels."""

_MOST_WORKERS = 1024
_MOST_AT_ONCE = 2**16


@dataclass(frozen=True)
class _Rule:
    """What a setting may be.

    Args:
        words: the same for a person.
        holds: whether a value is one of these.
    """

    words: str
    holds: Callable[[Any], bool]

    def or_null(self) -> _Rule:
        return _Rule(f"{self.words}, or null", lambda value: value is None or self.holds(value))

    def or_each(self) -> _Rule:
        """One for all axes, or a list with one for each."""
        return _Rule(
            f"{self.words}, or a list of such",
            lambda value: self.holds(value) or (_is_list(value) and all(map(self.holds, value))),
        )

    def listed(self) -> _Rule:
        """A list of such."""
        return _Rule(f"a list, each entry {self.words}", lambda value: _is_list(value) and all(map(self.holds, value)))


def setting_faults(parser: ConfigParser, collect: Callable[[Callable[[], list[str]]], list[str]]) -> list[str]:
    """List the plain settings of a config that cannot be right, whatever they are used for.

    Arguments of the bundle's own components that are called like a setting are held to the same rule; the number of
    workers is, whoever takes it, since each is a process.

    Args:
        parser: the config; settings that it does not have are left out, and so are those that are components.
        collect: calls a function and returns the faults that it lists, or that its error tells.
    """
    config: Mapping[str, Any] = parser.config  # type: ignore[assignment]
    faults: list[str] = []
    for key, rule in _RULES.items():
        if key in config and not (isinstance(config[key], Mapping) and TARGET in config[key]):
            faults += collect(partial(_setting_faults, parser, key, rule))
    for key, component in iter_components(config):
        names = _RULES.keys() if str(component[TARGET]).startswith("scripts.") else {"num_workers"}
        for name, value in component.items():
            if name in names and value is not None and not _is_made(value):
                faults += _faults(f"{key}#{name}", _RULES[name], value)
    return faults


def _setting_faults(parser: ConfigParser, key: str, rule: _Rule) -> list[str]:
    return _faults(key, rule, parser.get_parsed_content(key))


def _is_made(value: Any) -> bool:
    return any(map(_is_made, value)) if _is_list(value) else is_made_when_run(value)


def _faults(key: str, rule: _Rule, value: Any) -> list[str]:
    return [] if rule.holds(value) else [f"{key} must be {rule.words}; got {value!r}"]


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_size(value: Any) -> bool:
    is_box = _is_list(value) and 1 <= len(value) <= 3 and all(_is_whole(n) and n > 0 for n in value)
    return is_box and math.prod(value) <= _MOST_VOXELS and max(value) <= _LONGEST_AXIS


def _is_spacing(value: Any) -> bool:
    return _is_list(value) and len(value) == 3 and all(_is_number(length) and length > 0 for length in value)


_COUNT = _Rule("a whole number of at least 1", lambda value: _is_whole(value) and value >= 1)
_FROM_ZERO = _Rule("a whole number of at least 0", lambda value: _is_whole(value) and value >= 0)
_WHOLE = _Rule("a whole number", _is_whole)
_SEED = _Rule("a whole number from 0 to 2^32 - 1", lambda value: _is_whole(value) and 0 <= value < 2**32)
_POSITIVE = _Rule("a number above 0", lambda value: _is_number(value) and value > 0)
_NOT_NEGATIVE = _Rule("a number of at least 0", lambda value: _is_number(value) and value >= 0)
_SHARE = _Rule("a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1)
_SWITCH = _Rule("true or false", lambda value: isinstance(value, bool))
_NAME = _Rule("a word", lambda value: isinstance(value, str) and value != "")
_SIZE = _Rule("whole numbers along z, y, x, each from 1 to 2^16, of at most 2^31 voxels together", _is_size)
_SPACING = _Rule("three numbers above 0, the size of a voxel along z, y, x", _is_spacing)
_PATH = _Rule("a path", lambda value: isinstance(value, (str, Path)) and str(value) != "")
_WORKERS = _Rule(
    f"a whole number from 0 to {_MOST_WORKERS}", lambda value: _is_whole(value) and 0 <= value <= _MOST_WORKERS
)
_BATCH = _Rule(
    f"a whole number from 1 to {_MOST_AT_ONCE}", lambda value: _is_whole(value) and 1 <= value <= _MOST_AT_ONCE
)

_RULES: dict[str, _Rule] = {
    **dict.fromkeys(
        (
            *("in_channels", "max_epochs", "max_steps_per_epoch", "accumulation_steps"),
            *("val_interval", "threads", "h_channels", "projection_channels"),
            *("init_features", "max_features", "min_feature_resolution", "n_bins"),
        ),
        _COUNT,
    ),
    **dict.fromkeys(("max_val_steps_per_epoch", "chunk_cache", "mc_dropout", "n_pictures"), _FROM_ZERO),
    **dict.fromkeys(("early_stop", "n_folds", "memory_limit", "levels", "largest", "head_channels"), _COUNT.or_null()),
    **dict.fromkeys(("fold", "smha_member"), _WHOLE),
    **dict.fromkeys(("patch_size", "roi_size", "input_size", "cover_size"), _SIZE.or_null()),
    **dict.fromkeys(("chunk_size", "shard_size", "block_size", "output_stride"), _COUNT.or_each().or_null()),
    **dict.fromkeys(("split_guard", "jitter"), _FROM_ZERO.or_each().or_null()),
    **dict.fromkeys(("temperature", "amplitude", "vote_sigma"), _POSITIVE),
    "max_val_seconds": _POSITIVE.or_null(),
    "clip_norm": _Rule("a positive number, or null for none", lambda value: value is None or _POSITIVE.holds(value)),
    **dict.fromkeys(("learning_rate", "weight_decay", "displacement_weight"), _NOT_NEGATIVE),
    **dict.fromkeys(("min_size", "max_size"), _NOT_NEGATIVE.or_null()),
    **dict.fromkeys(("radii", "radii_physical"), _NOT_NEGATIVE.listed()),
    **dict.fromkeys(
        (
            *("foreground_share", "sampler_bias", "min_bbox_percent", "min_labeled_ratio"),
            *("stochastic_depth_p", "dropout", "validation_prob"),
        ),
        _SHARE,
    ),
    "val_fraction": _Rule("at least 0 and below 1", lambda value: _is_number(value) and 0 <= value < 1),
    **dict.fromkeys(("ema", "threshold", "shrinkage"), _SHARE.or_null()),
    **dict.fromkeys(
        (
            *("conv_bias", "activation_checkpointing", "deep_supervision", "previews", "partial_weights", "use_cache"),
            *("augment_on_device", "distributed", "channels_last", "skip_empty", "resume", "overwrite", "streaming"),
            *("disagreement", "fit_gaussian", "debug", "freeze_base", "saved_embeddings", "drop_border"),
            *("physical_sizes", "append", "fit_bins", "ensemble", "use_s3", "flip"),
        ),
        _SWITCH,
    ),
    **dict.fromkeys(("batch_size", "sw_batch_size"), _BATCH),
    "num_workers": _WORKERS,
    "n_workers": _WORKERS.or_null(),
    "random_seed": _SEED,
    "model_name": _NAME,
    "ome_version": _Rule(f"one of {', '.join(VERSIONS)}", lambda value: value in VERSIONS),
    "results_dir": _PATH,
    "base_weights": _PATH.or_null(),
    "input_spacing": _SPACING.or_null(),
    "overlap": _Rule("at least 0 and below 1", lambda value: _is_number(value) and 0 <= value < 1).or_each(),
    "split_method": _Rule(f"one of {', '.join(SPLIT_METHODS)}", lambda value: value in SPLIT_METHODS),
}
"""Other choices among words are checked by the components that take them, which name them."""
