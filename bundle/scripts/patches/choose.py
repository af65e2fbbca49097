"""The patches of a training, chosen by what they hold."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..geometry import parse_targets
from .class_counts import ClassCounts, class_voxels, count_classes
from .samplers import select_patches

logger = logging.getLogger(__name__)

PARTS = ("train", "validate")


def choose_patches(
    split: Sequence[Sequence[Mapping[str, Any]]],
    volumes: Sequence[Mapping[str, Any]],
    targets: Mapping[str, Any],
    *,
    sampler: str = "uniform",
    force_all_classes: bool | str = False,
    cache_file: str | Path | None = None,
    use_cache: bool = True,
    num_workers: int | None = None,
) -> dict[str, Any]:
    """Keep the patches that may be drawn, and count their classes where sampler or choice depend on them.

    Args:
        split: training and validation patches, as `split_patches` returned them.
        volumes: the `volumes` table.
        targets: the `targets` table.
        sampler: method of the `PatchSampler`; all but "uniform" need the counts, and so do targets whose
            `class_weights` are "balanced".
        force_all_classes: true, "train" or "validate": in both parts, or in one, only patches that hold every class.
        cache_file: as in `count_classes`.
        use_cache: as in `count_classes`.
        num_workers: as in `count_classes`.

    Returns:
        `{"train": patches, "validate": patches, "counts": ClassCounts of the training patches, or None,
        "class_voxels": see class_voxels}`.

    Raises:
        ValueError: if no patch is left, or `force_all_classes` is none of the above.
    """
    if force_all_classes not in (True, False, *PARTS):
        raise ValueError(f"force_all_classes must be true, false, {' or '.join(PARTS)}; got {force_all_classes!r}")
    parts = {name: list(patches) for name, patches in zip(PARTS, split, strict=True)}
    is_balanced = any(target.class_weights == "balanced" for target in parse_targets(targets).values())
    if sampler == "uniform" and not force_all_classes and not is_balanced:
        return {**parts, "counts": None, "class_voxels": {}}
    every = [patch for patches in parts.values() for patch in patches]
    counts = count_classes(volumes, every, targets, cache_file=cache_file, use_cache=use_cache, num_workers=num_workers)
    chosen: dict[str, Any] = {}
    first = 0
    for name, patches in parts.items():
        rows = range(first, first + len(patches))
        first += len(patches)
        own = counts.of(rows)
        is_forced = bool(patches) and force_all_classes in (True, name)
        kept = select_patches(patches, own, force_all_classes=is_forced)
        if is_forced:
            logger.info("%s: %d of %d patches hold every class", name, len(kept), len(patches))
        chosen[name] = [patches[n] for n in kept]
        if name == "train":
            chosen["counts"] = own.of(kept)
    _log_counts(chosen["counts"])
    chosen["class_voxels"] = class_voxels(chosen["counts"], volumes, chosen["train"], targets)
    return chosen


def _log_counts(counts: ClassCounts) -> None:
    holding = (counts.counts > 0).sum(axis=0).tolist()
    said = ", ".join(f"{name}: {number}" for name, number in zip(counts.names, holding, strict=True))
    logger.info("training patches that hold each class, of %d: %s", len(counts.counts), said)
