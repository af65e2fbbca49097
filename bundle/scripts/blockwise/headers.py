"""Comparing what a stored result was made from with what is wanted now."""

from __future__ import annotations

import json
from typing import Any


def as_json(header: Any) -> Any:
    """The header as it reads back from a JSON file: tuples become lists, keys strings."""
    return json.loads(json.dumps(header))


def header_differences(stored: Any, wanted: Any, name: str = "") -> list[str]:
    """Name every entry in which two headers differ, with both values: `patch_size[0]: 64 -> 96`.

    Both are JSON values, `wanted` through `as_json`.
    """
    if isinstance(stored, dict) and isinstance(wanted, dict):
        keys = list(dict.fromkeys([*wanted, *stored]))
        return [
            difference
            for key in keys
            for difference in header_differences(stored.get(key), wanted.get(key), f"{name}.{key}" if name else key)
        ]
    if isinstance(stored, list) and isinstance(wanted, list) and len(stored) == len(wanted):
        return [
            difference
            for i, (a, b) in enumerate(zip(stored, wanted, strict=True))
            for difference in header_differences(a, b, f"{name}[{i}]")
        ]
    return [] if stored == wanted else [f"{name}: {_short(stored)} -> {_short(wanted)}"]


def _short(value: Any, limit: int = 80) -> str:
    text = json.dumps(value)
    return text if len(text) <= limit else f"{text[:limit]}..."
