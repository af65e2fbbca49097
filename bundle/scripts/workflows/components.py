"""Whether every component of a config exists and takes the arguments that it is given."""

from __future__ import annotations

import importlib
import inspect
import pydoc
from collections.abc import Iterator, Mapping
from typing import Any

from monai.bundle import ConfigParser
from monai.bundle.config_item import ConfigComponent

from ..geometry import did_you_mean

TARGET = "_target_"

_MONAI_ROOMS = ("transforms", "handlers", "data", "engines", "inferers", "losses", "networks.nets", "optimizers")
"""Where the classes of MONAI are that a config names without a path."""


def component_faults(parser: ConfigParser) -> list[str]:
    """Check every `_target_` of a config against the signature of what it names, without calling anything.

    A component that is switched off by `"_disabled_": true` is left out.

    Returns:
        a line for each unknown target, unknown argument, and argument that is needed and missing.
    """
    faults: list[str] = []
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
    if component.get("_mode_", "default") == "default":
        needed = [key for key in known if parameters[key].default is inspect.Parameter.empty]
        faults += [f"{name} needs the argument '{key}'" for key in needed if key not in given]
    return faults


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
