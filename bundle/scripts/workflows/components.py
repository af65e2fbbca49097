"""Whether every component of a config exists and takes the arguments that it is given."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from monai.bundle import ConfigParser
from monai.utils import optional_import

from ..geometry import did_you_mean

TARGET = "_target_"


def component_faults(parser: ConfigParser) -> list[str]:
    """Check every `_target_` of a config against the signature of what it names, without calling anything.

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
    if not isinstance(name, str) or name.startswith(("$", "@", "%")):
        return []
    function = locate(name, parser)
    if function is None:
        return [f"'{name}' cannot be imported{_near(name)}"]
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # compiled, without a signature
        return []
    given = [key for key in component if not key.startswith("_")]
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
    """What a `_target_` names, by a dotted path or a MONAI class name alone; `None` if there is no such thing."""
    path = name if "." in name else parser.locator.get_component_module_name(name)
    if isinstance(path, list):
        path = path[0]
    if path is None:
        return None
    module, _, attribute = path.rpartition(".") if "." in name else (path, ".", name)
    found, exists = optional_import(module, name=attribute)
    return found if exists else None


def _near(name: str) -> str:
    module, _, attribute = name.rpartition(".")
    parent, exists = optional_import(module) if module else (None, False)
    return did_you_mean(attribute, getattr(parent, "__all__", [])) if exists else ""
