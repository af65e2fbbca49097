"""The code that a config would run, found without running any of it."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle import ComponentLocator, ConfigParser

from .components import TARGET
from .config_files import SEPARATOR, FiledText, iter_leaves, read_config, read_merged
from .config_targets import Origin, target_origin
from .demo_run import BUNDLE

_EXPRESSION, _REFERENCE, _MACRO = "$", "@", "%"
_MODE = "_mode_"
_METADATA = "metadata.json"


@dataclass(frozen=True)
class CodePlace:
    """A place of a config that runs code.

    Args:
        key: id of the entry.
        file: from which it is.
        text: what stands there.
        origin: whose code it is.
        note: what the text alone does not say.
    """

    key: str
    file: str
    text: str
    origin: Origin
    note: str = ""


def find_code(files: Sequence[str | Path]) -> list[CodePlace]:
    """List every place of merged configs that runs code, and other files that could.

    These are expressions (`$...`, imports among them), `_target_`, components that open a debugger, what macros
    (`%file.json#id`) bring in from other files, the `metadata.json` that MONAI reads beside the first file, and Python
    files that stand where imports are looked for first.

    Args:
        files: JSON or YAML, in the order in which MONAI would merge them.

    Raises:
        FileNotFoundError: for a file that does not exist.
        ValueError: for a file that cannot be read.
    """
    merged = read_merged(files)
    metadata = Path(files[0]).parent / _METADATA
    tables: list[tuple[str, dict[str, Any]]] = [("", merged)]
    if metadata.is_file():
        tables.append((ConfigParser.meta_key, read_config(metadata)))
    locator = ComponentLocator()
    found = [place for key, table in tables for place in _places(table, key, merged, locator, frozenset())]
    return found + _modules_beside(files[0], merged.get("bundle_root"))


@functools.cache
def own_expressions() -> frozenset[tuple[str, str]]:
    """Key, without numbers of lists, and text of every expression in the configs of this bundle."""
    return frozenset(
        (_place_in_lists(key.lstrip("+")), str(value))
        for path in sorted((BUNDLE / "configs").glob("*.json"))
        for key, value in iter_leaves(read_config(path))
        if isinstance(value, str) and value.startswith(_EXPRESSION)
    )


def _places(
    config: Any, key: str, merged: dict[str, Any], locator: ComponentLocator, seen: frozenset[str]
) -> Iterator[CodePlace]:
    """Places of a part of a config.

    Args:
        config: the part.
        key: its id.
        merged: the whole config.
        locator: knows MONAI's classes.
        seen: macros that led here.
    """
    for inner, value in iter_leaves(config):
        place = f"{key}{SEPARATOR}{inner}" if key else inner
        last = place.rpartition(SEPARATOR)[2]
        file = getattr(value, "file", "")
        if not isinstance(value, str):
            if last == TARGET:
                yield CodePlace(place, _file_of(value), repr(value), Origin.FOREIGN, "decided when it runs")
        elif value.startswith(_EXPRESSION):
            is_own = last != TARGET and (_place_in_lists(place), str(value)) in own_expressions()
            yield CodePlace(place, file, value, Origin.OWN if is_own else Origin.FOREIGN)
        elif value.startswith(_MACRO):
            yield from _behind_macro(value, place, merged, locator, seen)
        elif last == TARGET and value.startswith(_REFERENCE):
            yield CodePlace(place, file, value, Origin.FOREIGN, "decided when it runs")
        elif last == TARGET:
            yield CodePlace(place, file, value, target_origin(value, locator))
        elif last == _MODE and value not in ("default", "callable"):
            yield CodePlace(place, file, value, Origin.FOREIGN, "stops in Python's debugger")


def _behind_macro(
    macro: FiledText | str, place: str, merged: dict[str, Any], locator: ComponentLocator, seen: frozenset[str]
) -> Iterator[CodePlace]:
    """Places in what a macro copies; a macro within the config is left out, for what it copies is listed already."""
    file = getattr(macro, "file", "")
    path, identity = ConfigParser.split_path_id(macro[len(_MACRO) :])
    is_target = place.rpartition(SEPARATOR)[2] == TARGET
    if not path:
        if is_target:
            yield CodePlace(place, file, macro, Origin.FOREIGN, "decided when it runs")
        return
    if macro in seen:
        yield CodePlace(place, file, macro, Origin.FOREIGN, "leads back to itself")
        return
    try:
        content = ConfigParser(config=read_config(path))[identity]
    except (OSError, ValueError, KeyError, IndexError) as error:
        yield CodePlace(place, file, macro, Origin.FOREIGN, f"cannot be read: {error}")
        return
    parent, _, last = place.rpartition(SEPARATOR)
    yield from _places({last: content}, parent, merged, locator, seen | {macro})


def _modules_beside(first: str | Path, bundle_root: Any) -> list[CodePlace]:
    """Python files in folders that MONAI puts in front of installed packages: an import there takes them instead."""
    folder = Path(first).absolute().parent
    folders = {folder.parent if folder.name == "configs" else folder: f"beside {first}"}
    if isinstance(bundle_root, str) and not bundle_root.startswith(_EXPRESSION):
        folders.setdefault(Path(bundle_root).absolute(), f"bundle_root = {bundle_root}")
    return [
        CodePlace(path.name, str(path), "Python code", Origin.FOREIGN, f"imports look here first: {why}")
        for root, why in folders.items()
        if root.is_dir() and root.resolve() != BUNDLE
        for path in sorted(root.iterdir())
        if (path.suffix in (".py", ".pyc", ".so") or (path / "__init__.py").is_file())
        and path.resolve() != BUNDLE / "scripts"
    ]


def _place_in_lists(key: str) -> str:
    """A key without the numbers of its lists: entries move when others are put in front of them."""
    return re.sub(rf"{SEPARATOR}\d+(?={SEPARATOR}|$)", f"{SEPARATOR}*", key.replace("::", SEPARATOR))


def _file_of(value: Any) -> str:
    """The file of the first text within a table or a list."""
    return next((inner.file for _, inner in iter_leaves(value) if isinstance(inner, FiledText)), "")
