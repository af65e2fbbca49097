"""A rolled-sheet CT phantom with sparse labels, for the demo and for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import zarr
from scipy.ndimage import gaussian_filter, zoom

from ..volumes import NORMAL_INT8, create_ome_zarr, encode
from .phantom_field import RolledSheet

SLAB = 64
"""Slices made at once, and edge of a chunk."""

SPACING_UM = 8.0

_ARRAYS = (
    ("raw", 1, "uint8", "mean"),
    ("sheet", 1, "uint8", "mode"),
    ("normals", 3, "int8", "normal"),
    ("labelled", 1, "uint8", "mode"),
    ("truth_sheet", 1, "uint8", "mode"),
    ("truth_normals", 3, "int8", "normal"),
)
"""Name, channels, type and how coarser levels are made."""


def phantom(
    output: str | Path,
    *,
    size: int = 192,
    n_blocks: int = 6,
    block: int = 72,
    seed: int = 0,
    dry_run: bool = False,
    overwrite: bool = False,
) -> dict[str, str]:
    """Write a CT-like volume of a rolled sheet, labelled in a few blocks only.

    The roll's windings are wavy, touch in places, fold over and have a gap; the inner ply of the sheet is denser than
    the outer one; the image has noise, texture and a drift of intensity. Labels (`sheet` 0/1, `normals` int8 components
    z, y, x, pointing away from the roll's axis) exist in `n_blocks` blocks of the first 60 % of the slices; `labelled`
    is 1 there. The last 25 % are never labelled: for them `truth_sheet` and `truth_normals` hold what is right, to
    score predictions with.

    Args:
        output: the zarr group to make; arrays are 8 um per voxel.
        size: edge of the cube, voxels.
        n_blocks: labelled blocks.
        block: edge of a labelled block, voxels.
        seed: of everything random.
        dry_run: give the paths, and write nothing.
        overwrite: replace what is there.

    Returns:
        path of each array.

    Raises:
        ValueError: if a block does not fit into the labelled part.
    """
    output, labelled_end, truth_start = Path(output), int(0.6 * size), int(0.75 * size)
    if block > labelled_end:
        raise ValueError(
            f"a block of {block} does not fit into the {labelled_end} slices that are labelled; size {size}"
        )
    if dry_run:
        print("dry run: nothing is written")
        return {name: str(output / name) for name, *_ in _ARRAYS}
    roll = RolledSheet(size=size, seed=seed)
    rng = np.random.default_rng(seed)
    corners = _block_corners(rng, n_blocks, (labelled_end, size, size), block)
    drift = zoom(rng.uniform(0.75, 1.25, (4, 4, 4)), size / 4, order=1, mode="nearest", grid_mode=True)
    zarr.create_group(str(output), overwrite=overwrite)
    writers = {
        name: create_ome_zarr(
            output / name,
            (channels, size, size, size),
            dtype,
            spacing=(SPACING_UM,) * 3,
            unit="um",
            chunks=(SLAB,) * 3,
            levels=1,
            downsample=downsample,
            attributes=NORMAL_INT8.as_attributes() if channels == 3 else None,
        )
        for name, channels, dtype, downsample in _ARRAYS
    }
    for z0 in range(0, size, SLAB):
        z1 = min(z0 + SLAB, size)
        distance, normal = roll.distance_and_normal(z0, z1)
        sheet = (np.abs(distance) <= roll.thickness / 2) & roll.exists(z0, z1)
        directions = encode(np.where(sheet, normal, 0), NORMAL_INT8, "int8")  # 3 D H W
        raw = _scan(distance, sheet, roll.thickness, drift[z0:z1], rng)
        writers["raw"].write((z0, 0, 0), raw[None])
        labelled = _inside_blocks(corners, block, z0, sheet.shape)
        writers["labelled"].write((z0, 0, 0), labelled.astype(np.uint8)[None])
        is_truth = np.arange(z0, z1)[:, None, None] >= truth_start
        for prefix, where in (("", labelled), ("truth_", is_truth)):
            writers[f"{prefix}sheet"].write((z0, 0, 0), (sheet & where).astype(np.uint8)[None])
            writers[f"{prefix}normals"].write((z0, 0, 0), np.where(where, directions, 0).astype(np.int8))
    for writer in writers.values():
        writer.finish()
    return {name: str(output / name) for name in writers}


def truth_box(size: int) -> tuple[list[int], list[int]]:
    """First voxel and last plus one, z y x, of the part that is never labelled and whose truth is known."""
    return [int(0.75 * size), 0, 0], [size, size, size]


def _scan(
    distance: np.ndarray, sheet: np.ndarray, thickness: float, drift: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """D H W uint8: the sheet as a scanner would show it."""
    soft = 1 / (1 + np.exp(np.clip((np.abs(distance) - thickness / 2) / 0.6, -30, 30)))
    density = np.where(sheet | (np.abs(distance) > thickness / 2), soft, 0) * _near(sheet)
    texture = gaussian_filter(rng.normal(size=sheet.shape), 1.5) * 1.2  # fibres and pores
    # two plies, as papyrus has: the inner one is denser. This is what tells which way is out
    ply = 1 - 0.25 * np.tanh(distance)
    signal = 60 + density * (75 * ply + 50 * np.clip(texture, -1, 1))
    signal = gaussian_filter(signal * drift, 0.7)
    return np.clip(signal + rng.normal(0, 14, sheet.shape), 0, 255).astype(np.uint8)


def _near(sheet: np.ndarray) -> np.ndarray:
    """Soft mask of the sheet's surroundings, which ends the flanks of the profile where the roll ends."""
    return np.clip(gaussian_filter(sheet.astype(np.float32), 1.5) * 6, 0, 1)


def _block_corners(
    rng: np.random.Generator, count: int, shape: tuple[int, int, int], block: int
) -> list[tuple[int, int, int]]:
    """Random corners of blocks within the middle of the roll, spread over the angles around it."""
    corners = []
    for i in range(count):
        angle, radius = 2 * np.pi * (i + rng.uniform(0, 0.5)) / count, shape[1] * rng.uniform(0.18, 0.27)
        z = int(rng.integers(0, shape[0] - block + 1))
        middle = (shape[1] / 2 + radius * np.sin(angle), shape[2] / 2 + radius * np.cos(angle))
        y, x = (int(np.clip(m - block / 2, 0, n - block)) for m, n in zip(middle, shape[1:], strict=True))
        corners.append((z, y, x))
    return corners


def _inside_blocks(corners: list[tuple[int, int, int]], block: int, z0: int, shape: tuple[int, ...]) -> np.ndarray:
    """D H W bool of one slab that begins at slice z0."""
    inside = np.zeros(shape, bool)
    for z, y, x in corners:
        inside[max(z - z0, 0) : max(z + block - z0, 0), y : y + block, x : x + block] = True
    return inside
