"""Names of targets as names of modules."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn


def check_module_names(names: Iterable[str]) -> None:
    """Check that a network can hold one module under each of these names.

    Raises:
        ValueError: for a name that is an attribute of torch's dictionary of modules, such as `values`.
    """
    for name in names:
        if hasattr(nn.ModuleDict(), name):
            raise ValueError(f"targets: '{name}' is a word that torch keeps for itself; choose another name")
