"""Which patches train and which validate."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from .groups import connected
from .slice_views import stored_patches
from .table import axes_of

logger = logging.getLogger(__name__)

METHODS = ("block", "volume", "random")

_MANY = 20_000

Patch = dict[str, Any]


@dataclass(frozen=True)
class _Share:
    """What part of the patches validates: a fraction, or one of several folds.

    Args:
        fraction: wanted share of validation.
        fold: which fold validates, of `n_folds`; `None`: any patches.
        n_folds: 0 without folds.
    """

    fraction: float
    fold: int | None = None
    n_folds: int = 0


def split_patches(
    patches: Sequence[Patch],
    volumes: Sequence[Mapping[str, Any]],
    *,
    method: str = "block",
    val_fraction: float = 0.2,
    guard: Sequence[int] | int | None = None,
    n_folds: int | None = None,
    fold: int = 0,
    seed: int = 0,
) -> tuple[list[Patch], list[Patch]]:
    """Divide patches into those that train and those that validate.

    A volume with `"split": "train"` or `"val"` goes there whole. The others are divided by `method`:

    - `"block"`: patches nearer than `guard` stay together, so that no voxel is in both parts, nor one within that
      distance; where that leaves no fair share, the largest group is cut by a plane and the patches near it dropped.
    - `"volume"`: whole volumes.
    - `"random"`: patch by patch. Overlapping patches then share voxels and validation looks better than it is.

    Where a volume is seen along several axes (`axes`), what counts is where patches lie in the store: no voxel is in
    both parts, whichever way it is seen. `"random"` cannot do that.

    Args:
        patches: what `find_patches` returned.
        volumes: the `volumes` table.
        method: `"block"`, `"volume"` or `"random"`.
        val_fraction: share of the patches that validate, 0 <= f < 1; 0 leaves only what a volume's `split` asks for.
            Not used with folds.
        guard: `"block"` only: voxels that lie at least between a training and a validation patch along some axis, one
            number or z, y, x; 0: they may touch. `None`: the size of a patch (of several views the largest), or 0 where
            there is no room for that, so that a part, or the training along an axis, would be without patches.
        n_folds: divide into so many parts of about the same size for cross-validation, of which one validates.
        fold: which one, 0 to `n_folds - 1`.
        seed: of the choice; the same for all folds of a cross-validation.

    Returns:
        training patches and validation patches, each in the order given.

    Raises:
        ValueError: if an argument is out of range, if `"random"` is to divide a volume that is seen along several axes,
            or if nothing would be left for training, or for validation although some is asked for.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {method!r}")
    if not 0 <= val_fraction < 1:
        raise ValueError(f"val_fraction must be at least 0 and below 1; got {val_fraction}")
    if n_folds is not None and not (n_folds >= 2 and 0 <= fold < n_folds):
        raise ValueError(
            f"expected n_folds of at least 2 and a fold from 0 to n_folds - 1; got n_folds = {n_folds}, fold = {fold}"
        )
    share = _Share(val_fraction) if n_folds is None else _Share(1 / n_folds, fold, n_folds)
    placed = stored_patches(patches, volumes)
    distance = _checked_guard(guard, placed)
    roles = {"train": 0, "val": 1, None: -1}  # -1: still to be decided
    role = np.array([roles[volumes[patch["volume"]].get("split")] for patch in patches])
    free = np.flatnonzero(role == -1)
    if len(free) and share.fraction > 0:
        rng = np.random.default_rng(seed)
        chosen = [placed[i] for i in free.tolist()]
        if method == "random":
            _check_views([patches[i] for i in free.tolist()], chosen, volumes)
        if method != "block":
            role[free] = _WHOLE[method](chosen, share, rng)
        else:
            role[free] = _by_block(chosen, share, distance, rng)
            axes = np.array([axes_of(volumes[patch["volume"]]) for patch in patches])
            if guard is None and not ({0, 1} <= set(role.tolist()) and set(axes[role == 0]) == set(axes)):
                logger.warning(
                    "a guard of %s voxels between training and validation leaves no patch for one of them, or no "
                    "training along one of several axes: it is left out, so that patches of the two may touch, but "
                    "share no voxel", distance.tolist(),
                )  # fmt: skip
                role[free] = _by_block(chosen, share, np.zeros(3, int), rng)
    else:
        role[free] = 0
    train = [patch for patch, r in zip(patches, role, strict=True) if r == 0]
    val = [patch for patch, r in zip(patches, role, strict=True) if r == 1]
    if not train or (not val and share.fraction > 0):
        asked = f"val_fraction = {val_fraction}" if n_folds is None else f"fold {fold} of {n_folds}"
        kept_apart = f" and a guard of {distance.tolist()} voxels" if method == "block" else ""
        raise ValueError(
            f"splitting {len(patches)} patches by {method} with {asked}{kept_apart} gives {len(train)} for training "
            f"and {len(val)} for validation; set 'split' of some volumes by hand, change val_fraction, make the guard "
            "smaller, or use a smaller stride so that there are more patches"
        )
    return train, val


def _checked_guard(guard: Sequence[int] | int | None, patches: Sequence[Patch]) -> np.ndarray:
    size = _largest(patches).tolist() if patches else [0, 0, 0]
    values = size if guard is None else [guard] * 3 if isinstance(guard, int) else list(guard)
    if len(values) != 3 or any(int(n) != n or n < 0 for n in values):
        raise ValueError(f"guard must be voxels z, y, x, 0 or more; got {guard!r}")
    return np.array(values, int)


def _largest(patches: Sequence[Mapping[str, Any]]) -> np.ndarray:
    largest: np.ndarray = np.max([patch["size"] for patch in patches], axis=0)
    return largest


def _check_views(patches: Sequence[Patch], placed: Sequence[Patch], volumes: Sequence[Mapping[str, Any]]) -> None:
    """Slices along one axis cross all those along another one."""
    seen: dict[int, set[str]] = {}
    for patch, place in zip(patches, placed, strict=True):
        seen.setdefault(place["volume"], set()).add(axes_of(volumes[patch["volume"]]))
    if several := next((sorted(axes) for axes in seen.values() if len(axes) > 1), None):
        raise ValueError(
            f"method 'random' cannot divide a volume that is seen along several axes ({', '.join(several)}): slices "
            "cross each other, so that training and validation would share voxels; take 'block' or 'volume'"
        )


def _by_volume(patches: Sequence[Patch], share: _Share, rng: np.random.Generator) -> np.ndarray:
    group = np.unique([patch["volume"] for patch in patches], return_inverse=True)[1]
    return _assign_groups(group, share, rng)


def _by_patch(patches: Sequence[Patch], share: _Share, rng: np.random.Generator) -> np.ndarray:
    return _assign_groups(np.arange(len(patches)), share, rng)


_WHOLE = {"volume": _by_volume, "random": _by_patch}


def _by_block(patches: Sequence[Patch], share: _Share, guard: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    group = near_groups(patches, guard)
    role = _assign_groups(group, share, rng)
    if 0.5 * share.fraction <= float(np.mean(role == 1)) <= 1.5 * share.fraction:
        return role
    # the largest group alone decides the balance: cut it, and deal out the others
    largest = np.flatnonzero(group == np.bincount(group).argmax())
    others = np.flatnonzero(group != np.bincount(group).argmax())
    role = np.full(len(patches), -1)
    cut = _cut_slab if share.n_folds else _cut_end
    role[largest] = cut([patches[i] for i in largest.tolist()], share, guard, rng)
    if len(others):
        role[others] = _assign_groups(np.unique(group[others], return_inverse=True)[1], share, rng)
    return role


def _assign_groups(group: np.ndarray, share: _Share, rng: np.random.Generator) -> np.ndarray:
    """Which groups validate: one fold's, or, in random order, those that bring the share nearer to the fraction."""
    sizes = np.bincount(group)
    role_of_group: np.ndarray = np.zeros(len(sizes), int)
    order = rng.permutation(len(sizes))
    if share.n_folds:  # the largest first, each to the fold that has least
        filled = np.zeros(share.n_folds)
        for g in order[np.argsort(-sizes[order], kind="stable")]:
            emptiest = int(filled.argmin())
            filled[emptiest] += sizes[g]
            role_of_group[g] = emptiest == share.fold
        return np.asarray(role_of_group[group])
    wanted, taken = share.fraction * len(group), 0
    for g in order:
        if abs(taken + sizes[g] - wanted) < abs(taken - wanted) and sizes[g] < len(group):
            role_of_group[g] = 1
            taken += sizes[g]
    return np.asarray(role_of_group[group])


def near_groups(patches: Sequence[Mapping[str, Any]], guard: np.ndarray) -> np.ndarray:
    """Group of each patch; patches with less than `guard` between them, directly or through others, share a group.

    Patches of different sizes share one at up to the largest size and the guard between their starts.
    """
    volume = np.array([patch["volume"] for patch in patches])
    reach = _largest(patches).astype(float) + guard
    position = np.array([patch["start"] for patch in patches]) / reach
    is_mixed = any(patch["size"] != patches[0]["size"] for patch in patches)
    # too many pairs, as crossing slices have at once: blocks as large as the reach stand for the patches in them
    if len(patches) > _MANY or is_mixed:
        cells, cell = np.unique(np.column_stack([volume * 4, np.floor(position)]), axis=0, return_inverse=True)
        pairs = cKDTree(cells).query_pairs(1.0, p=np.inf, output_type="ndarray")
        group = connected(len(cells), [(pairs[:, 0], pairs[:, 1])])
        return np.asarray(group[cell.reshape(-1)])
    # the volume is a fourth axis along which patches of different volumes lie far apart
    points = np.column_stack([volume * 4.0, position])
    nearest_apart = 1.0 - 0.5 / reach.max()  # distance 1 along any axis means that the guard is just kept
    pairs = cKDTree(points).query_pairs(nearest_apart, p=np.inf, output_type="ndarray")
    return connected(len(patches), [(pairs[:, 0], pairs[:, 1])])


def _cut_end(patches: Sequence[Patch], share: _Share, guard: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut one end of a group's longest axis off for validation; -1 marks the patches too near to it to train."""
    axis, low, high = _along_longest_axis(patches)
    if rng.integers(2):  # validate at the low end instead: mirror the axis
        low, high = -high, -low
    planes = np.unique(low)
    shares = np.array([np.mean(low >= plane) for plane in planes])
    usable = np.array([np.any(high + guard[axis] <= plane) for plane in planes])
    if not usable.any():
        return np.zeros(len(patches), int)
    plane = planes[usable][np.argmin(np.abs(shares[usable] - share.fraction))]
    return np.where(low >= plane, 1, np.where(high + guard[axis] <= plane, 0, -1))


def _cut_slab(patches: Sequence[Patch], share: _Share, guard: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut a group's longest axis into one slab per fold; -1 marks the patches that neither validate nor may train."""
    axis, low, high = _along_longest_axis(patches)
    fold = share.fold or 0
    planes = np.quantile((low + high) / 2, np.linspace(0, 1, share.n_folds + 1))
    first = -np.inf if fold == 0 else planes[fold]
    last = np.inf if fold == share.n_folds - 1 else planes[fold + 1]
    inside = (low >= first) & (high <= last)
    if not inside.any():  # slabs thinner than a patch: what stands in the middle
        inside = (low + high >= 2 * first) & (low + high < 2 * last)
    if not inside.any():
        return np.zeros(len(patches), int)
    first, last = low[inside].min(), high[inside].max()
    clear = (high + guard[axis] <= first) | (low >= last + guard[axis])
    return np.where(inside, 1, np.where(clear, 0, -1))


def _along_longest_axis(patches: Sequence[Patch]) -> tuple[int, np.ndarray, np.ndarray]:
    """The axis along which the patches reach farthest, and where each begins and ends."""
    start, size = (np.array([patch[key] for patch in patches]) for key in ("start", "size"))
    axis = int(np.argmax(np.ptp(start, axis=0)))
    return axis, start[:, axis], start[:, axis] + size[:, axis]
