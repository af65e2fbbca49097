"""The same segmentation of many predictions, whose paths follow a pattern."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..blockwise import run_orderly
from ..patches.cellmap_paths import find_paths

logger = logging.getLogger(__name__)

_FIELD = re.compile(r"\{(\w+)\}")


def segment_each(
    inputs: Mapping[str, str],
    output: str,
    segmentation: Callable[..., Any],
    keep: Mapping[str, Sequence[str] | str] | None = None,
) -> list[str]:
    """Find the objects of every set of inputs, one after the other; a set that is done already is left as it is.

    Args:
        inputs: name -> path. Paths may hold fields such as `{crop}` and `{label}`, each of which stands for a part of a
            folder's name, and wildcards. The first input is looked for; of the others the path with the same fields is
            taken. Without fields there is one set.
        output: path, in which the fields of the inputs stand for what was found.
        segmentation: `(inputs=, output=)` -> an object with `run()`, such as `scripts.segmentation.BlockSegmentation`.
        keep: of the values of a field those that fit one of these wildcards.

    Returns:
        the outputs.

    Raises:
        FileNotFoundError: if no path fits.
        ValueError: if there are no inputs, a field is unknown, or two sets have the same output.
    """
    sets = find_sets(inputs, output, keep)
    for number, (target, paths) in enumerate(sets.items(), 1):
        if len(sets) > 1:
            logger.info("%d of %d: %s", number, len(sets), next(iter(paths.values())))
        run_orderly(segmentation(inputs=paths, output=target).run)
    return list(sets)


def find_sets(
    inputs: Mapping[str, str], output: str, keep: Mapping[str, Sequence[str] | str] | None = None
) -> dict[str, dict[str, str]]:
    """The sets of inputs that fit a pattern, by their outputs.

    Args:
        inputs, output, keep: see `segment_each`.

    Raises:
        FileNotFoundError: if no path fits.
        ValueError: if there are no inputs, or others than paths, a field is unknown, or two sets have the same output.
    """
    if not isinstance(inputs, Mapping) or not inputs:
        raise ValueError(f"inputs: expected a table name -> path with at least one entry; got {inputs!r}")
    if wrong := [name for name, path in inputs.items() if not isinstance(path, (str, Path))]:
        raise ValueError(f"inputs: '{wrong[0]}' must be a path; got {inputs[wrong[0]]!r}")
    given = {name: str(path) for name, path in inputs.items()}
    first = next(iter(given))
    fields = set(_FIELD.findall(given[first]))
    wanted = {name: [value] if isinstance(value, str) else list(value) for name, value in (keep or {}).items()}
    for what, names in [
        ("keep", wanted),
        *((f"the path of '{key}'", _FIELD.findall(path)) for key, path in given.items()),
        ("output", _FIELD.findall(str(output))),
    ]:
        if unknown := sorted(set(names) - fields):
            raise ValueError(
                f"{what} names {{{unknown[0]}}}, which is no field of the path of '{first}': {given[first]}; its "
                f"fields are {', '.join(sorted(fields)) or 'none'}"
            )
    if not fields:
        return {str(output): given}
    sets: dict[str, dict[str, str]] = {}
    for found in find_paths(given[first], wanted):
        target = _filled(str(output), found.fields)
        if target in sets:
            raise ValueError(
                f"{found.path} and {sets[target][first]} would both be written to {target}; name the fields "
                f"{', '.join(sorted(fields))} in output"
            )
        sets[target] = {name: _filled(path, found.fields) for name, path in given.items()} | {first: found.path}
    if not sets:
        chosen = "".join(f", {{{name}}} being {' or '.join(values)}" for name, values in wanted.items())
        raise FileNotFoundError(f"no prediction fits {given[first]}{chosen}")
    return sets


def _filled(pattern: str, fields: Mapping[str, str]) -> str:
    return _FIELD.sub(lambda match: fields[match[1]], pattern)
