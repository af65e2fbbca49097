"""Configs made wrong: one change at a random place, of a kind that people make, or that a broken program makes."""

from __future__ import annotations

import copy
import json
import math
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

SPARED = ("initialize", "run", "training", "evaluating", "inference", "processing", "finalize", "imports")
"""What a config does; its settings and components are all other keys. Without its check a config is not checked."""

_FOLDERS = ("bundle_root", "dataset_dir", "output_dir", "ckpt_dir")
"""Left as they are: a run must not write beyond the folder of a test."""

HUGE = 10**9

_DURATIONS = ("max_epochs", "max_steps_per_epoch", "accumulation_steps")
"""Never made huge: a long training is none that is wrong."""

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Mutation:
    """A config with one change.

    Args:
        kind: of the change.
        path: keys and numbers that lead to it.
        said: what was there, and what is there now.
        config: all of it.
    """

    kind: str
    path: Path
    said: str
    config: dict[str, Any]

    @property
    def key(self) -> str:
        return "#".join(map(str, self.path))

    def names(self) -> set[str]:
        """Words of which a message must hold one: the key, what it is part of, or a key that refers to it."""
        own = {str(part) for part in self.path if isinstance(part, str)}
        pattern = re.compile(rf"@{re.escape(str(self.path[0]))}\b")
        users = {str(name) for name, value in self.config.items() if pattern.search(json.dumps(value, default=str))}
        return own | users - set(SPARED)


def mutate(config: dict[str, Any], seed: str, kind: str | None = None) -> Mutation:
    """A config with one change.

    Args:
        config: stays as it is.
        seed: decides on kind, place and value.
        kind: of the change; `None`: any of `KINDS`.
    """
    rng = random.Random(seed)
    for _ in range(100):
        chosen = kind or rng.choice(list(KINDS))
        places = [path for path in _places(config) if KINDS[chosen].fits(path[-1], _value(config, path))]
        if not places:
            continue
        path = rng.choice(places)
        changed = copy.deepcopy(config)
        before = _value(config, path)
        parent = _value(changed, path[:-1])
        after = KINDS[chosen].change(parent, path, rng)
        return Mutation(chosen, path, f"{_short(before)} -> {_short(after)}", changed)
    raise LookupError("there is no place for any change")


@dataclass(frozen=True)
class _Kind:
    """A kind of change.

    Args:
        fits: whether it can be made to a value under a name.
        change: makes it in a list or dictionary at the last part of a path, and says what stands there then.
    """

    fits: Callable[[str | int, Any], bool]
    change: Callable[[Any, Path, random.Random], Any]


def _places(config: Any, path: Path = ()) -> Iterator[Path]:
    items = config.items() if isinstance(config, dict) else enumerate(config) if isinstance(config, list) else ()
    for name, value in items:
        if not path and (name in (*SPARED, *_FOLDERS) or name.startswith("_")):
            continue
        yield (*path, name)
        yield from _places(value, (*path, name))


def _value(config: Any, path: Path) -> Any:
    for part in path:
        config = config[part]
    return config


def _set(value: Callable[[Any, Path, random.Random], Any]) -> Callable[[Any, Path, random.Random], Any]:
    """A change that puts another value in place."""

    def change(parent: Any, path: Path, rng: random.Random) -> Any:
        parent[path[-1]] = value(parent[path[-1]], path, rng)
        return parent[path[-1]]

    return change


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _of_another_type(value: Any, path: Path, rng: random.Random) -> Any:
    others = {
        str: [7, True, ["a"], {"a": 1}],
        bool: ["maybe", 3, [True]],
        int: ["many", [3, 3], 0.5, True],
        float: ["fast", [0.1], True],
        list: ["x", 3, {"a": 1}],
        dict: ["x", 3, [1]],
        type(None): ["something", 5, [1, 2], {"a": 1}],
    }
    return rng.choice(others[type(value)])


def _remove(parent: Any, path: Path, rng: random.Random) -> str:
    del parent[path[-1]]
    return "missing"


def _misspell(parent: Any, path: Path, rng: random.Random) -> str:
    name = str(path[-1])
    at = rng.randrange(len(name) - 1)
    wrong = rng.choice([name[:at] + name[at + 1] + name[at] + name[at + 2 :], name[:at] + name[at + 1 :], name + "s"])
    items = [(wrong if key == name else key, value) for key, value in parent.items()]
    parent.clear()
    parent.update(items)
    return wrong


def _add_argument(parent: Any, path: Path, rng: random.Random) -> str:
    parent[path[-1]]["no_such_argument"] = 1
    return "no_such_argument"


def _wrong_target(value: str, path: Path, rng: random.Random) -> str:
    at = rng.randrange(1, len(value) - 1)
    return rng.choice([value[:at] + value[at + 1 :], f"{value}x", "no.such.module.Thing", "", "1+1"])


KINDS: dict[str, _Kind] = {
    "another type": _Kind(lambda name, value: name != "_target_", _set(_of_another_type)),
    "missing key": _Kind(lambda name, value: isinstance(name, str), _remove),
    "misspelt key": _Kind(lambda name, value: isinstance(name, str) and len(name) > 2, _misspell),
    "negative": _Kind(lambda name, value: _is_number(value), _set(lambda v, p, r: -abs(v) or -1)),
    "zero": _Kind(lambda name, value: _is_number(value), _set(lambda v, p, r: 0)),
    "huge": _Kind(lambda name, value: _is_number(value) and name not in _DURATIONS, _set(lambda v, p, r: HUGE)),
    "not finite": _Kind(lambda name, value: _is_number(value), _set(lambda v, p, r: r.choice([math.nan, math.inf]))),
    "wrong reference": _Kind(
        lambda name, value: isinstance(value, str), _set(lambda v, p, r: f"{v}_x" if v.startswith("@") else "@nothing")
    ),
    "circle": _Kind(lambda name, value: True, _set(lambda v, p, r: f"@{p[0]}")),
    "wrong target": _Kind(lambda name, value: name == "_target_", _set(_wrong_target)),
    "wrong argument": _Kind(lambda name, value: isinstance(value, dict) and "_target_" in value, _add_argument),
    "null": _Kind(lambda name, value: value is not None and name != "_target_", _set(lambda v, p, r: None)),
    "empty": _Kind(
        lambda name, value: value not in ([], {}, "") and name != "_target_",
        _set(lambda v, p, r: r.choice([[], {}, ""])),
    ),
    "nesting": _Kind(lambda name, value: True, _set(lambda v, p, r: r.choice([[v], {"value": v}, [[v]]]))),
    "syntax": _Kind(
        lambda name, value: isinstance(value, str),
        _set(lambda v, p, r: r.choice(["$1 +", "$(", f"${v} )", "$a b", "$"])),
    ),
}  # fmt: skip


def _short(value: Any) -> str:
    return json.dumps(value, default=str)[:100]
