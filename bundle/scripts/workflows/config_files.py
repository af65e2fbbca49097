"""Config files as MONAI merges them, read only: nothing is evaluated, imported or built."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ConfigParser
from monai.bundle.utils import merge_kv

SEPARATOR = "#"
"""Between the parts of an id, such as `train#handlers#0`."""

_MOST_ENTRIES = 1_000_000


class FiledText(str):
    """A text of a config that knows from which file it is."""

    file: str


def read_merged(files: Sequence[str | Path]) -> dict[str, Any]:
    """Merge config files as MONAI does, later ones over earlier ones; every text in it is a `FiledText`.

    An entry for what there is not, such as an overlay has it that is looked at alone, stays under its own key.

    Raises:
        FileNotFoundError: for a file that does not exist.
        ValueError: for a file that cannot be read as a table.
    """
    merged: Any = ConfigParser(config={})
    for file in files:
        for key, value in read_config(file).items():
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # a '+' without anything to add to is copied
                    merge_kv(merged, str(key), value)
            except (KeyError, ValueError, IndexError, TypeError):
                merged.config[str(key)] = value
    return dict(merged.config)


def read_config(file: str | Path) -> dict[str, Any]:
    """Content of one JSON or YAML file, in which every text is a `FiledText`.

    Raises:
        FileNotFoundError: if it does not exist.
        ValueError: if it is no table, or has more than a million entries.
    """
    if not Path(file).is_file():
        raise FileNotFoundError(f"config {file} does not exist")
    try:
        content: Any = ConfigParser.load_config_file(file)
        if not isinstance(content, dict):
            raise ValueError(f"config {file} holds a {type(content).__name__}; expected a table of keys and values")
        return _filed(content, str(file), iter(range(_MOST_ENTRIES)))
    except (json.JSONDecodeError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"config {file} cannot be read: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ValueError(f"config {file} is nested too deeply, or within itself") from error


def iter_leaves(config: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Id and value of every entry that is neither table nor list, and of every `_target_`, whatever it is."""
    items: Any = ()
    if isinstance(config, Mapping):
        items = config.items()
    elif isinstance(config, list):
        items = enumerate(config)
    for name, value in items:
        inner = f"{key}{SEPARATOR}{name}" if key else str(name)
        is_nested = isinstance(value, (Mapping, list))
        if not is_nested or name == "_target_":
            yield inner, value
        if is_nested:
            yield from iter_leaves(value, inner)


def _filed(content: Any, file: str, room: Iterator[int]) -> Any:
    if next(room, None) is None:
        raise ValueError(f"config {file} has more than {_MOST_ENTRIES} entries")
    if isinstance(content, str):
        text = FiledText(content)
        text.file = file
        return text
    if isinstance(content, dict):
        return {key: _filed(value, file, room) for key, value in content.items()}
    if isinstance(content, list):
        return [_filed(value, file, room) for value in content]
    return content
