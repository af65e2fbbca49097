"""Whether every component of a config exists and takes the arguments that it is given."""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import pydoc
import re
from collections.abc import Iterator, Mapping
from typing import Any

from monai.bundle import ConfigParser
from monai.bundle.config_item import ConfigComponent

from ..geometry import did_you_mean
from .argument_types import argument_fault, is_made_when_run
from .demo_run import BUNDLE

TARGET = "_target_"

_WORDS = ConfigComponent.non_arg_keys

_ANNOTATED = ("scripts", "monai", "torch", "ignite")

_LOOSE = ("map_location",)
"""Arguments that take more than MONAI's annotation says: PyTorch takes the name of a device, too."""

_OF_USERS = ("targets#", "volumes#")

_MONAI_ROOMS = ("transforms", "handlers", "data", "engines", "inferers", "losses", "networks.nets", "optimizers")
"""Where the classes of MONAI are that a config names without a path."""


def component_faults(parser: ConfigParser) -> list[str]:
    """Check every `_target_` of a config against the signature of what it names, without calling anything.

    A component that is switched off by `"_disabled_": true` is left out.

    Returns:
        a line for each unknown target, unknown argument, and argument that is needed and missing.
    """
    faults = _lost_components(parser.config)
    for key, component in iter_components(parser.config):
        faults.extend(f"{key}: {fault}" for fault in _faults(component, parser))
    return faults


def iter_components(config: Any, key: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Config id and dictionary of every component, outer ones first."""
    if isinstance(config, Mapping):
        if TARGET in config:
            yield key, config
        items = list(config.items())
    elif isinstance(config, list):
        items = list(enumerate(config))
    else:
        return
    for name, value in items:
        yield from iter_components(value, f"{key}#{name}" if key else str(name))


def _lost_components(config: Any, key: str = "") -> list[str]:
    """Tables that were meant as components: `_target_` is misspelt, no name, or missing where the bundle has one."""
    is_list = isinstance(config, list)
    items: Any = config.items() if isinstance(config, Mapping) else enumerate(config) if is_list else ()
    faults = []
    is_other = not isinstance(config, Mapping) and not is_made_when_run(config)
    if is_other and key in _components_of_the_bundle():
        return [f"{key}: expected a component, a table with '{TARGET}'; got {config!r}"]
    if isinstance(config, Mapping) and key:
        words = [name for name in map(str, config) if re.fullmatch(r"_\w+_?|\w+_", name) and name not in _WORDS]
        faults += [
            f"{key}: unknown key '{name}'{near}" for name in words if (near := did_you_mean(name, sorted(_WORDS)))
        ]
        if TARGET in config and not isinstance(config[TARGET], str):
            faults.append(f"{key}: '{TARGET}' must be the name of a class or a function; got {config[TARGET]!r}")
        elif TARGET not in config and config and not faults and key in _components_of_the_bundle():
            faults.append(f"{key}: has no '{TARGET}', and is a mere table; its keys: {', '.join(map(str, config))}")
    for name, value in items:
        faults += _lost_components(value, f"{key}#{name}" if key else str(name))
    return faults


@functools.cache
def _components_of_the_bundle() -> frozenset[str]:
    """Ids that are components in every config of the bundle that has them.

    Those within lists are left out, and those within tables of a user's own names, where a loss may be a component, a
    table of options or a name.
    """
    found: dict[str, bool] = {}
    for path in sorted((BUNDLE / "configs").glob("*.json")):
        for key, value in _entries(json.loads(path.read_text())):
            found[key] = found.get(key, True) and isinstance(value, Mapping) and TARGET in value
    return frozenset(key for key, is_component in found.items() if is_component and not key.startswith(_OF_USERS))


def _entries(config: Mapping[str, Any], key: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        inner = f"{key}#{name}" if key else name
        yield inner, value
        if isinstance(value, Mapping):
            yield from _entries(value, inner)


def _faults(component: Mapping[str, Any], parser: ConfigParser) -> list[str]:
    name = component[TARGET]
    if not isinstance(name, str) or name.startswith(("$", "@", "%")) or ConfigComponent(component).is_disabled():
        return []
    try:
        function = locate(name, parser)
    except pydoc.ErrorDuringImport as error:
        return [f"'{name}' cannot be imported: {error.value}"]
    if function is None:
        return [f"'{name}' cannot be imported{_near(name)}"]
    if not callable(function):
        return [f"'{name}' is a {type(function).__name__}; expected a class or a function"]
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # compiled, without a signature
        return []
    given = [key for key in component if key not in ConfigComponent.non_arg_keys]
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    known = [key for key, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    faults = []
    if not open_ended:
        faults += [
            f"{name} takes no argument '{key}'{did_you_mean(key, known)}; its arguments: {', '.join(known)}"
            for key in given
            if key not in known
        ]
    if _is_well_annotated(function):
        values = {key: component[key] for key in given if key not in _LOOSE}
        if str(function.__module__).startswith("scripts.") and "_disabled_" not in component:
            values = {key: _plain_setting(value, parser) for key, value in values.items()}
        faults += [
            f"{name}: {fault}{'' if value is component[key] else f', by {component[key]}'}"
            for key, value in values.items()
            if (fault := argument_fault(function, key, value))
        ]
    if component.get("_mode_", "default") == "default":
        needed = [key for key in known if parameters[key].default is inspect.Parameter.empty]
        faults += [f"{name} needs the argument '{key}'" for key in needed if key not in given]
    return faults


def _plain_setting(value: Any, parser: ConfigParser) -> Any:
    """What a reference such as `@patch_size` leads to, where that is written down and not made; else the value.

    What it leads to may be null where the component is not used.
    """
    settings: Mapping[str, Any] = parser.config  # type: ignore[assignment]
    seen: set[str] = set()
    while isinstance(value, str) and re.fullmatch(r"@\w+", value) and value not in seen:
        seen.add(value)
        found = settings.get(value[1:])
        if found is None or (is_made_when_run(found) and not isinstance(found, str)):
            break
        value = found
    return value


def _is_well_annotated(function: Any) -> bool:
    """Whether annotations may refuse a value; those of a user's own code are notes, which nothing else enforces."""
    return str(getattr(function, "__module__", "")).partition(".")[0] in _ANNOTATED


def locate(name: str, parser: ConfigParser) -> Any:
    """What a `_target_` names, found as MONAI finds it; `None` if there is no such thing.

    Args:
        name: a dotted path, or the name of a MONAI class or Python built-in alone.
        parser: the config, which knows MONAI's classes.

    Raises:
        pydoc.ErrorDuringImport: if its module cannot be imported.
    """
    module = parser.locator.get_component_module_name(name)
    if isinstance(module, list):  # of several, MONAI takes the first
        module = module[0]
    return pydoc.locate(name if module is None else f"{module}.{name}")


def _near(name: str) -> str:
    module, _, attribute = name.rpartition(".")
    try:
        modules = [module] if module else [f"monai.{room}" for room in _MONAI_ROOMS]
        known = [public for path in modules for public in _public_names(importlib.import_module(path))]
    except ImportError:
        return ""
    return did_you_mean(attribute, known)


def _public_names(module: Any) -> list[str]:
    return getattr(module, "__all__", None) or [name for name in dir(module) if not name.startswith("_")]
