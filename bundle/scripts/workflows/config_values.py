"""Small values that the configs derive from their tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch

from ..geometry import IMAGE_KEY, Kind, stored_keys, stored_kinds
from ..patches import open_images

T = TypeVar("T")


def sample_keys(targets: Mapping[str, Any], volumes: Sequence[Mapping[str, Any]] | None = None) -> list[str]:
    """Keys that are loaded for each sample: the image, then what the targets are read or derived from, and masks.

    Args:
        targets: the `targets` table.
        volumes: the `volumes` table; a target of kind points that none of them has as an array is made of landmarks,
            and not loaded.
    """
    kinds = stored_kinds(targets)

    def is_loaded(key: str) -> bool:
        return volumes is None or kinds[key] is not Kind.POINTS or any(row.get(key) for row in volumes)

    return [IMAGE_KEY, *(key for key in stored_keys(targets) if is_loaded(key))]


def common_spacing(volumes: Sequence[Mapping[str, Any]]) -> list[float]:
    """Median voxel size z, y, x at which the volumes' images are read: the one that the network is planned for."""
    spacings = [open_images(volume)[0].spacing for volume in volumes]
    return [float(value) for value in np.median(spacings, axis=0)]


def trained_parameters(network: torch.nn.Module, loss: Any) -> list[dict[str, Any]]:
    """Parameter groups for the optimiser: the network's, and those of a loss that learns, which do not decay."""
    groups: list[dict[str, Any]] = [{"params": list(network.parameters())}]
    of_loss = list(loss.parameters()) if isinstance(loss, torch.nn.Module) else []
    return [*groups, {"params": of_loss, "weight_decay": 0.0}] if of_loss else groups


def at_most(data: Sequence[T], count: int, rank: int = 0, n_ranks: int = 1) -> list[T]:
    """At most `count` items for each of some processes, evenly spread over the whole list; those of one process.

    Raises:
        ValueError: if there are items, but not one for each process.
    """
    if 0 < len(data) < n_ranks:
        raise ValueError(f"{len(data)} validation patches cannot be shared by {n_ranks} processes; use fewer processes")
    wanted = min(len(data), count * n_ranks)
    return [data[i] for i in np.linspace(0, len(data) - 1, wanted).round().astype(int)][rank::n_ranks]
