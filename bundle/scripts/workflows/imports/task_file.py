"""Reading a task file of SheetNorm or its successor, and noting what becomes of each entry."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from yaml import YAMLError

from ...geometry import did_you_mean
from .task_keys import (
    DATASET,
    KEYS,
    LAYOUTS,
    LOSS_OPTIONS,
    LOSSES,
    REDUCTION,
    TARGET_KEYS,
    TARGETS,
    VOLUME_KEYS,
    VOLUMES,
    Layout,
    choice,
)

SUFFIXES = (".json", ".yaml", ".yml")

_LONG = 110  # characters of a line


@dataclass(frozen=True)
class Entry:
    """A value of a task file, or the default of the program that read it.

    Args:
        place: where it stands, such as `tr_params.batch_size`.
        value: as it stands there.
        is_given: whether the file has it.
    """

    place: str
    value: Any
    is_given: bool = True

    def __str__(self) -> str:
        shown = short(self.value)
        return f"{self.place} = {shown}" if self.is_given else f"{self.place} left out, {shown} in their program"

    def read(self, reader: Callable[[Any], Any]) -> Any:
        """The value through a reader.

        Raises:
            ValueError: with the place, where the reader raises one.
        """
        try:
            return reader(self.value)
        except ValueError as error:
            raise ValueError(f"{self.place}: {error}") from error


@dataclass(frozen=True)
class Task:
    """A task file.

    Args:
        layout: its form.
        entries: role -> key -> entry.
        empty: places of keys whose value is null, which counts as left out.
    """

    layout: Layout
    entries: Mapping[str, Mapping[str, Entry]]
    empty: Sequence[str] = ()

    def get(self, role: str, key: str) -> Entry | None:
        """The file's entry, or else the program's default; `None` where there is neither."""
        found = self.entries[role].get(key)
        if found is not None:
            return found
        defaults = self.layout.defaults.get(role, {})
        return Entry(key, defaults[key], is_given=False) if key in defaults else None

    def has(self, role: str) -> bool:
        """Whether the file says anything in this role."""
        return bool(self.entries[role])


@dataclass
class Findings:
    """What becomes of a task file.

    Args:
        settings: the overlay for train.json.
        inference: the overlay for inference.json.
        mapped: lines for entries that have a counterpart.
        defaults: lines for defaults that are written down.
        dropped: lines for entries without counterpart.
        advice: what a person has to do or know.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    inference: dict[str, Any] = field(default_factory=dict)
    mapped: list[str] = field(default_factory=list)
    defaults: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    def put(self, entry: Entry, settings: dict[str, Any], key: str, value: Any, why: str = "") -> None:
        """Write a setting that an entry becomes, and say so."""
        settings[key] = value
        self.say(entry, f"{key} = {short(value)}", why)

    def say(self, entry: Entry, became: str, why: str = "") -> None:
        """Note what an entry became."""
        line = f"{entry} -> {became}"
        if why:
            line += f"\n      ({why})" if len(line) + len(why) > _LONG else f" ({why})"
        (self.mapped if entry.is_given else self.defaults).append(line)

    def drop(self, entry: Entry, why: str) -> None:
        """Note that an entry has no counterpart; what the file does not even say is not worth a line."""
        if entry.is_given:
            self.dropped.append(f"{entry}: {why}")


def read_task(path: str | Path, skip_unknown: bool = False) -> tuple[Task, list[str]]:
    """Read a task file.

    Args:
        path: JSON or YAML.
        skip_unknown: leave out keys that are not known.

    Returns:
        the task, and the places that were left out.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: for a file that is no task, or lacks targets or volumes, and for unknown keys.
    """
    content = _load(Path(path))
    layout = _layout_of(content, path)
    tables = {key: content[key] for key in (VOLUMES, TARGETS) if content.get(key) is not None}
    entries: dict[str, dict[str, Entry]] = {role: {} for role in KEYS}
    unknown = [
        f"{section}{did_you_mean(section, [*layout.sections, *(VOLUMES, TARGETS)])}"
        for section in content
        if section not in (*layout.sections, *(VOLUMES, TARGETS))
    ]
    empty = []
    for section, role in layout.sections.items():
        values = content.get(section) or {}
        if not isinstance(values, Mapping):
            raise ValueError(f"{path}: {section} must be a table of keys, got {values!r}")
        for key, value in values.items():
            if key not in KEYS[role]:
                unknown.append(f"{section}.{key}{_meant(str(key), role, layout)}")
            elif value is None:
                empty.append(f"{section}.{key}")
            else:
                entry = Entry(f"{section}.{key}", value)
                if entries[role].setdefault(key, entry).value != value:
                    raise ValueError(f"{path}: {entries[role][key]}, but {entry}; give it once")
    for key, value in tables.items():
        if entries[DATASET].setdefault(key, Entry(key, value)).value != value:
            raise ValueError(f"{path}: '{key}' differs from {entries[DATASET][key].place}; give it once")
    unknown += _check_tables(entries[DATASET], path)
    if unknown and not skip_unknown:
        raise ValueError(
            f"{path}: unknown keys: {', '.join(unknown)}; correct them, or pass --skip_unknown to leave them out"
        )
    return Task(layout, entries, empty), unknown


def loss_of(name: str, row: Mapping[str, Any]) -> str:
    """Which of `LOSS_OPTIONS` a target has.

    Raises:
        ValueError: for a loss that is not known.
    """
    if row.get("loss_fn") is not None:
        return Entry(f"targets.{name}.loss_fn", row["loss_fn"]).read(lambda value: choice(value, LOSSES))
    return "masked_cosine" if is_normal(name, row) else "dice_bce"


def is_normal(name: str, row: Mapping[str, Any]) -> bool:
    """Whether a target holds normals; the old programs knew them by their name."""
    return "normal" in name.lower() and channels_of(row) == 3


def channels_of(row: Mapping[str, Any]) -> Any:
    """Channels of a target, `None` where it does not say."""
    return row.get("channels", row.get("out_channels"))


def short(value: Any) -> str:
    """A value as it is shown in a line."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _load(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"task file {path} does not exist")
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path}: expected a file that ends in {', '.join(SUFFIXES)}")
    try:
        content = ConfigParser.load_config_file(path)
    except (ValueError, YAMLError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} holds a {type(content).__name__}; expected a table of sections")
    return content


def _layout_of(content: Mapping[str, Any], path: str | Path) -> Layout:
    """The layout, by the sections that the other one does not have."""
    sections = [set(layout.sections) for layout in LAYOUTS]
    own = [sections[0] - sections[1], sections[1] - sections[0]]
    found = [layout for layout, names in zip(LAYOUTS, own, strict=True) if names & set(content)]
    if len(found) == 1:
        return found[0]
    shown = " or ".join(", ".join(layout.sections) for layout in LAYOUTS)
    if found:
        raise ValueError(f"{path} mixes the sections of two programs; expected {shown}; found {', '.join(content)}")
    raise ValueError(f"{path} is no task file; expected the sections {shown}; found {', '.join(map(str, content))}")


def _meant(key: str, role: str, layout: Layout) -> str:
    """A key that it may be instead, or the section where it belongs."""
    for section, other in layout.sections.items():
        if key in KEYS[other]:
            return f" (it belongs to {section})"
    return did_you_mean(key, KEYS[role])


def _check_tables(dataset: Mapping[str, Entry], path: str | Path) -> list[str]:
    """Check the form of targets and volumes; returns the places of unknown keys."""
    for key, example in ((TARGETS, '{"sheet": {"channels": 1}}'), (VOLUMES, '[{"input": PATH, "sheet": PATH}]')):
        kind = Mapping if key == TARGETS else list
        if key not in dataset or not dataset[key].value or not isinstance(dataset[key].value, kind):
            given = short(dataset[key].value) if key in dataset else "nothing"
            raise ValueError(f"{path}: dataset_config.{key} must be such as {example}; got {given}")
    targets, volumes = dataset[TARGETS].value, dataset[VOLUMES].value
    unknown = []
    for name, row in targets.items():
        if not isinstance(row, Mapping):
            raise ValueError(f"{path}: targets.{name} must be a table of keys, got {row!r}")
        unknown += [f"targets.{name}.{key}{did_you_mean(key, TARGET_KEYS)}" for key in row if key not in TARGET_KEYS]
        known = [*LOSS_OPTIONS[loss_of(name, row)], REDUCTION]
        unknown += [
            f"targets.{name}.loss_kwargs.{key}{did_you_mean(key, known)}"
            for key in row.get("loss_kwargs") or {}
            if key not in known
        ]
    known = [*VOLUME_KEYS, *targets]
    for number, row in enumerate(volumes):
        if not isinstance(row, Mapping) or "input" not in row:
            raise ValueError(f"{path}: volume_paths[{number}] must be a table with 'input', got {row!r}")
        unknown += [f"volume_paths[{number}].{key}{did_you_mean(key, known)}" for key in row if key not in known]
    return unknown
