"""Which patches train and which validate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

METHODS = ("block", "volume", "random")

Patch = dict[str, Any]


def split_patches(
    patches: Sequence[Patch],
    volumes: Sequence[Mapping[str, Any]],
    *,
    method: str = "block",
    val_fraction: float = 0.2,
    seed: int = 0,
) -> tuple[list[Patch], list[Patch]]:
    """Divide patches into those that train and those that validate.

    A volume with `"split": "train"` or `"val"` goes there whole. The others are divided by `method`:

    - `"block"`: patches that overlap stay together, so that no voxel is in both; where that leaves no fair share, the
      largest group is cut by a plane and the patches across the plane are dropped.
    - `"volume"`: whole volumes.
    - `"random"`: patch by patch. Overlapping patches then share voxels and validation looks better than it is.

    Args:
        patches: what `find_patches` returned.
        volumes: the `volumes` table.
        method: `"block"`, `"volume"` or `"random"`.
        val_fraction: share of the patches that validate, 0 <= f < 1; 0 leaves only what a volume's `split` asks for.
        seed: of the choice.

    Returns:
        training patches and validation patches, each in the order given.

    Raises:
        ValueError: if nothing would be left for training, or for validation although some is asked for.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {method!r}")
    if not 0 <= val_fraction < 1:
        raise ValueError(f"val_fraction must be at least 0 and below 1; got {val_fraction}")
    roles = {"train": 0, "val": 1, None: -1}  # -1: still to be decided
    role = np.array([roles[volumes[patch["volume"]].get("split")] for patch in patches])
    free = np.flatnonzero(role == -1)
    if len(free) and val_fraction > 0:
        rng = np.random.default_rng(seed)
        chosen = [patches[i] for i in free.tolist()]
        role[free] = _DIVIDERS[method](chosen, val_fraction, rng)
    else:
        role[free] = 0
    train = [patch for patch, r in zip(patches, role, strict=True) if r == 0]
    val = [patch for patch, r in zip(patches, role, strict=True) if r == 1]
    if not train or (not val and val_fraction > 0):
        raise ValueError(
            f"splitting {len(patches)} patches by {method} with val_fraction = {val_fraction} gives {len(train)} for "
            f"training and {len(val)} for validation; set 'split' of some volumes by hand, change val_fraction, or "
            "use a smaller stride so that there are more patches"
        )
    return train, val


def _by_volume(patches: Sequence[Patch], val_fraction: float, rng: np.random.Generator) -> np.ndarray:
    group = np.unique([patch["volume"] for patch in patches], return_inverse=True)[1]
    return _assign_groups(group, val_fraction, rng)


def _by_patch(patches: Sequence[Patch], val_fraction: float, rng: np.random.Generator) -> np.ndarray:
    return _assign_groups(np.arange(len(patches)), val_fraction, rng)


def _by_block(patches: Sequence[Patch], val_fraction: float, rng: np.random.Generator) -> np.ndarray:
    group = _overlap_groups(patches)
    role = _assign_groups(group, val_fraction, rng)
    share = float(np.mean(role == 1))
    if 0.5 * val_fraction <= share <= 1.5 * val_fraction:
        return role
    # the largest group alone decides the balance: cut it, and deal out the others
    largest = np.flatnonzero(group == np.bincount(group).argmax())
    others = np.flatnonzero(group != np.bincount(group).argmax())
    role = np.full(len(patches), -1)
    role[largest] = _cut_by_plane([patches[i] for i in largest.tolist()], val_fraction, rng)
    if len(others):
        role[others] = _assign_groups(np.unique(group[others], return_inverse=True)[1], val_fraction, rng)
    return role


_DIVIDERS = {"block": _by_block, "volume": _by_volume, "random": _by_patch}


def _assign_groups(group: np.ndarray, val_fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Move whole groups, in random order, to validation while that brings its share nearer to `val_fraction`."""
    sizes = np.bincount(group)
    wanted, taken = val_fraction * len(group), 0
    role_of_group = np.zeros(len(sizes), int)
    for g in rng.permutation(len(sizes)):
        if abs(taken + sizes[g] - wanted) < abs(taken - wanted) and sizes[g] < len(group):
            role_of_group[g] = 1
            taken += sizes[g]
    return role_of_group[group]


def _overlap_groups(patches: Sequence[Patch]) -> np.ndarray:
    """Number of the group of each patch; patches that share a voxel, directly or through others, share a group."""
    volume = np.array([patch["volume"] for patch in patches])
    size = np.array(patches[0]["size"], float)
    position = np.array([patch["start"] for patch in patches]) / size
    # the volume is a fourth axis along which patches of different volumes lie far apart
    points = np.column_stack([volume * 4.0, position])
    nearest_apart = 1.0 - 0.5 / size.max()  # distance 1 along any axis means that the boxes only touch
    pairs = cKDTree(points).query_pairs(nearest_apart, p=np.inf, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(patches),) * 2)
    return connected_components(graph, directed=False)[1]


def _cut_by_plane(patches: Sequence[Patch], val_fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Cut a group across its longest axis; -1 marks the patches on the plane."""
    start = np.array([patch["start"] for patch in patches])
    end = start + np.array(patches[0]["size"])
    axis = int(np.argmax(np.ptp(start, axis=0)))
    low, high = start[:, axis], end[:, axis]
    if rng.integers(2):  # validate at the low end instead: mirror the axis
        low, high = -high, -low
    planes = np.unique(low)
    shares = np.array([np.mean(low >= plane) for plane in planes])
    usable = np.array([np.any(high <= plane) for plane in planes])
    if not usable.any():
        return np.zeros(len(patches), int)
    plane = planes[usable][np.argmin(np.abs(shares[usable] - val_fraction))]
    return np.where(low >= plane, 1, np.where(high <= plane, 0, -1))
