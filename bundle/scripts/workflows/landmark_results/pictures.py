"""Pictures of an image with its true and its predicted landmarks, and of heatmaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from numpy.typing import NDArray

from ...viewers import grey
from .case import Floats, LandmarkCase
from .drawing import INK, mark_points, name_point, new_figure, point_legend, save_figure, show_plane

_WIDTH = 12.0  # inches
_LEAST_HEIGHT, _MOST_HEIGHT = 2.5, 8.0
_N_WORST = 3
_AROUND = 2.0  # half the width of a zoomed picture, in errors
_LEAST_AROUND = 0.08  # of the longest side of the image


@dataclass(frozen=True)
class _Scene:
    """What is drawn: voxels D H W, their size, and points N 3 in them."""

    voxels: NDArray
    spacing: Floats
    truth: Floats
    found: Floats

    @property
    def projections(self) -> list[tuple[int, int, int]]:
        """Axis along which is looked, axis downwards, axis to the right; a picture in 2D is seen as it is."""
        return [(0, 1, 2), (1, 0, 2), (2, 0, 1)] if self.voxels.shape[0] > 1 else [(0, 1, 2)]

    def projection(self, along: int) -> NDArray:
        """Maximum along an axis; NaN counts as 0."""
        return np.nan_to_num(np.fmax.reduce(self.voxels, axis=along))


def write_case_picture(path: Path, case: LandmarkCase, image: NDArray) -> None:
    """Draw all landmarks of an image, and its worst ones by themselves, into a PNG file.

    Above are maximum projections along z, y and x (in 2D: the picture itself), where the worst landmarks are named;
    below are slices through these. Without truth the worst are those of which the prediction is least sure.

    Args:
        path: of the picture; its folder is made where it is missing.
        case: the image.
        image: D H W, over the same extent as the case's grid, of as many voxels or others.

    Raises:
        ValueError: for an image of another number of axes.
    """
    shape = image.shape
    if len(shape) != 3:
        raise ValueError(f"image '{case.name}': expected voxels D H W to draw; got an array of shape {list(shape)}")
    spacing = np.array(case.spacing) * case.grid_shape / shape
    found = case.rescaled(case.prediction, shape)
    truth = np.full_like(found, np.nan) if case.truth is None else case.rescaled(case.truth, shape)
    scene = _Scene(np.asarray(image), spacing, truth, found)
    worst = worst_landmarks(case)
    height = _height(scene)
    heights = [0.5, height + 0.3, *([_WIDTH / _N_WORST + 0.2] if worst else [])]
    figure = new_figure(_WIDTH, sum(heights))
    head, *parts = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    head.suptitle(_title(case), color=INK, x=0.01, y=0.7, ha="left", va="center", fontsize=12)
    head.legend(handles=point_legend(case.is_annotated), loc="center right", ncols=3, frameon=False, labelcolor=INK)
    for axes, along, down, right in _draw_projections(parts[0], scene):
        mark_points(axes, scene.truth[:, [down, right]], scene.found[:, [down, right]])
        for n in worst:
            name_point(axes, _place(scene, n)[[down, right]], case.landmarks[n])
        axes.set_title(f"maximum along {'zyx'[along]}" if shape[0] > 1 else "", color=INK, fontsize=10)
    if worst:
        for axes, rank in zip(parts[1].subplots(1, _N_WORST), range(_N_WORST), strict=True):
            if rank < len(worst):
                _draw_slice(axes, scene, case, worst[rank])
            else:
                axes.set_axis_off()
    save_figure(figure, path)


def write_heatmap_picture(
    path: Path, image: NDArray, heatmaps: NDArray, points: Floats, spacing: Sequence[float] = (1.0, 1.0, 1.0)
) -> None:
    """Draw the highest of all landmarks' heatmaps over an image into a PNG file, as maximum projections.

    Args:
        path: of the picture; its folder is made where it is missing.
        image: D H W.
        heatmaps: N D H W.
        points: N 3 in voxels of the image, NaN: none; marked as true ones.
        spacing: size of a voxel along z, y, x.

    Raises:
        ValueError: when the heatmaps' voxels are not those of the image.
    """
    if heatmaps.ndim != 4 or heatmaps.shape[1:] != image.shape:
        raise ValueError(
            f"heatmaps of shape {list(heatmaps.shape)} cannot be laid over an image of {list(image.shape)}; expected "
            "N D H W of the same voxels"
        )
    highest = np.nan_to_num(heatmaps.max(axis=0))
    known = np.asarray(points, np.float64)
    scene = _Scene(np.asarray(image), np.array(spacing), known, np.full_like(known, np.nan))
    top = max(float(highest.max()), 1e-6)
    figure = new_figure(_WIDTH, _height(scene) + 0.4)
    for axes, along, down, right in _draw_projections(figure, scene):
        heat = np.clip(highest.max(axis=along) / top, 0, 1)
        axes.images[0].set_data(_laid_over(grey(scene.projection(along)), heat))
        mark_points(axes, known[:, [down, right]], scene.found[:, [down, right]], 9.0)
    figure.suptitle(f"{len(heatmaps)} heatmaps, highest value {top:.4g}", color=INK, fontsize=11)
    save_figure(figure, path)


def worst_landmarks(case: LandmarkCase) -> list[int]:
    """At most three landmarks to look at: those of the greatest error, without truth those least sure."""
    values = case.errors() if case.is_annotated else case.uncertainty(case.method)
    order = np.argsort(np.where(np.isnan(values), -np.inf, values), kind="stable")[::-1]
    has_place = np.isfinite(case.prediction).all(axis=1) | ~np.isnan(case.errors())
    return [int(n) for n in order if has_place[n] and not np.isnan(values[n])][:_N_WORST]


def _title(case: LandmarkCase) -> str:
    """Name of the image and how far the landmarks are away."""
    errors = case.errors(in_unit=case.unit is not None)
    found = errors[np.isfinite(errors)]
    missed = int(np.isinf(errors).sum())
    parts = [case.name]
    if len(found):
        parts.append(f"mean error {found.mean():.3g} {case.unit or 'voxels'}")
    if missed:
        parts.append(f"{missed} of {len(errors)} not found")
    return ", ".join(parts)


def _height(scene: _Scene) -> float:
    """Of the projections side by side, in inches."""
    extent = scene.spacing * scene.voxels.shape
    width = sum(extent[right] for _, _, right in scene.projections)
    height = _WIDTH * max(extent[down] for _, down, _ in scene.projections) / width
    return float(np.clip(height, _LEAST_HEIGHT, _MOST_HEIGHT))


def _draw_projections(part: FigureBase, scene: _Scene) -> Iterator[tuple[Axes, int, int, int]]:
    """Maximum projections side by side, and the axes of the image that each shows; see `_Scene.projections`."""
    extent = scene.spacing * scene.voxels.shape
    views = scene.projections
    row = part.subplots(1, len(views), squeeze=False, width_ratios=[extent[right] for _, _, right in views])[0]
    for axes, (along, down, right) in zip(row, views, strict=True):
        show_plane(axes, scene.projection(along), "zyx"[down] + "zyx"[right], scene.spacing[[down, right]])
        yield axes, along, down, right


def _draw_slice(axes: Axes, scene: _Scene, case: LandmarkCase, n: int) -> None:
    """The surroundings of a landmark in the slice through it that shows most of its error."""
    place = _place(scene, n)
    step = np.nan_to_num(scene.found[n] - place)  # none where nothing was found
    lengths = np.abs(step * scene.spacing)
    along = int(lengths.argmin()) if scene.voxels.shape[0] > 1 else 0
    down, right = (axis for axis in range(3) if axis != along)
    number = int(np.clip(np.rint(place[along]), 0, scene.voxels.shape[along] - 1))
    pixel = scene.spacing[[down, right]]
    show_plane(axes, np.nan_to_num(scene.voxels.take(number, axis=along)), "zyx"[down] + "zyx"[right], pixel)
    extent = scene.spacing * scene.voxels.shape
    around = max(_AROUND * float(np.linalg.norm(lengths)), _LEAST_AROUND * float(extent.max()))
    centre = (place + step / 2)[[down, right]]
    axes.set_ylim(*(centre[0] + np.array([1, -1]) * around / pixel[0]))
    axes.set_xlim(*(centre[1] + np.array([-1, 1]) * around / pixel[1]))
    axes.set_facecolor("black")  # what lies beyond the image
    chosen = [n]
    mark_points(axes, scene.truth[chosen][:, [down, right]], scene.found[chosen][:, [down, right]], 12.0)
    title = case.landmarks[n]
    error = float(case.errors(in_unit=case.unit is not None)[n])
    if not np.isnan(error):
        title += ": not found" if np.isinf(error) else f": {error:.3g} {case.unit or 'voxels'} away"
    if scene.voxels.shape[0] > 1:
        title += f", {'zyx'[along]} = {number}"
    axes.set_title(title, color=INK, fontsize=10)


def _place(scene: _Scene, n: int) -> Floats:
    """Where a landmark is, or else where it was found."""
    return scene.truth[n] if np.isfinite(scene.truth[n]).all() else scene.found[n]


def _laid_over(picture: NDArray[np.uint8], heat: NDArray) -> NDArray[np.uint8]:
    """Heat, 0 to 1, over a picture H W 3: the hotter, the less of the picture."""
    colours = colormaps["inferno"](heat)[..., :3] * 255
    strength = 0.8 * np.sqrt(heat)[..., None]
    return np.rint(picture * (1 - strength) + colours * strength).astype(np.uint8)
