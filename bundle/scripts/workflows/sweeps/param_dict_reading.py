"""Reading a `param_dict.json`: its keys checked, its lists expanded."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...geometry import did_you_mean
from ..imports.task_file import Entry, Findings
from .experiment import grid
from .param_dict_keys import CONTRASTIVE, KEYS, MODEL, SEG, TOP, ParamKey, all_keys


def key_faults(content: Mapping[str, Any]) -> list[str]:
    """A line for each key that is not known, and for each table that is none."""
    faults = _unknown(content, KEYS[TOP], "")
    models = content.get(MODEL, [])
    tables: list[tuple[str, Any, str]] = [(f"model[{n}]", one, MODEL) for n, one in enumerate(_as_list(models))]
    tables += [(name, content[name], name) for name in (CONTRASTIVE, SEG) if name in content]
    for place, table, name in tables:
        if isinstance(table, Mapping):
            faults += _unknown(table, KEYS[name], f"{place}.")
        else:
            faults.append(f"{place}: expected a table of keys, got {table!r}")
    return faults


def expand_table(name: str, table: Mapping[str, Any]) -> list[dict[str, Entry]]:
    """Every combination of the values of a table, `contrastive` or `seg`, in the order of its keys, the last fastest.

    A list that is one deeper than a value of its key is several values, also within a table of parameters.
    """
    values = {key: list(_values(value, KEYS[name][key])) for key, value in table.items()}
    return [{key: Entry(f"{name}.{key}", value) for key, value in one.items()} for one in grid(values)]


def single(name: str, table: Mapping[str, Any], place: str) -> dict[str, Entry]:
    """The entries of a table that is not expanded.

    Raises:
        ValueError: where a key has several values.
    """
    for key, value in table.items():
        if len(options := list(_values(value, KEYS[name][key]))) != 1:
            raise ValueError(
                f"{place}.{key}: expected one value, got {len(options)}: {value!r}; give one model for each of them"
            )
    return {key: Entry(f"{place}.{key}", next(_values(value, KEYS[name][key]))) for key, value in table.items()}


def drop_keys(name: str, entries: Mapping[str, Entry], findings: Findings) -> None:
    """Note the keys that have no counterpart."""
    for key, entry in entries.items():
        if not KEYS[name][key].became:
            findings.drop(entry, KEYS[name][key].why)


def _as_list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def _unknown(table: Mapping[str, Any], keys: Mapping[str, ParamKey], prefix: str) -> list[str]:
    faults = []
    for key, value in table.items():
        if key not in keys:
            faults.append(f"unknown key {prefix}{key}{did_you_mean(str(key), keys) or _elsewhere(str(key))}")
        elif keys[key].inner:
            for one in _as_list(value):
                if isinstance(one, Mapping):
                    faults += _unknown(one, keys[key].inner, f"{prefix}{key}.")
                else:
                    faults.append(f"{prefix}{key}: expected a table of {', '.join(keys[key].inner)}; got {one!r}")
    return list(dict.fromkeys(faults))


def _elsewhere(key: str) -> str:
    places = [place for place in all_keys() if place.rpartition(".")[2] == key]
    return f" (there is {places[0]})" if places else ""


def _values(value: Any, key: ParamKey) -> Iterator[Any]:
    """The values of a key."""
    if key.inner:
        for table in _as_list(value):
            names = list(table)
            for values in itertools.product(*(list(_values(table[name], key.inner[name])) for name in names)):
                yield dict(zip(names, values, strict=True))
    elif _depth(value) > key.depth:
        yield from value
    else:
        yield value


def _depth(value: Any) -> int:
    """Lists that a value is nested in."""
    if not isinstance(value, list):
        return 0
    return 1 + max((_depth(one) for one in value), default=0)
