"""Running a network without computing anything, to see which shapes it takes and gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


def dry_run(network: nn.Module, in_channels: int, size: Sequence[int]) -> tuple[Any, str]:
    """Run a network in training mode on tensors that have shapes and no values.

    Costs neither time nor memory worth counting, and leaves weights, running statistics and mode as they are.

    Args:
        network: any module that maps B C D H W (2D: B C H W) to something.
        in_channels: C.
        size: voxels along each axis.

    Returns:
        the output, its tensors on the device "meta", and the name of the last layer with parameters that ran.

    Raises:
        Exception: whatever the network raises for such an input.
    """
    x = torch.empty(2, in_channels, *size, device="meta")  # two samples, as batch norm needs
    ran: list[str] = []
    hooks = [
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
        for name, module in network.named_modules()
        if any(True for _ in module.parameters(recurse=False))
    ]
    try:
        with _hollow(network), torch.no_grad():
            output = network(x)
    finally:
        for hook in hooks:
            hook.remove()
    if not ran:
        raise ValueError(f"{type(network).__name__} ran no layer that has parameters")
    return output, ran[-1]


def nearest_size(network: nn.Module, in_channels: int, size: Sequence[int]) -> list[int] | None:
    """The size that a network takes, of those that round every axis up to a multiple of 2, 4 ... 64; else `None`."""
    for factor in (2, 4, 8, 16, 32, 64):
        rounded = [-(-n // factor) * factor for n in size]
        if rounded != list(size) and takes(network, in_channels, rounded):
            return rounded
    return None


def takes(network: nn.Module, in_channels: int, size: Sequence[int]) -> bool:
    """Whether a network runs on inputs of this size."""
    try:
        dry_run(network, in_channels, size)
    except Exception:  # each network refuses in its own way
        return False
    return True


@contextmanager
def _hollow(network: nn.Module) -> Iterator[None]:
    """Put a network into training mode, with shapes in place of its weights.

    `torch.func.functional_call` leaves the shapes behind in modules that a network knows by two names, as DynUNet does.
    """
    modules = list(network.modules())
    modes = [module.training for module in modules]
    stores: list[dict[str, Any]] = [store for module in modules for store in (module._parameters, module._buffers)]
    kept = [dict(store) for store in stores]
    network.train()
    try:
        for store in stores:
            for name, value in store.items():
                store[name] = None if value is None else torch.empty_like(value, device="meta")
        yield
    finally:
        for store, values in zip(stores, kept, strict=True):
            store.update(values)
        for module, training in zip(modules, modes, strict=True):
            module.training = training
