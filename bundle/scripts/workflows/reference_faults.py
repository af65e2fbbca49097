"""References and expressions of a config that cannot work, found before anything is evaluated."""

from __future__ import annotations

import functools
import json
import logging
import sys
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from monai.bundle import ConfigParser, ReferenceResolver

from ..geometry import did_you_mean
from .config_files import SEPARATOR, iter_leaves
from .demo_run import BUNDLE

logger = logging.getLogger(__name__)

_EXPRESSION = "$"
_ALIKE = 0.8
_MOST_NAMED = 3


def reference_faults(parser: ConfigParser) -> list[str]:
    """List expressions that are no Python, references that lead nowhere, and those that lead in circles.

    Args:
        parser: the config, with its macros resolved.

    Returns:
        a line for each fault, which names the keys.
    """
    texts = {key: value for key, value in iter_leaves(parser.config) if isinstance(value, str)}
    faults = [f"{key}: {fault}" for key, text in texts.items() if (fault := _syntax_fault(text))]
    references = {key: [_shown(name) for name in ReferenceResolver.match_refs_pattern(text)]
                  for key, text in texts.items()}  # fmt: skip
    return faults + _missing(parser, references) + _circles(references)


def warn_of_misspelt_keys(parser: ConfigParser) -> None:
    """Say of keys that nothing refers to, and that are almost called like one that matters, that they have no effect.

    Top-level keys are free, so that these are no faults.
    """
    used = {
        _shown(name).partition(SEPARATOR)[0]
        for _, text in iter_leaves(parser.config)
        if isinstance(text, str)
        for name in ReferenceResolver.match_refs_pattern(text)
    }
    config: Mapping[str, Any] = parser.config  # type: ignore[assignment]
    for key in config:
        if key in used or key.startswith("_") or key in _ids_of_the_bundle():
            continue
        others = [one for one in used if one in config]
        if close := get_close_matches(key, others, 1, _ALIKE):
            logger.warning("'%s' has no effect: nothing in the config refers to it; did you mean '%s'?", key, close[0])


@functools.cache
def _ids_of_the_bundle() -> frozenset[str]:
    """Keys at the top of the bundle's own configs, some of which only other programs read."""
    files = sorted((BUNDLE / "configs").glob("*.json"))
    return frozenset(key for path in files for key in json.loads(path.read_text()))


def _syntax_fault(text: str) -> str:
    if not text.startswith(_EXPRESSION):
        return ""
    code = ReferenceResolver.id_matcher.sub("x", ReferenceResolver.normalize_id(text[len(_EXPRESSION) :]))
    for mode in ("eval", "exec"):  # an import is a statement
        try:
            compile(code, "<config>", mode)
        except (SyntaxError, ValueError) as error:
            fault = f"{text!r} is no Python expression: {error.args[0]}"
        except (MemoryError, RecursionError):
            return f"{text[:60]!r} ... is too long an expression"
        else:
            if mode == "eval" or code.lstrip().startswith(("import ", "from ")):
                return ""
    return fault


def _missing(parser: ConfigParser, references: Mapping[str, list[str]]) -> list[str]:
    users: dict[str, list[str]] = {}
    for key, names in references.items():
        for name in names:
            if name not in parser:
                users.setdefault(name, []).append(key)
    config: Mapping[str, Any] = parser.config  # type: ignore[assignment]
    used = {name for names in references.values() for name in names}
    spare = [key for key in config if key not in used and not key.startswith("_")]
    faults = []
    for name, keys in users.items():
        more = f" and {len(keys) - _MOST_NAMED} more" if len(keys) > _MOST_NAMED else ""
        top, _, rest = name.partition(SEPARATOR)
        near = did_you_mean(name, spare) if not rest else _near_within(parser, name)
        if not near:
            near = did_you_mean(top, config) if top not in config else ""
        faults.append(f"'{name}' is missing{near}: {', '.join(keys[:_MOST_NAMED])}{more} refer to it as @{name}")
    return faults


def _near_within(parser: ConfigParser, name: str) -> str:
    parent, _, last = name.rpartition(SEPARATOR)
    table = parser.get(parent)
    return did_you_mean(last, table) if isinstance(table, Mapping) else ""


def _circles(references: Mapping[str, list[str]]) -> list[str]:
    """References that lead back to where they begin; each circle once."""
    nodes = {name for names in references.values() for name in names}
    ordered = sorted(references)
    leads_to = {
        node: list(dict.fromkeys(name for key in _within(node, ordered) for name in references.get(key, ())))
        for node in nodes
    }
    done: set[str] = set()
    return [
        f"{circle[0]}: refers to itself in a circle: {' -> '.join([*circle, circle[0]])}"
        for node in sorted(nodes)
        for circle in _circles_from(node, leads_to, done)
    ]


def _within(node: str, ordered: Sequence[str]) -> list[str]:
    """A node, and the keys below it, from all keys in order: a config that lists ten thousand volumes has many."""
    below = f"{node}{SEPARATOR}"
    return [node, *ordered[bisect_left(ordered, below) : bisect_left(ordered, below + chr(sys.maxunicode))]]


def _circles_from(node: str, leads_to: Mapping[str, list[str]], done: set[str]) -> Iterator[list[str]]:
    """Depth-first search without recursion; `done` holds nodes from which everything has been seen."""
    path: list[str] = []
    waiting: list[tuple[str, Iterator[str]]] = []

    def enter(name: str) -> None:
        path.append(name)
        waiting.append((name, iter(leads_to.get(name, ()))))

    if node not in done:
        enter(node)
    while waiting:
        name, rest = waiting[-1]
        following = next(rest, None)
        if following is None:
            done.add(name)
            path.pop()
            waiting.pop()
        elif following in path:
            yield path[path.index(following) :]
        elif following not in done:
            enter(following)


def _shown(name: str) -> str:
    """An id as a person writes it."""
    return name.replace("::", SEPARATOR)
