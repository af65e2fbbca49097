"""Patch search: the boxes of huge, sparsely labelled arrays that are worth training on."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from ..blockwise import WorkProgress
from ..geometry import did_you_mean
from .cache import FORMAT_VERSION, load_cached, save_cached
from .groups import islands
from .island import Found, IslandSearch, Settings
from .journal import SearchJournal
from .labelled import LabelledVoxels
from .table import array_keys, reference_key, volume_box

logger = logging.getLogger(__name__)

A = TypeVar("A")
B = TypeVar("B")

_SMALL_ISLAND = 32
"""Boxes up to which an island is searched while those after it are read."""


def find_patches(
    volumes: Sequence[Mapping[str, Any]],
    patch_size: Sequence[int],
    *,
    ref_label: str | None = None,
    min_bbox_percent: float = 0.95,
    min_labeled_ratio: float = 0.1,
    min_ratios: Mapping[str, float] | None = None,
    targets: Mapping[str, Any] | None = None,
    stride: Sequence[int] | int | None = None,
    cache_file: str | Path | None = None,
    use_cache: bool = True,
    num_workers: int | None = None,
) -> list[dict[str, Any]]:
    """Find the patches whose labels fill enough of them.

    Only chunks that the store holds are read, each once. Candidates are anchored to the labels: labels that touch, or
    that one patch could hold together, share a lattice that starts at their first voxel along each axis, goes on every
    `stride` voxels, and has its last candidates end with their last voxel; labels smaller than a patch have one
    candidate around them. No candidate reaches beyond the volume or its `region` unless that is smaller than the patch;
    then only the part inside counts.

    A candidate is kept when the box around its labelled voxels fills at least `min_bbox_percent` of it, labelled voxels
    fill at least `min_labeled_ratio` of that box, and each array in `min_ratios` is labelled in that share of the
    patch. Which voxels count as labelled: see `LabelledVoxels`.

    Memory: one read of about 4 million voxels per worker (one chunk, where a chunk is larger), 64 MiB of packed labels
    (labels of a larger connected region are read twice), and about 100 bytes per stored chunk.

    Args:
        volumes: the `volumes` table of a config.
        patch_size: voxels along z, y, x.
        ref_label: key of the label that decides, for volumes that do not name their own `ref_label`.
        min_bbox_percent: share 0..1.
        min_labeled_ratio: share 0..1.
        min_ratios: further conditions: array -> least share 0..1 of the patch that is labelled there. A volume that
            lacks the array has no patch, unless the share is 0.
        targets: the `targets` table; its ignore labels and masks say what does not count as labelled.
        stride: voxels between candidates, one number or one per axis; default half a patch.
        cache_file: JSON file that keeps the result; used again only if all that it was made from is unchanged. A search
            that is killed goes on where it stopped, by what it noted in `<cache_file>.partial`.
        use_cache: false searches anew and leaves the file alone.
        num_workers: threads; default one per core, at most 8.

    Returns:
        `{"volume": index in volumes, "start": [z, y, x], "size": [z, y, x], "bbox_percent": share, "labeled_ratio":
        share}` in order of volume and start.

    Raises:
        ValueError: if a share is not in 0..1, a size or stride not positive, or no patch meets the thresholds.
    """
    settings = _checked(patch_size, stride, min_bbox_percent, min_labeled_ratio, min_ratios or {})
    _check_keys(settings.min_ratios, volumes)
    readers = [_readers(row, ref_label, targets, settings.min_ratios) for row in volumes]
    kept_file = Path(cache_file) if cache_file is not None and use_cache else None
    header = {} if kept_file is None else _header(settings, volumes, readers)
    if kept_file is not None and (cached := load_cached(kept_file, header, "patches")) is not None:
        return cached
    journal = SearchJournal(kept_file and kept_file.with_name(f"{kept_file.name}.partial"), header)
    patches: list[dict[str, Any]] = []
    nearest: list[str] = []
    workers = num_workers or min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        for number, found_readers in enumerate(readers):
            name = next(iter(found_readers.values())).array.path
            found = _search_volume(number, found_readers, settings, pool, workers, journal)
            patches += [
                {
                    "volume": number,
                    "start": [z, y, x],
                    "size": list(settings.size),
                    "bbox_percent": bbox,
                    "labeled_ratio": ratio,
                }
                for z, y, x, bbox, ratio in sorted(found.patches)
            ]
            nearest.append(f"{name}: {_nearest(found)}")
            logger.info("%s: %d of %d candidate patches kept", name, len(found.patches), found.n_candidates)
    if not patches:
        raise ValueError(
            f"no patch of {list(settings.size)} meets min_bbox_percent = {min_bbox_percent}, min_labeled_ratio = "
            f"{min_labeled_ratio}{_said(settings.min_ratios)}. The closest candidates: {'; '.join(nearest)}. Lower the "
            "thresholds, make patch_size smaller, or label larger regions."
        )
    if kept_file is not None:
        save_cached(kept_file, header, "patches", patches)
        journal.finish()
    return patches


def _checked(
    patch_size: Sequence[int],
    stride: Sequence[int] | int | None,
    bbox: float,
    ratio: float,
    ratios: Mapping[str, float],
) -> Settings:
    size = [int(n) for n in patch_size]
    if stride is None:
        steps = [max(n // 2, 1) for n in size]
    else:
        steps = [int(stride)] * 3 if isinstance(stride, int) else [int(n) for n in stride]
    for name, values in (("patch_size", size), ("stride", steps)):
        if len(values) != 3 or min(values) < 1:
            raise ValueError(f"{name} must be three positive numbers z, y, x; got {values}")
    shares = {f"min_ratios['{key}']": share for key, share in ratios.items()}
    for name, share in {"min_bbox_percent": bbox, "min_labeled_ratio": ratio, **shares}.items():
        if not 0 <= share <= 1:
            raise ValueError(f"{name} is a share from 0 to 1; got {share}")
    return Settings((size[0], size[1], size[2]), (steps[0], steps[1], steps[2]), bbox, ratio, dict(ratios))


def _header(
    settings: Settings, volumes: Sequence[Mapping[str, Any]], readers: Sequence[Mapping[str, LabelledVoxels]]
) -> dict[str, Any]:
    """All that the result depends on, readable, for the cache."""
    return {
        "format_version": FORMAT_VERSION,
        "patch_size": list(settings.size),
        "stride": list(settings.stride),
        "min_bbox_percent": settings.min_bbox_percent,
        "min_labeled_ratio": settings.min_labeled_ratio,
        "min_ratios": dict(settings.min_ratios),
        "volumes": [
            {"region": row.get("region"), "arrays": [reader.describe() for reader in found.values()]}
            for row, found in zip(volumes, readers, strict=True)
        ],
    }


def _check_keys(ratios: Mapping[str, float], volumes: Sequence[Mapping[str, Any]]) -> None:
    carried = sorted({key for row in volumes for key in array_keys(row)})
    for key in ratios:
        if key not in carried:
            raise ValueError(
                f"min_ratios: no volume carries '{key}'{did_you_mean(key, carried)}; they carry: {', '.join(carried)}"
            )


def _readers(
    row: Mapping[str, Any], ref_label: str | None, targets: Mapping[str, Any] | None, ratios: Mapping[str, float]
) -> dict[str, LabelledVoxels]:
    """The reference label of a volume, first, and the further arrays with a least share."""
    key = reference_key(row, ref_label)
    reference = LabelledVoxels(row, key, targets)
    low, high = volume_box(row, reference.array)
    readers = {key: LabelledVoxels(row, key, targets, low, high)}
    for further in ratios:
        if further in array_keys(row):
            readers.setdefault(further, LabelledVoxels(row, further, targets, low, high))
    return readers


def _search_volume(
    number: int,
    readers: Mapping[str, LabelledVoxels],
    settings: Settings,
    pool: ThreadPoolExecutor,
    workers: int,
    journal: SearchJournal,
) -> Found:
    labels = next(iter(readers.values()))
    total = Found()
    if any(share > 0 and key not in readers for key, share in settings.min_ratios.items()):
        return total  # the volume lacks an array of which a patch needs some
    further = {key: (readers[key], readers[key].boxes()) for key in settings.min_ratios if key in readers}
    shares = {key: share for key, share in settings.min_ratios.items() if key in readers}
    boxes = labels.boxes()
    parts = islands(boxes, settings.size)
    search = IslandSearch(labels, further, replace(settings, min_ratios=shares))
    small: list[int] = []
    with WorkProgress(f"labels of {labels.array.name}", len(boxes), "boxes") as progress:
        for n, part in enumerate(parts):
            if (number, n) in journal:
                total.add(Found.from_json(journal[number, n]))
                progress.advance(len(part))
            elif len(part) <= _SMALL_ISLAND:
                small.append(n)
            else:
                parallel = partial(_in_order, pool, 4 * workers)
                found = search.run([boxes[i] for i in part], parallel, parallel, journal, (number, n))
                journal.note((number, n), found.as_json())
                total.add(found)
                progress.advance(len(part))
        # threads read ahead; what is left to do for a small island is so little that one thread does it best
        stream = _in_order(pool, 4 * workers, search.survey, (boxes[i] for n in small for i in parts[n]))
        for n in small:
            found = search.run([boxes[i] for i in parts[n]], lambda _, some: islice(stream, len(list(some))))
            journal.note((number, n), found.as_json())
            total.add(found)
            progress.advance(len(parts[n]))
    return total


def _in_order(pool: ThreadPoolExecutor, ahead: int, function: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
    """`map` by threads that never starts more than `ahead` items before their turn, so that results do not pile up."""
    running: deque[Future[B]] = deque()
    for item in items:
        if len(running) == ahead:
            yield running.popleft().result()
        running.append(pool.submit(function, item))
    while running:
        yield running.popleft().result()


def _said(ratios: Mapping[str, float]) -> str:
    return f", min_ratios = {dict(ratios)}" if ratios else ""


def _nearest(found: Found) -> str:
    if found.nearest is None:
        return "no labelled voxel at all"
    _, bbox, ratio = found.nearest
    return f"box around the labels {bbox:.3f} of the patch, labelled {ratio:.3f} of the box"
