"""The numbers by which images are normalised, computed once and kept."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..volumes import Volume, value_statistics, volume_statistics
from .cache import FORMAT_VERSION, load_cached, save_cached
from .labelled import LabelledVoxels
from .slice_views import stored_rows
from .table import open_images, reference_key, volume_box

_VOXELS_PER_VOLUME = 2**20
_MOST_BOXES = 256

BY_VOLUME = ("zscore_volume", "percentile", "min_max", "dtype_range")
BY_FOREGROUND = ("ct",)


def image_statistics(
    volumes: Sequence[Mapping[str, Any]],
    scheme: str,
    *,
    targets: Mapping[str, Any] | None = None,
    ref_label: str | None = None,
    cache_file: str | Path | None = None,
    use_cache: bool = True,
    seed: int = 0,
) -> dict[str, Any] | None:
    """Statistics that a scheme of `NormalizeImage` needs.

    A volume that is seen along several axes is measured once, as it is stored.

    Args:
        volumes: the `volumes` table.
        scheme: name of the scheme; those that look at the patch alone need none.
        targets: the `targets` table, whose ignore labels and masks say what is foreground.
        ref_label: key of the label that says what is foreground, for volumes that do not name their own.
        cache_file: JSON file that keeps the numbers, used again only if all that they were made from is unchanged.
        use_cache: false computes anew and leaves the file alone.
        seed: of the choice of boxes in large volumes.

    Returns:
        `None` where the scheme needs nothing; else `{"volumes": [statistics per volume] or [], "foreground": statistics
        of labelled voxels of all volumes, or None}`, each as `volume_statistics` returns them.

    Raises:
        ValueError: if foreground is asked for and no voxel is labelled, or images have different numbers of channels.
    """
    if scheme not in (*BY_VOLUME, *BY_FOREGROUND):
        return None
    stored, index = stored_rows(volumes)
    kept_file = Path(cache_file) if cache_file is not None and use_cache else None
    header: dict[str, Any] = {}
    if kept_file is not None:
        header = {"format_version": FORMAT_VERSION, "scheme": scheme, "seed": seed}
        header["volumes"] = [_describe(row, scheme, targets, ref_label) for row in stored]
        if (cached := load_cached(kept_file, header, "statistics")) is not None:
            return _of_views(cached[:-1], cached[-1], index)
    if scheme in BY_FOREGROUND:
        rows, foreground = [], _foreground(stored, targets, ref_label, seed)
    else:
        rows, foreground = [_stacked(open_images(row), seed) for row in stored], None
    if kept_file is not None:
        save_cached(kept_file, header, "statistics", [*rows, foreground])
    return _of_views(rows, foreground, index)


def _of_views(rows: Sequence[Any], foreground: Any, index: Sequence[int]) -> dict[str, Any]:
    return {"volumes": [rows[n] for n in index] if rows else [], "foreground": foreground}


def _stacked(images: Sequence[Volume], seed: int) -> dict[str, Any]:
    """Statistics of images that are stacked as channels."""
    parts = [volume_statistics(image, seed) for image in images]
    return {name: [value for part in parts for value in part[name]] for name in parts[0]}


def _foreground(
    volumes: Sequence[Mapping[str, Any]], targets: Mapping[str, Any] | None, ref_label: str | None, seed: int
) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    found = [values for row in volumes for values in _labelled_values(row, targets, ref_label, rng)]
    if not found:
        raise ValueError("scheme 'ct' normalises by the labelled voxels, and none is labelled in any volume")
    if len({len(values) for values in found}) > 1:
        raise ValueError(f"the volumes' images have different numbers of channels: {sorted({len(v) for v in found})}")
    return value_statistics(np.concatenate(found, axis=1))


def _labelled_values(
    row: Mapping[str, Any], targets: Mapping[str, Any] | None, ref_label: str | None, rng: np.random.Generator
) -> list[np.ndarray]:
    """Image values C N of labelled voxels, from random boxes until there are enough."""
    key = reference_key(row, ref_label)
    images = open_images(row)
    low, high = volume_box(row, images[0])
    labels = LabelledVoxels(row, key, targets, low, high)
    boxes = labels.boxes()
    found: list[np.ndarray] = []
    n_values = 0
    for n in rng.permutation(len(boxes))[:_MOST_BOXES]:
        start, size = boxes[n]
        labelled = labels.labelled_box((start, size))
        if not labelled.any():
            continue
        inside = np.concatenate([image.read(start, size)[:, labelled] for image in images])  # C N
        share = math.ceil(_VOXELS_PER_VOLUME / min(len(boxes), _MOST_BOXES))
        if inside.shape[1] > share:
            inside = inside[:, rng.choice(inside.shape[1], share, replace=False)]
        found.append(inside)
        n_values += inside.shape[1]
        if n_values >= _VOXELS_PER_VOLUME:
            break
    return found


def _describe(
    row: Mapping[str, Any], scheme: str, targets: Mapping[str, Any] | None, ref_label: str | None
) -> dict[str, Any]:
    images = [
        {"path": image.path, "shape": list(image.shape), "fingerprint": image.fingerprint()}
        for image in open_images(row)
    ]
    described: dict[str, Any] = {"region": row.get("region"), "images": images}
    if scheme in BY_FOREGROUND:
        described["foreground"] = LabelledVoxels(row, reference_key(row, ref_label), targets).describe()
    return described
