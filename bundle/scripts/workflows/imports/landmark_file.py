"""Reading a YAML file of LaNNU-Net."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ConfigParser

from .landmark_keys import ALIASES, KEYS, PHDNET, UNET, meant, one_of
from .task_file import SUFFIXES, Entry

ARCHITECTURE = "MODEL.ARCHITECTURE"

_SECTIONS = {place.rpartition(".")[0] for place in KEYS} | {place.rpartition(".")[0] for place in ALIASES}
_NOTHING = ("none", "null", "")


@dataclass(frozen=True)
class LandmarkConfig:
    """A file of LaNNU-Net.

    Args:
        entries: place -> what the file says.
        empty: places whose value is null, which counts as left out.
    """

    entries: Mapping[str, Entry]
    empty: tuple[str, ...] = ()

    def find(self, place: str) -> Entry | None:
        """The file's entry, or else the program's default; `None` where there is neither."""
        return None if place not in self.entries and KEYS[place].default is ... else self.get(place)

    def get(self, place: str) -> Entry:
        """The file's entry, or else the program's default, which there must be."""
        found = self.entries.get(place)
        return Entry(place, KEYS[place].default, is_given=False) if found is None else found

    @property
    def architecture(self) -> str:
        """`U-Net` or `PHD-Net`."""
        return str(self.get(ARCHITECTURE).read(one_of(UNET, PHDNET)))


def read_landmark_config(path: str | Path, skip_unknown: bool = False) -> tuple[LandmarkConfig, list[str]]:
    """Read a file, in which sections and keys may be missing.

    Args:
        path: YAML or JSON.
        skip_unknown: leave out keys that are not known.

    Returns:
        what it says, and the places that were left out.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: for what is no table of sections, keys that occur under two names with different values, and
            unknown keys.
    """
    source = Path(path)
    if not source.is_file():
        raise FileNotFoundError(f"config {path} does not exist")
    if source.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path}: expected a file that ends in {', '.join(SUFFIXES)}")
    try:
        content = ConfigParser.load_config_file(source)
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, Mapping) or not any(section in _SECTIONS for section in content):
        found = ", ".join(map(str, content)) if isinstance(content, Mapping) else type(content).__name__
        raise ValueError(
            f"{path} is no config of LaNNU-Net; expected sections such as DATASET, SAMPLER, SOLVER; found {found}"
        )
    entries: dict[str, Entry] = {}
    empty, unknown = [], []
    for place, value in _leaves(content):
        key = ALIASES.get(place, place)
        if key not in KEYS:
            unknown.append(f"{place}{meant(place)}")
        elif value is None and not KEYS[key].may_be_null:
            empty.append(place)
        elif entries.setdefault(key, Entry(place, value)).value != value:
            raise ValueError(f"{path}: {entries[key]}, but {place} = {value}; give it once")
    if unknown and not skip_unknown:
        raise ValueError(
            f"{path}: unknown keys: {', '.join(unknown)}; correct them, or pass --skip_unknown to leave them out"
        )
    return LandmarkConfig(entries, tuple(empty)), unknown


def _leaves(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Places and values; `None` written as text, as YACS understands it, is none."""
    for key, value in content.items():
        place = f"{prefix}{key}"
        if isinstance(value, Mapping) and place in _SECTIONS:
            yield from _leaves(value, f"{place}.")
        elif value is None and place in _SECTIONS:
            continue
        else:
            yield place, None if isinstance(value, str) and value.strip().lower() in _NOTHING else value
