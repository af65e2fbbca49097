"""Where in a config an error happened."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from traceback import walk_tb
from typing import Any

from monai.bundle import ConfigParser, ReferenceResolver

from .config_files import SEPARATOR, iter_leaves

_RESOLVES = ReferenceResolver._resolve_one_item.__code__
_MOST_VALUES = 8
_MOST_STEPS = 4
_VALUE_CHARACTERS = 80


@dataclass(frozen=True)
class ConfigPlace:
    """The entry of a config that was being built when an error happened.

    Args:
        keys: ids, from the one that was asked for to the one that could not be built.
        parser: the config; `None` where it is not known.
    """

    keys: tuple[str, ...]
    parser: ConfigParser | None

    def is_in(self, names: tuple[str, ...]) -> bool:
        """Whether the entry that could not be built is one of these, or within one."""
        return self.keys[-1].partition(SEPARATOR)[0] in names

    def told(self, message: str) -> str:
        """A message with the place, and with the values that went into it, unless it names one of them itself."""
        key = self.keys[-1]
        said = message if message.startswith(f"{key}:") else f"{key}: {message}"
        values = dict(self._values())
        if not values or any(re.search(rf"\b{re.escape(name)}\b", message) for name in values):
            return said
        listed = [f"{name} = {_short(value)}" for name, value in list(values.items())[:_MOST_VALUES]]
        return f"{said} (with {', '.join(listed)})"

    def _values(self) -> Iterator[tuple[str, Any]]:
        """Settings that the entry refers to, directly or through others, as they stand in the config."""
        if self.parser is None:
            return
        seen = {self.keys[-1]}
        waiting = [(self.keys[-1], 0)]
        while waiting:
            key, steps = waiting.pop(0)
            content = self.parser.get(key)
            texts = [content] if isinstance(content, str) else [value for _, value in iter_leaves(content)]
            names = [name for text in texts if isinstance(text, str) for name in _references(text)]
            if steps and not names:
                yield key, content
            for name in names:
                if name not in seen and steps < _MOST_STEPS:
                    seen.add(name)
                    waiting.append((name, steps + 1))


def config_place(error: BaseException) -> ConfigPlace | None:
    """Where in a config an error happened: MONAI's own messages say which component, and not which of several.

    The frames of the error's traceback know.

    Returns:
        `None` where no config was being built.
    """
    keys: list[str] = []
    parser = None
    one: BaseException | None = error
    while one is not None and not keys:
        for frame, _ in walk_tb(one.__traceback__):
            owner = frame.f_locals.get("self")
            if isinstance(owner, ConfigParser):
                parser = owner
            if frame.f_code is _RESOLVES:
                keys.append(ReferenceResolver.normalize_id(frame.f_locals["id"]).replace("::", SEPARATOR))
        one = one.__cause__
    return ConfigPlace(tuple(keys), parser) if keys else None


def failed_component(error: BaseException, parser: ConfigParser) -> str:
    """Id of the innermost component of a config that was at work when an error happened; empty where none was."""
    ids = {id(value): key for key, value in parser.ref_resolver.resolved_content.items() if _is_object(value)}
    found = ""
    one: BaseException | None = error
    while one is not None:
        for frame, _ in walk_tb(one.__traceback__):
            for name in ("self", "transform"):
                found = ids.get(id(frame.f_locals.get(name)), found)
        one = one.__cause__
    return found.replace(ReferenceResolver.sep, SEPARATOR)


def _is_object(value: Any) -> bool:
    return value is not None and not isinstance(value, (str, int, float, bool, list, dict, tuple))


def _references(text: str) -> list[str]:
    return [name.replace("::", SEPARATOR) for name in ReferenceResolver.match_refs_pattern(text)]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _VALUE_CHARACTERS else f"{text[:_VALUE_CHARACTERS]} ..."
