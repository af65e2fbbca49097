"""The reference pages of the site: each config with its present values, and the components that configs are made of."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from monai.bundle.config_item import ComponentLocator, ConfigComponent

from scripts.command_line import VERBS

BUNDLE = Path(__file__).parents[2] / "bundle"

ROOMS = {
    "volumes": "what a volume is: open, describe, read and write",
    "patches": "which patches to use",
    "geometry": "affines, vectors and points under change of space",
    "transforms": "load, reorient, derive targets, augment",
    "networks": "plans, blocks and networks",
    "losses": "what is minimised",
    "metrics": "what is measured",
    "engines": "steps of a training, and handlers",
    "inferers": "sliding windows over volumes of any size",
    "blockwise": "computations over volumes block by block",
    "segmentation": "from predictions to objects",
    "landmarks": "from heatmaps to coordinates",
    "viewers": "previews, reports, neuroglancer",
    "workflows": "what configs call to put the parts together",
}

FIRST_CONFIGS = ("train", "evaluate", "inference")

NO_CONFIG = ("metadata", "logging")

_SECTIONS = ("train", "validate")
"""Tables of a config whose entries are keys of their own: `train#dataset`."""

_OTHERS = "other_components"

_LOCATOR = ComponentLocator()


def write_reference(folder: Path) -> None:
    """Write the pages as Markdown.

    Args:
        folder: `reference` in the folder of the pages.
    """
    folder.mkdir(parents=True)
    names = config_names()
    for name in names:
        (folder / f"config_{name}.md").write_text(config_page(name))
    for room, meaning in ROOMS.items():
        (folder / f"{room}.md").write_text(room_page(room, meaning))
    (folder / f"{_OTHERS}.md").write_text(others_page(names))
    (folder / "verbs.md").write_text(verbs_page())
    (folder / "configs.md").write_text(_index_page("Configs", _CONFIGS_ABOUT, [f"config_{name}" for name in names]))
    (folder / "components.md").write_text(_index_page("Components", _COMPONENTS_ABOUT, [*ROOMS, _OTHERS]))


def config_names() -> list[str]:
    """Files of `configs` that are given to `monai.bundle run`, the stand-alone ones first."""
    found = sorted(path.stem for path in (BUNDLE / "configs").glob("*.json") if path.stem not in NO_CONFIG)
    return [*FIRST_CONFIGS, *(name for name in found if name not in FIRST_CONFIGS)]


def config_keys(name: str) -> dict[str, Any]:
    """Every key of a config with its value."""
    found: dict[str, Any] = {}
    for key, value in json.loads((BUNDLE / "configs" / f"{name}.json").read_text()).items():
        if key in _SECTIONS and isinstance(value, Mapping):
            found |= {f"{key}#{part}": entry for part, entry in value.items()}
        elif not key.startswith("_"):
            found[key] = value
    return found


def components(value: Any) -> Iterator[str]:
    """Each `_target_` of a value, full path, in order of appearance."""
    if isinstance(value, Mapping):
        if "_target_" in value:
            yield ConfigComponent(config=dict(value), id="", locator=_LOCATOR).resolve_module_name()
        for entry in value.values():
            yield from components(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from components(entry)


def config_page(name: str) -> str:
    """One config: a section for each key, with its value and links to what it is made of."""
    lines = [
        f"# {name}.json",
        "",
        f"The values that `configs/{name}.json` has. What the keys mean: [configuration](../configuration.md).",
    ]
    for key, value in config_keys(name).items():
        lines += ["", f"## `{key}`", "", "```json", _shown(value), "```"]
        made_of = dict.fromkeys(components(value))
        if made_of:
            lines += ["", "Components: " + ", ".join(f"{{py:obj}}`{path} <{path}>`" for path in made_of)]
    return "\n".join(lines) + "\n"


def room_page(room: str, meaning: str) -> str:
    """The public names of a room, each with its signature and docstring."""
    module = importlib.import_module(f"scripts.{room}")
    lines = [f"# scripts.{room}", "", f"{meaning[0].upper()}{meaning[1:]}.", "", "```{eval-rst}"]
    for name in module.__all__:
        kind = _kind(getattr(module, name))
        if kind:
            lines += [f".. auto{kind}:: scripts.{room}.{name}", ""]
    return "\n".join([*lines, "```"]) + "\n"


def others_page(names: list[str]) -> str:
    """Components of other libraries that the configs name: signature, and the first sentence about them."""
    paths = sorted(
        {path for name in names for path in components(config_keys(name)) if not path.startswith("scripts.")},
        key=lambda path: path.rpartition(".")[2],
    )
    lines = [
        "# Components of other libraries",
        "",
        "Classes of MONAI and torch that the configs name. Their own documentation says more.",
    ]
    for path in paths:
        module, _, name = path.rpartition(".")
        item = getattr(importlib.import_module(module), name)
        first = (inspect.getdoc(item) or "").partition("\n\n")[0].replace("\n", " ")
        arguments = [str(one.replace(annotation=inspect.Parameter.empty)) for one in _parameters(item)]
        lines += ["", f"## {name}", "", "```{eval-rst}", f".. py:class:: {path}({', '.join(arguments)})", "", "```"]
        lines += ["", first] if first else []
    return "\n".join(lines) + "\n"


def verbs_page() -> str:
    """The verbs of the command line, as Python functions."""
    lines = [
        "# Verbs",
        "",
        "What `python -m scripts VERB` calls, from [the command line](../command_line.md) or from Python. An argument",
        "`two_words` is `--two_words` or `--two-words` there.",
        "",
        "```{eval-rst}",
    ]
    for verb in VERBS:
        name = verb.replace("-", "_")
        lines += [f".. autofunction:: scripts.workflows.{name}.{name}", ""]
    return "\n".join([*lines, "```"]) + "\n"


_CONFIGS_ABOUT = (
    "Every config with its keys and present values, made from the files when this site was built. "
    "[Configuration](../configuration.md) explains the keys."
)
_COMPONENTS_ABOUT = (
    'What `"_target_"` in a config can name, and what Python programs can import: signatures, arguments and '
    "docstrings, made from the code when this site was built. Own classes work as well: see [Python](../python.md)."
)


def _index_page(title: str, about: str, pages: list[str]) -> str:
    return "\n".join([f"# {title}", "", about, "", "```{toctree}", ":maxdepth: 1", "", *pages, "```"]) + "\n"


def _shown(value: Any) -> str:
    """JSON on one line where it is short."""
    short = json.dumps(value)
    return short if len(short) <= 90 else json.dumps(value, indent=2)


def _kind(item: Any) -> str | None:
    """Directive of autodoc; constants have none."""
    if inspect.isclass(item):
        return "exception" if issubclass(item, BaseException) else "class"
    return "function" if inspect.isfunction(item) else None


def _parameters(item: Any) -> list[inspect.Parameter]:
    return list(inspect.signature(item).parameters.values())
