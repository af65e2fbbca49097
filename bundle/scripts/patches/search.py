"""Patch search: the boxes of huge, sparsely labelled arrays that are worth training on."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..volumes import Volume, open_volume
from .cache import FORMAT_VERSION, load_patches, save_patches
from .cells import Labelled, combine_to_patches, count_cells, merge
from .lattice import patch_lattice
from .table import reference_key, volume_box

logger = logging.getLogger(__name__)


def find_patches(
    volumes: Sequence[Mapping[str, Any]],
    patch_size: Sequence[int],
    *,
    ref_label: str | None = None,
    min_bbox_percent: float = 0.95,
    min_labeled_ratio: float = 0.1,
    stride: Sequence[int] | int | None = None,
    cache_file: str | Path | None = None,
    num_workers: int | None = None,
) -> list[dict[str, Any]]:
    """Find the patches whose labels fill enough of them.

    Candidates start every `stride` voxels from the first voxel of the volume (or its region); the last ones end at its
    far edge. One is kept when the box around its labelled (non-zero) voxels fills at least `min_bbox_percent` of it and
    labelled voxels fill at least `min_labeled_ratio` of that box. Where the volume is smaller than the patch, only the
    part of the patch inside the volume counts. Only chunks that the store holds are read.

    Args:
        volumes: the `volumes` table of a config.
        patch_size: voxels along z, y, x.
        ref_label: key of the label that decides, for volumes that do not name their own `ref_label`.
        min_bbox_percent: share 0..1.
        min_labeled_ratio: share 0..1.
        stride: voxels between candidates, one number or one per axis; default half a patch.
        cache_file: JSON file that keeps the result; used again only if all that it was made from is unchanged.
        num_workers: threads; default one per core, at most 8. At most this many chunks are in memory at once.

    Returns:
        `{"volume": index in volumes, "start": [z, y, x], "size": [z, y, x]}` in order of volume and start.

    Raises:
        ValueError: if a share is not in 0..1, a size or stride not positive, or no patch meets the thresholds.
    """
    size, steps = _checked(patch_size, stride, min_bbox_percent, min_labeled_ratio)
    labels = [_open_reference(volume, ref_label) for volume in volumes]
    header = {
        "format_version": FORMAT_VERSION,
        "patch_size": size,
        "stride": steps,
        "min_bbox_percent": min_bbox_percent,
        "min_labeled_ratio": min_labeled_ratio,
        "volumes": [_describe(volume, label) for volume, label in zip(volumes, labels, strict=True)],
    }
    if cache_file is not None and (cached := load_patches(cache_file, header)) is not None:
        return cached
    patches: list[dict[str, Any]] = []
    nearest: list[str] = []
    for number, (volume, label) in enumerate(zip(volumes, labels, strict=True)):
        low, high = volume_box(volume, label)
        lattice = patch_lattice(low, high, size, steps)
        found = combine_to_patches(_count_volume(label, lattice, low, high, num_workers), lattice)
        starts = np.stack([axis.starts[found.index[:, i]] for i, axis in enumerate(lattice)], axis=1)
        inside = np.prod(np.minimum(starts + size, high) - starts, axis=1)
        bbox_share, labelled_share = found.bbox_volume / inside, found.count / np.maximum(found.bbox_volume, 1)
        kept = (bbox_share >= min_bbox_percent) & (labelled_share >= min_labeled_ratio)
        patches += [{"volume": number, "start": start, "size": size} for start in starts[kept].tolist()]
        nearest.append(f"{label.path}: {_closest(bbox_share, labelled_share, min_bbox_percent, min_labeled_ratio)}")
        logger.info("%s: %d of %d candidate patches kept", label.path, int(kept.sum()), len(starts))
    if not patches:
        raise ValueError(
            f"no patch of {size} meets min_bbox_percent = {min_bbox_percent} and min_labeled_ratio = "
            f"{min_labeled_ratio}. The closest candidates: {'; '.join(nearest)}. Lower the thresholds, make patch_size "
            "smaller, or label larger regions."
        )
    if cache_file is not None:
        save_patches(cache_file, header, patches)
    return patches


def _checked(
    patch_size: Sequence[int], stride: Sequence[int] | int | None, bbox: float, ratio: float
) -> tuple[list[int], list[int]]:
    size = [int(n) for n in patch_size]
    if stride is None:
        steps = [max(n // 2, 1) for n in size]
    else:
        steps = [int(stride)] * 3 if isinstance(stride, int) else [int(n) for n in stride]
    for name, values in (("patch_size", size), ("stride", steps)):
        if len(values) != 3 or min(values) < 1:
            raise ValueError(f"{name} must be three positive numbers z, y, x; got {values}")
    for name, share in (("min_bbox_percent", bbox), ("min_labeled_ratio", ratio)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name} is a share from 0 to 1; got {share}")
    return size, steps


def _open_reference(volume: Mapping[str, Any], ref_label: str | None) -> Volume:
    key = reference_key(volume, ref_label)
    return open_volume(volume[key], spacing=volume.get("spacing"))


def _describe(volume: Mapping[str, Any], label: Volume) -> dict[str, Any]:
    return {
        "path": label.path,
        "shape": list(label.shape),
        "dtype": str(label.dtype),
        "region": volume.get("region"),
        "fingerprint": label.fingerprint(),
    }


def _count_volume(
    label: Volume, lattice: Any, low: Sequence[int], high: Sequence[int], num_workers: int | None
) -> Labelled:
    def count(box: tuple[Sequence[int], Sequence[int]]) -> Labelled | None:
        start = np.maximum(box[0], low)
        stop = np.minimum(np.add(*box), high)
        block = label.read(start.tolist(), (stop - start).tolist())  # C D H W
        labelled = (block != 0).any(axis=0)  # C D H W -> D H W
        return count_cells(labelled, start.tolist(), lattice) if labelled.any() else None

    boxes = [
        (start, size)
        for start, size in label.stored_chunks()
        if all(s < h and s + n > lo for s, n, lo, h in zip(start, size, low, high, strict=True))
    ]
    workers = num_workers if num_workers else min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        parts = tqdm(
            pool.map(count, boxes), total=len(boxes), desc=f"labels of {label.name}", disable=None, leave=False
        )
        return merge(part for part in parts if part is not None)


def _closest(bbox_share: np.ndarray, labelled_share: np.ndarray, min_bbox: float, min_ratio: float) -> str:
    if len(bbox_share) == 0:
        return "no labelled voxel at all"
    shortfall = np.maximum(min_bbox - bbox_share, 0) + np.maximum(min_ratio - labelled_share, 0)
    best = int(np.argmin(shortfall))
    return f"box around the labels {bbox_share[best]:.3f} of the patch, labelled {labelled_share[best]:.3f} of the box"
