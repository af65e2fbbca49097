"""Which weights a prediction was made with: a fingerprint in the store's attributes, and the check of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, cast

import torch

from ..volumes.encoding import ATTRIBUTE
from ..volumes.paths import parents, split_level
from ..volumes.zarr_nodes import open_node

_DEPTH = 3
"""Groups above an array: the image's, the prediction's, and one more."""


def weights_fingerprint(weights: torch.nn.Module | Mapping[str, torch.Tensor], prefix: str = "") -> str:
    """Hash of names, shapes, types and values of parameters and buffers.

    Args:
        weights: a network, or its state dictionary; where the tensors lie does not matter, nor their order.
        prefix: only those whose names begin so count, under their names without it: `"base."` gives the fingerprint
            of the network's part `base`.

    Raises:
        ValueError: if no name begins so.
    """
    state = weights.state_dict() if isinstance(weights, torch.nn.Module) else weights
    chosen = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    if prefix and not chosen:
        raise ValueError(f"no weight's name begins with {prefix!r}; the names are {', '.join(list(state)[:4])} ...")
    digest = hashlib.sha256()
    for name, tensor in sorted(chosen.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def stored_fingerprint(path: str) -> str | None:
    """Fingerprint of the weights with which a prediction was made; `None` where nothing says so.

    Args:
        path: of the prediction's group, an image in it or one of its levels (`PATH::1` too).
    """
    place, _ = split_level(path)
    for folder in [place, *(parent for parent, _ in parents(place, _DEPTH))]:
        try:
            attributes: dict[str, Any] = open_node(folder).attrs.asdict()
        except (FileNotFoundError, ValueError):
            continue
        own = attributes.get(ATTRIBUTE)
        run = own.get("run") if isinstance(own, Mapping) else None
        if isinstance(run, Mapping):
            return cast(str | None, run["network"])
    return None


def check_fingerprint(path: str, expected: str, source: str = "the weights expected") -> None:
    """Check that a store, such as one of embeddings, was made with certain weights.

    Args:
        path: see `stored_fingerprint`.
        expected: their `weights_fingerprint`.
        source: what they are, for the message.

    Raises:
        ValueError: if it was made with others, or nothing says with which.
    """
    found = stored_fingerprint(path)
    if found is None:
        raise ValueError(
            f"{path}: its attributes do not say with which weights it was made; expected a finished prediction of this "
            f"bundle's inference with {source} (fingerprint {expected})"
        )
    if found != expected:
        raise ValueError(
            f"{path} was made with other weights: its fingerprint is {found}, that of {source} is {expected}. Make it "
            "anew with these, or give the weights that it was made with"
        )
