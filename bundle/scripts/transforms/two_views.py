"""Two views of one patch, augmented independently, and the same points in both."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import (
    Compose,
    GridDistortiond,
    Rand2DElasticd,
    Rand3DElasticd,
    RandGridDistortiond,
    Randomizable,
    RandSmoothDeformd,
    Transform,
)

from ..geometry import IMAGE_KEY
from ..geometry.affines import require_meta_tensor
from ..geometry.point_maps import move_points, unwarp_points
from ..geometry.view_keys import POINT_KEYS, VIEW_KEYS
from .random_spatial import RandSpatiald
from .spatial import IMAGE_KIND, ApplySpatiald, SpatialModes, apply_spatial, spacing_of, with_type_of
from .spatial_draw import SPATIAL_KEY, SpatialDraw
from .two_draws import TwoSpatialDraws

_MOST_ROUNDS = 10
_ROUNDING = 1e-4  # voxels
_SEEDS = 2**31
_WITHOUT_AFFINE = (
    ApplySpatiald, RandSpatiald,
    GridDistortiond, RandGridDistortiond, Rand2DElasticd, Rand3DElasticd, RandSmoothDeformd,
)  # fmt: skip


def points_in_view(
    points: torch.Tensor, draw: SpatialDraw, size: Sequence[int], spacing: Sequence[float]
) -> torch.Tensor:
    """Indices of points in what a draw makes of a patch.

    Args:
        points: N D, indices in the patch.
        draw: what was done with the patch.
        size: spatial shape of the patch.
        spacing: physical size of a voxel.

    Returns:
        N D, float64; NaN where the deformation cannot be inverted.
    """
    linear = draw.linear(spacing)
    half = (torch.tensor(size, dtype=torch.float64) - 1) / 2
    return unwarp_points(points, linear, half - linear @ half, draw.coefficients(size, spacing), size)


@dataclass(frozen=True)
class _View:
    """How a patch became a view.

    Args:
        draw: rotation, scaling and deformation; `None`: none.
        spacing: of the patch.
        size: of the patch, voxels.
        drawn_affine: of the patch after the draw.
        image: the view, C D H W.
    """

    draw: SpatialDraw | None
    spacing: tuple[float, ...]
    size: tuple[int, ...]
    drawn_affine: torch.Tensor
    image: MetaTensor

    def carry(self, points: torch.Tensor) -> torch.Tensor:
        """Indices in the view of points in the patch, N D; NaN where the view does not show them."""
        drawn = points if self.draw is None else points_in_view(points, self.draw, self.size, self.spacing)
        return within(move_points(drawn, self.drawn_affine, self.image.affine), self.image.shape[1:])


def within(points: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Points N D between the outermost voxel centres of an array; NaN in place of others."""
    last = torch.tensor(size, dtype=points.dtype) - 1
    is_inside = ((points >= -_ROUNDING) & (points <= last + _ROUNDING)).all(dim=1, keepdim=True)
    return torch.where(is_inside, torch.minimum(points.clamp(min=0), last), torch.nan)


class TwoViewsd(Randomizable, Transform):
    """Make two views of a patch, each augmented by itself, and points that are the same places in both.

    The sample gets `view_1` and `view_2`, C D H W each, and `points_1` and `points_2`, n 3 (2D: n 2) float32: indices
    z, y, x in each view, where centres of voxels are whole numbers. Row i is one physical point in both. The image is
    removed, since its box differs from sample to sample.

    Points are drawn evenly between the outermost voxel centres of the patch, and again in place of those that either
    view does not show or the volume does not hold, in at most 10 rounds. Where fewer than n are found by then, the
    last rows are NaN: absent.

    Rotation, scaling and elastic deformation are those that `RandTwoSpatialDrawsd` has drawn; without a draw both views
    start as the patch. What `augment` does to space is followed by the affine, so that any stock flip, 90-degree
    rotation, affine or zoom may be there, but no elastic deformation.

    Args:
        augment: random transforms of dictionaries, MONAI's or the bundle's, for `key`; each view has draws of its own.
        n_points: number of points n.
        point_density: points per voxel of the patch, instead.
        key: of the image.
        image_mode, outside: see `SpatialModes`.

    Raises:
        ValueError: unless one of `n_points` and `point_density` is given, above 0; for a mode that does not exist; and
            for a transform in `augment` that deforms space in a way that no affine tells.
    """

    def __init__(
        self,
        augment: Sequence[Callable[..., Any]] = (),
        n_points: int | None = None,
        point_density: float | None = None,
        key: str = IMAGE_KEY,
        image_mode: str = "linear",
        outside: str = "border",
    ) -> None:
        is_count = isinstance(n_points, int) and n_points > 0 and point_density is None
        is_density = n_points is None and point_density is not None and point_density > 0
        if not (is_count or is_density):
            raise ValueError(
                "give n_points, a whole number above 0, or else point_density, points per voxel of the patch; got "
                f"n_points = {n_points!r}, point_density = {point_density!r}"
            )
        if unfit := [type(one).__name__ for one in _flat(augment) if isinstance(one, _WITHOUT_AFFINE)]:
            raise ValueError(
                f"augment: {', '.join(unfit)} deforms space in a way that the affine does not tell, so that points "
                "would be lost; RandTwoSpatialDrawsd, before LoadZarrPatchd, draws turns, scalings and deformations"
            )
        self.augment = Compose(list(augment))
        self.n_points = n_points
        self.point_density = point_density
        self.key = key
        self.modes = SpatialModes(image_mode, outside=outside)
        self._seeds = (0, 0, 0)

    def randomize(self, data: Any = None) -> None:
        """Draw seeds: of the points, and of each view's transforms."""
        first, second, points = self.R.randint(_SEEDS, size=3).tolist()
        self._seeds = (first, second, points)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """
        Args:
            data: a loaded sample with the image, C D H W (or C H W), and perhaps `TwoSpatialDraws`.

        Raises:
            TypeError: when the image carries no affine.
            ValueError: when the views share no point; names the patch and what to change.
        """
        sample = dict(data)
        image = sample.pop(self.key)
        require_meta_tensor(image, self.key)
        image = cast(MetaTensor, with_type_of(IMAGE_KIND, image))
        draws = sample.pop(SPATIAL_KEY, None)
        if not isinstance(draws, TwoSpatialDraws | None):
            raise ValueError(
                "the sample holds one draw, that of RandSpatialDrawd; two views need RandTwoSpatialDrawsd in its place"
            )
        if draws is not None and draws.patch is not None and "patch" in sample:
            start, size = (np.asarray(values) for values in draws.patch)
            sample["patch"] = {**sample["patch"], "start": start, "size": size}
        self.randomize()
        views = [
            self._view(image, draw, seed)
            for draw, seed in zip((None, None) if draws is None else draws, self._seeds, strict=False)
        ]
        sample |= zip(VIEW_KEYS, (view.image for view in views), strict=True)
        points = self._points(views, None if draws is None else draws.first)
        if points is None:
            raise ValueError(
                f"{image.meta.get('filename_or_obj', self.key)}, patch {_placed(sample.get('patch'), views[0].size)}: "
                "its two views share no point. Turn, stretch and deform less in RandTwoSpatialDrawsd (a patch of one "
                "slice needs in_plane: true), and crop less in 'augment'"
            )
        sample |= zip(POINT_KEYS, points, strict=True)
        return sample

    def _view(self, image: MetaTensor, draw: SpatialDraw | None, seed: int) -> _View:
        size = tuple(image.shape[1:]) if draw is None or draw.patch is None else draw.patch[1]
        drawn: Any = image.clone() if draw is None else apply_spatial([image], [IMAGE_KIND], draw, self.modes)[0]
        affine = drawn.affine.clone()
        augmented = self.augment.set_random_state(seed=seed)({self.key: drawn})[self.key]
        require_meta_tensor(augmented, self.key)
        return _View(draw, spacing_of(image), size, affine, augmented)

    def _points(self, views: Sequence[_View], draw: SpatialDraw | None) -> list[torch.Tensor] | None:
        """The same points in each view, n D; `None` where there is none."""
        size = np.array(views[0].size)
        n = self.n_points or max(1, round((self.point_density or 0) * int(size.prod())))
        random = np.random.RandomState(self._seeds[-1])
        found = torch.full((len(views), n, len(size)), torch.nan)
        n_found = 0
        for _ in range(_MOST_ROUNDS):
            points = torch.from_numpy(random.uniform(size=(n, len(size))) * (size - 1))
            points = points[_are_present(_read(points, draw))]
            first = views[0].carry(points)
            shown = _are_present(first)
            second = views[1].carry(points[shown])
            in_both = _are_present(second)
            pairs = torch.stack([first[shown][in_both], second[in_both]])[:, : n - n_found].float()  # 2 M D
            found[:, n_found : n_found + pairs.shape[1]] = pairs
            n_found += pairs.shape[1]
            if n_found == n:
                break
        return list(found) if n_found else None


def _are_present(points: torch.Tensor) -> torch.Tensor:
    return torch.isfinite(points).all(dim=1)


def _read(points: torch.Tensor, draw: SpatialDraw | None) -> torch.Tensor:
    """Points N D of a patch; NaN in place of those outside the box that was read for it, as the volume ends there."""
    if draw is None or draw.patch is None or draw.box is None:
        return points
    margin = torch.tensor(np.subtract(draw.patch[0], draw.box[0]))
    return within(points + margin, draw.box[1])


def _placed(patch: Mapping[str, Any] | None, size: Sequence[int]) -> str:
    """Where a patch lies, for an error."""
    start = f"at {np.asarray(patch['start']).tolist()} " if patch is not None else ""
    return f"{start}of size {list(size)}"


def _flat(transforms: Sequence[Any]) -> Iterator[Any]:
    """Transforms, and those within others."""
    for one in transforms:
        yield one
        yield from _flat(getattr(one, "transforms", ()))
