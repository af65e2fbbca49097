"""Whose code a `_target_` of a config names."""

from __future__ import annotations

import pydoc
from enum import StrEnum
from importlib import import_module
from types import ModuleType

from monai.bundle import ComponentLocator


class Origin(StrEnum):
    """Whose code something in a config is."""

    OWN = "of the bundle or MONAI"
    INSTALLED = "from installed packages"
    FOREIGN = "foreign"


_MONAI = (
    *("monai.data", "monai.engines", "monai.handlers", "monai.inferers", "monai.losses", "monai.metrics"),
    *("monai.networks", "monai.optimizers", "monai.transforms", "monai.visualize"),
)
"""Where MONAI has the parts of a training; its other packages start programs, load what a name says, or download."""

_INSTALLED = (
    *("torch.nn", "torch.optim", "torch.utils.data", "torch.utils.tensorboard"),
    *("ignite.engine", "ignite.handlers", "ignite.metrics"),
)

_BUNDLE = "scripts"


def target_origin(name: str, locator: ComponentLocator) -> Origin:
    """Whose code a `_target_` names, without calling it.

    Only this bundle, MONAI, torch and ignite are imported for it. Where a name leads counts, not how it begins: through
    modules that a module has imported, `monai.x.os.system` would be a way to any program. Of the bundle only what its
    rooms list in `__all__` counts as its own; of the other packages only what networks and trainings are made of.

    Args:
        name: as the config has it, a dotted path or the name of a MONAI class alone.
        locator: knows MONAI's classes.
    """
    root = name.partition(".")[0]
    if root == _BUNDLE:
        return Origin.OWN if _is_public(name) else Origin.FOREIGN
    if "." not in name:
        found = locator.get_component_module_name(name)
        module = found[0] if isinstance(found, list) else found  # of several, MONAI takes the first
        return Origin.OWN if module is not None and _is_below(module, _MONAI) else Origin.FOREIGN
    rooms, origin = {"monai": (_MONAI, Origin.OWN)}.get(root, (_INSTALLED, Origin.INSTALLED))
    if not _is_below(name, rooms):
        return Origin.FOREIGN
    try:
        located = pydoc.locate(name)
    except pydoc.ErrorDuringImport:
        return Origin.FOREIGN
    if located is None or isinstance(located, ModuleType):
        return Origin.FOREIGN
    return origin if _is_below(getattr(located, "__module__", None), rooms) else Origin.FOREIGN


def _is_public(name: str) -> bool:
    """Whether this is `scripts.<room>.<name>` for a name that the room lists."""
    parts = name.split(".")
    if len(parts) != 3:
        return False
    try:
        return parts[2] in import_module(f"{_BUNDLE}.{parts[1]}").__all__
    except (ImportError, AttributeError):
        return False


def _is_below(module: object, rooms: tuple[str, ...]) -> bool:
    return isinstance(module, str) and any(module == room or module.startswith(f"{room}.") for room in rooms)
