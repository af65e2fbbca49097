"""`find-landmarks`: the landmarks of heatmaps that were streamed to a store, whatever their size."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from ..blockwise import WorkProgress
from ..landmarks import highest_voxels, refine_points
from ..volumes import Landmarks, Volume, convert_landmarks, open_volume, write_landmarks
from .datasplit import as_list

_AROUND = 2  # voxels on each side of the highest one that refine it
_BLOCK_BYTES = 64 * 2**20


def find_landmarks(
    heatmaps: str | Path,
    *,
    output: str | Path = "landmarks.csv",
    names: Sequence[str] | str | None = None,
    network: str | Path | None = None,
    threshold: float | None = None,
    subpixel: bool = True,
    dry_run: bool = False,
    overwrite: bool = False,
) -> str:
    """Read the landmarks off the heatmaps that `configs/inference.json` has streamed, block by block.

    Memory does not grow with the volume. Chunks that the store leaves out are not read.

    Args:
        heatmaps: path of the array, such as `prediction.zarr/heatmaps`; a channel for each landmark.
        output: file: `.csv` in voxels of the heatmaps, with their heights, or `.mrk.json` for 3D Slicer.
        names: of the landmarks, `nose,ear`. Default: those of `network`, or numbers from 1.
        network: `network.json` of the training, which has the names.
        threshold: landmarks whose heatmap is nowhere as high are missing.
        subpixel: find the maximum between voxels; `--nosubpixel`: the highest voxel.
        dry_run: say what would be read and written, and do neither.
        overwrite: replace a file that exists.

    Returns:
        a line for each landmark, with its place and its height.

    Raises:
        FileExistsError: if `output` exists.
        FileNotFoundError: where nothing is at a path.
        ValueError: for another number of names than channels.
    """
    if Path(output).exists() and not (overwrite or dry_run):
        raise FileExistsError(f"{output} exists; choose another output, or pass --overwrite to replace it")
    volume = open_volume(heatmaps)
    known = _names(volume, names, network)
    if dry_run:
        shape = " x ".join(map(str, volume.spatial_shape))
        return f"{volume.path}: {shape} voxels, landmarks {', '.join(known)}\ndry run: {output} is not written"
    points, heights = peaks_of_volume(volume, subpixel=subpixel)
    if threshold is not None:
        points = np.where((heights >= threshold)[:, None], points, np.nan)
    landmarks = Landmarks(tuple(known), points, extra={"height": heights.tolist()})
    in_space = str(output).lower().endswith(".mrk.json")
    write_landmarks(output, convert_landmarks(landmarks, "ras", volume) if in_space else landmarks)
    lines = [
        f"{name}: " + ("not found" if np.isnan(place).any() else f"{np.round(place, 2).tolist()}, height {height:.4g}")
        for name, place, height in zip(known, points, heights, strict=True)
    ]
    return "\n".join([*lines, f"{output}: {int(np.isfinite(points).all(axis=1).sum())} of {len(known)} landmarks"])


def peaks_of_volume(volume: Volume, *, subpixel: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Highest place of each channel of a volume, which is read block by block.

    Args:
        volume: heatmaps, a channel for each landmark.
        subpixel: see `scripts.landmarks.refine_points`, whose result in memory this equals.

    Returns:
        indices z, y, x, N 3 float64, NaN where a channel is constant or holds NaN; and highest values, N float64.
    """
    count = volume.channels
    heights, lowest = np.full(count, -np.inf), np.full(count, np.inf)
    places = np.zeros((count, 3), np.int64)
    covered = 0
    with WorkProgress(f"landmarks of {volume.name}", int(np.prod(volume.spatial_shape)), "voxels") as progress:
        for start, size in _blocks(volume):
            block = volume.decode(volume.read(start, size))  # C D H W
            progress.advance(int(np.prod(size)))
            covered += int(np.prod(size))
            flat = block.reshape(count, -1)
            lowest = np.minimum(lowest, flat.min(axis=1))  # NaN stays NaN
            highest = flat.argmax(axis=1)
            values = flat[np.arange(count), highest]
            # The first of equal values in array order is the one, as in memory, whatever the order of blocks.
            index = np.stack(np.unravel_index(highest, size), axis=1) + np.asarray(start)
            is_first = (values == heights) & _before(index, places)
            better = (values > heights) | is_first | np.isnan(values)
            heights, places = np.where(better, values, heights), np.where(better[:, None], index, places)
    if covered < int(np.prod(volume.spatial_shape)):  # chunks that are left out hold the fill value
        lowest = np.minimum(lowest, volume.fill_value)
    has_peak = (heights > lowest) & np.isfinite(heights)
    points = np.where(has_peak[:, None], places, np.nan).astype(np.float64)
    if subpixel:
        for channel in np.flatnonzero(has_peak):
            points[channel] = _refined(volume, int(channel), places[channel])
    return points, heights


def _refined(volume: Volume, channel: int, place: np.ndarray) -> np.ndarray:
    """Maximum between the voxels around a channel's highest voxel, 3."""
    low = np.maximum(place - _AROUND, 0)
    high = np.minimum(place + _AROUND + 1, volume.spatial_shape)
    block = volume.decode(volume.read(low.tolist(), (high - low).tolist()))[channel]
    maps = torch.from_numpy(np.ascontiguousarray(block))[None, None].float()  # D H W -> 1 1 D H W
    points, _ = highest_voxels(maps)
    return refine_points(maps, points)[0, 0].double().numpy() + low


def _blocks(volume: Volume) -> Iterator[tuple[list[int], list[int]]]:
    """Boxes of whole chunks that the store holds, each within a limit of bytes."""
    size = np.array(volume.chunks)
    shape = np.array(volume.spatial_shape)
    while (size < shape).any() and np.prod(size) * 2 * volume.channels * 4 <= _BLOCK_BYTES:
        axis = int(np.argmin(np.where(size < shape, size, np.iinfo(np.int64).max)))
        size[axis] *= 2
    held: set[tuple[int, ...]] = set()
    for start, extent in volume.stored_chunks():
        touched = (range(a // n, -(-(a + b) // n)) for a, b, n in zip(start, extent, size.tolist(), strict=True))
        held.update(itertools.product(*touched))
    for block in itertools.product(*(range(-(-n // step)) for n, step in zip(shape, size, strict=True))):
        if block in held:
            first = np.array(block) * size
            yield first.tolist(), np.minimum(size, shape - first).tolist()


def _before(index: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether voxels come before others in array order, N bool."""
    return np.array([tuple(a) < tuple(b) for a, b in zip(index.tolist(), other.tolist(), strict=True)])


def _names(volume: Volume, names: Sequence[str] | str | None, network: str | Path | None) -> list[str]:
    if names is not None:
        known = [str(name) for name in as_list(names)]
    elif network is not None:
        known = json.loads(Path(network).read_text()).get("landmark_names") or []
    else:
        known = [str(n + 1) for n in range(volume.channels)]
    if len(known) != volume.channels:
        raise ValueError(f"{volume.path} has {volume.channels} channels, but there are {len(known)} names: {known}")
    return known
