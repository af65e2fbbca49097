"""The pictures of the page on geometry, drawn from what the bundle's own transforms make of small arrays."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Affined, Flipd, Rotate90d
from numpy.typing import NDArray
from tests.documentation.svg import Drawing

from scripts.inferers.windows import axis_starts
from scripts.transforms import LoadZarrPatchd, ReorientVectorsd
from scripts.volumes import create_ome_zarr

N_VOXELS = 10
"""Edge of the slices that are moved, voxels."""

SLOPE = (2.0, 1.0)
"""Normal of the surface along y and x, before it has unit length; the vector lies along the surface."""

SURFACE_LENGTH = 3.0
"""Length of the drawn vectors, physical."""

MOVES: Mapping[str, tuple[Callable[[Sequence[str]], Any], tuple[float, float]]] = {
    "mirror": (lambda keys: Flipd(keys, spatial_axis=2), (1.0, 1.0)),
    "quarter_turn": (lambda keys: Rotate90d(keys, k=1, spatial_axes=(1, 2)), (1.0, 1.0)),
    "quarter_turn_unequal": (lambda keys: Rotate90d(keys, k=1, spatial_axes=(1, 2)), (2.0, 1.0)),
    "stretch": (
        lambda keys: Affined(keys, scale_params=(1.0, 1.0, 0.5), mode="nearest", padding_mode="border"),
        (1.0, 1.0),
    ),
}
"""Name of a picture -> transform of a sample, and spacing along y and x."""

PATCH_START, PATCH_SIZE = (0, 3, -1), (1, 3, 4)
GRID_SHAPE, GRID_SPACING, GRID_TRANSLATION = (1, 5, 6), (1.0, 2.0, 1.0), (0.0, 10.0, 40.0)

WINDOW, OVERLAP, LENGTHS = 8, 0.5, (21, 5)


@dataclass(frozen=True)
class Slice:
    """One slice of a sample: a label with a surface, and what stands on it.

    Args:
        label: foreground, H W.
        normal: unit normal along y and x, the same at every voxel.
        vector: vector along y and x, likewise.
        spacing: physical size of a voxel along y and x.
    """

    label: NDArray[np.bool_]
    normal: tuple[float, float]
    vector: tuple[float, float]
    spacing: tuple[float, float]


def sample(spacing: Sequence[float]) -> dict[Hashable, Any]:
    """A slice with a slanted surface through its middle, its unit normals, and vectors along it.

    Args:
        spacing: physical size of a voxel along y and x.
    """
    normal = np.array(SLOPE) / np.linalg.norm(SLOPE)
    middle = (N_VOXELS - 1) / 2
    y, x = ((index - middle) * step for index, step in zip(np.indices((N_VOXELS, N_VOXELS)), spacing, strict=True))
    label = (y * normal[0] + x * normal[1] < 0)[None, None]  # C D H W
    affine = np.diag([1.0, *spacing, 1.0])
    fields = {"normals": (0, *normal), "vectors": (0, -SURFACE_LENGTH * normal[1], SURFACE_LENGTH * normal[0])}
    arrays = {"label": label.astype(np.float32)}
    for key, vector in fields.items():
        arrays[key] = np.broadcast_to(np.reshape(vector, (3, 1, 1, 1)), (3, 1, N_VOXELS, N_VOXELS)).astype(np.float32)
    return {
        key: MetaTensor(
            torch.from_numpy(array.copy()),
            affine=torch.from_numpy(affine),
            meta={"reference_affine": torch.from_numpy(affine.copy())},
        )
        for key, array in arrays.items()
    }


def moved(name: str) -> tuple[Slice, Slice]:
    """A sample before and after a transform, which `ReorientVectorsd` follows.

    Args:
        name: key of `MOVES`.
    """
    make, spacing = MOVES[name]
    before = sample(spacing)
    after = make(["label", "normals", "vectors"])(dict(before))
    after = ReorientVectorsd("normals", kind="normal")(after)
    after = ReorientVectorsd("vectors", kind="vector")(after)
    return _slice(before, spacing), _slice(after, spacing)


def _slice(one: Mapping[Hashable, Any], spacing: tuple[float, float]) -> Slice:
    middle = N_VOXELS // 2

    def inner(key: str) -> tuple[float, float]:
        _, y, x = np.asarray(one[key])[:, 0, middle, middle]
        return float(y), float(x)

    return Slice(np.asarray(one["label"])[0, 0] > 0.5, inner("normals"), inner("vectors"), spacing)


def surface_voxels(label: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Three foreground voxels, spread over those at the background along y; or along x, where these are more."""
    along = [np.argwhere(label & ~np.roll(label, shift, axis)) for axis in (0, 1) for shift in (1, -1)]
    inside = [
        [(int(y), int(x)) for y, x in found if 1 <= y < len(label) - 1 and 1 <= x < label.shape[1] - 1]
        for found in along
    ]
    best = max(inside, key=len)
    return [best[place] for place in sorted({1, len(best) // 2, len(best) - 2})]


def draw_move(name: str) -> str:
    """Before and after, side by side."""
    slices = moved(name)
    unit = 20.0 if slices[0].spacing == (1.0, 1.0) else 12.0
    height, width = (N_VOXELS * step * unit for step in slices[0].spacing)
    gap, top, left = 60.0, 46.0, 34.0
    drawing = Drawing(2 * left + 2 * width + gap, top + height + 40)
    for number, one in enumerate(slices):
        x0 = left + number * (width + gap)
        drawing.text(x0, 20, ("before", "after")[number], size=14)
        _draw_slice(drawing, one, x0, top, unit)
    drawing.text(left + width + gap / 2, top + height / 2, "→", size=26, anchor="middle")
    drawing.key(left, top + height + 26, [("normal", "unit normal"), ("vector", "vector along the surface")])
    return drawing.finish()


def _draw_slice(drawing: Drawing, one: Slice, x0: float, y0: float, unit: float) -> None:
    dy, dx = (step * unit for step in one.spacing)
    for y, x in np.ndindex(one.label.shape):
        drawing.box(x0 + x * dx, y0 + y * dy, dx, dy, "foreground" if one.label[y, x] else "background")
    drawing.axes(x0 - 10, y0 - 10)
    for number, (y, x) in enumerate(surface_voxels(one.label)):
        start = x0 + (x + 0.5) * dx, y0 + (y + 0.5) * dy
        arrows = [("normal", one.normal, 2 * unit), *([("vector", one.vector, unit)] if number == 1 else [])]
        for kind, (along_y, along_x), length in arrows:
            drawing.arrow(*start, start[0] + along_x * length, start[1] + along_y * length, kind)


def load_patch() -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """A patch that reaches beyond its volume: the affine (index to position), and its voxels D H W, 0 where padded."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/volume.zarr"
        stored = np.ones((1, *GRID_SHAPE), np.uint8)
        create_ome_zarr(
            path, stored.shape, "uint8", spacing=GRID_SPACING, translation=GRID_TRANSLATION, unit="um"
        ).write((0, 0, 0), stored)
        loaded = LoadZarrPatchd(["image"])({"image": path, "start": PATCH_START, "size": PATCH_SIZE})["image"]
        return np.asarray(loaded.affine, np.float64), np.asarray(loaded)[0]


def draw_grid() -> str:
    """A volume's voxels with their positions, and a patch that reaches beyond them."""
    affine, voxels = load_patch()
    unit, left, top = 28.0, 170.0, 60.0
    (_, dy, dx), (_, y0, x0) = GRID_SPACING, GRID_TRANSLATION

    def place(position: Sequence[float]) -> tuple[float, float]:
        """Where a physical position y, x is drawn."""
        return left + (position[1] - x0 + dx / 2) * unit, top + (position[0] - y0 + dy / 2) * unit

    drawing = Drawing(left + (GRID_SHAPE[2] + 1) * dx * unit, top + (GRID_SHAPE[1] + 1.6) * dy * unit)
    for y, x in np.ndindex(GRID_SHAPE[1:]):
        centre = place((y0 + y * dy, x0 + x * dx))
        drawing.box(centre[0] - dx * unit / 2, centre[1] - dy * unit / 2, dx * unit, dy * unit, "foreground")
    for y, x in np.ndindex(voxels.shape[1:]):
        _, *position, _ = affine @ (0, y, x, 1)
        centre = place(position)
        kind = "patch" if voxels[0, y, x] else "padding"
        drawing.box(centre[0] - dx * unit / 2, centre[1] - dy * unit / 2, dx * unit, dy * unit, kind)
    for y, x in np.ndindex(GRID_SHAPE[1:]):
        drawing.dot(*place((y0 + y * dy, x0 + x * dx)))
    first, stored = (affine @ (0, 0, 0, 1)).tolist(), place((y0, x0))
    drawing.text(stored[0], stored[1] - dy * unit / 2 - 10, f"voxel 0 0 0 at {_triple(GRID_TRANSLATION)} um")
    corner = place(first[1:3])
    drawing.text(corner[0] - dx * unit / 2 - 10, corner[1], "patch voxel 0 0 0", anchor="end")
    drawing.text(corner[0] - dx * unit / 2 - 10, corner[1] + 18, f"at {_triple(first[:3])}", anchor="end")
    drawing.axes(left - 60, top - 30)
    drawing.key(20, top + (GRID_SHAPE[1] + 1.3) * dy * unit,
                [("foreground", "stored"), ("patch", "patch"), ("padding", "padded, 0")])  # fmt: skip
    return drawing.finish()


def draw_windows() -> str:
    """Windows along an axis that is longer, and one that is shorter, than a window."""
    unit, left, row = 18.0, 70.0, 22.0
    drawing = Drawing(left + (max(LENGTHS) + 3) * unit, 250)
    y = 40.0
    for length in LENGTHS:
        drawing.text(left - 50, y - 12, f"{length} voxels, windows of {WINDOW}, overlap {OVERLAP}")
        for voxel in range(length):
            drawing.box(left + voxel * unit, y, unit, row, "foreground")
        for number, start in enumerate(axis_starts(length, WINDOW, OVERLAP)):
            line = y + (number + 1.4) * row
            drawing.box(left + int(start) * unit, line, WINDOW * unit, row - 6, "window")
            drawing.text(left + (int(start) + WINDOW / 2) * unit, line + row - 11, f"from {start}", 11, "middle")
        y += (len(axis_starts(length, WINDOW, OVERLAP)) + 3.4) * row
    drawing.resize(height=y - row)
    return drawing.finish()


def _triple(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in values)


PICTURES: Mapping[str, Callable[[], str]] = {
    "grid": draw_grid,
    "windows": draw_windows,
    **{name: partial(draw_move, name) for name in MOVES},
}
"""Files of `bundle/docs/pictures`, by name without the ending."""
