"""Mirrored and turned views of windows, and the way back for voxels and components."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch

from ..geometry import Kind, did_you_mean

AXES = ("z", "y", "x")
PLANES = ("zy", "zx", "yx")


@dataclass(frozen=True)
class View:
    """A mirroring, a turn by right angles, or both: voxels change places, and none is interpolated.

    Args:
        order: for each axis of the view the window's axis that it shows, counted from 0 (z in 3D).
        signs: for each axis of the view -1 where it runs backwards, else 1.
    """

    order: tuple[int, ...]
    signs: tuple[int, ...]

    def show(self, windows: torch.Tensor) -> torch.Tensor:
        """The windows as this view shows them, B C D H W -> B C D H W; a copy."""
        return windows.permute(0, 1, *(axis + 2 for axis in self.order)).flip(self._backwards)

    def undo(self, output: torch.Tensor, kind: Kind, spacing: Sequence[float]) -> torch.Tensor:
        """What was predicted for this view, as it belongs to the windows.

        Components of `normal` and `vector` are along the view's axes, which the network reads at the nominal spacing.
        With M (view's index -> window's index) and S = diag(spacing) they were n' = S^-1 M^T S n and
        v' = S M^-1 S^-1 v, as in `scripts.geometry.vectors`. Both ways back take each component from one other and
        scale it. Normals keep the length that the network gave them.

        Args:
            output: B K D H W, floating point; K = number of axes for `normal` and `vector`.
            kind: of the target.
            spacing: one length per axis.

        Returns:
            B K D H W; a copy.
        """
        voxels = output.flip(self._backwards).permute(0, 1, *(axis + 2 for axis in self._inverse_order))
        return self._undo_components(voxels, kind, spacing) if kind.is_directional else voxels

    def then(self, view: View) -> View:
        """This view, and another of what it shows."""
        return View(
            tuple(self.order[axis] for axis in view.order),
            tuple(sign * self.signs[axis] for sign, axis in zip(view.signs, view.order, strict=True)),
        )

    def _undo_components(self, values: torch.Tensor, kind: Kind, spacing: Sequence[float]) -> torch.Tensor:
        order = self._inverse_order
        ratios = [spacing[axis] / length for axis, length in zip(order, spacing, strict=True)]
        stretch = ratios if kind is Kind.NORMAL else [1 / ratio for ratio in ratios]
        factors = [self.signs[axis] * factor for axis, factor in zip(order, stretch, strict=True)]
        # no matrix product, which mixed precision would round, and no tensor of factors, for which a GPU would wait
        turned = torch.stack([values[:, axis] * factor for axis, factor in zip(order, factors, strict=True)], dim=1)
        if kind is Kind.NORMAL and any(ratio != 1 for ratio in ratios):
            turned = turned * (_length(values) / _length(turned).clamp(min=torch.finfo(values.dtype).tiny))
        return turned

    @property
    def _backwards(self) -> list[int]:
        """Axes of B C D H W that are reversed in the view."""
        return [axis + 2 for axis, sign in enumerate(self.signs) if sign < 0]

    @property
    def _inverse_order(self) -> tuple[int, ...]:
        """For each axis of the window the view's axis that shows it."""
        return tuple(self.order.index(axis) for axis in range(len(self.order)))


@lru_cache
def list_views(
    mirror_axes: tuple[str, ...] = (), rotation_planes: tuple[str, ...] = (), spatial_dims: int = 3
) -> tuple[View, ...]:
    """All distinct views that mirrorings and quarter turns make, one after the other in any order.

    Args:
        mirror_axes: of "z", "y", "x"; in 2D of "y", "x".
        rotation_planes: of "zy", "zx", "yx"; in 2D "yx".
        spatial_dims: 2 or 3.

    Returns:
        the view that changes nothing, then the others in a fixed order: 2, 4 or 8 for one, two or three mirrored axes,
        4 for one plane, 24 for two planes or three, 48 for these with any mirrored axis. One plane takes 8 with
        either of its axes mirrored or with the third, 16 with one of its axes and the third.

    Raises:
        ValueError: for an axis or plane that there is not.
    """
    axes = AXES[-spatial_dims:]
    planes = tuple(plane for plane in PLANES if set(plane) <= set(axes))
    check_names("mirror_axes", mirror_axes, axes)
    check_names("rotation_planes", rotation_planes, planes)
    unchanged = View(tuple(range(spatial_dims)), (1,) * spatial_dims)
    steps = [_mirrored(unchanged, axes.index(axis)) for axis in mirror_axes]
    steps += [_quarter_turn(unchanged, axes.index(plane[0]), axes.index(plane[1])) for plane in rotation_planes]
    found = {unchanged}
    latest = found
    while latest:
        latest = {view.then(step) for view in latest for step in steps} - found
        found = found | latest
    return tuple(sorted(found, key=lambda view: (view.order, [-sign for sign in view.signs])))


def check_names(option: str, given: Iterable[str], known: Sequence[str]) -> None:
    """Raise a ValueError where names of axes or planes are not among those known."""
    for name in given:
        if name not in known:
            raise ValueError(
                f"{option} must be a list of names out of {', '.join(known)}; got {name!r}{did_you_mean(name, known)}"
            )


def _length(vectors: torch.Tensor) -> torch.Tensor:
    """B K D H W -> B 1 D H W."""
    return vectors.square().sum(dim=1, keepdim=True).sqrt()  # `norm` over this axis is 60 times slower on a CPU


def check_square(planes: Iterable[str], size: Sequence[int]) -> None:
    """Raise a ValueError for windows z, y, x (2D: y, x) with unequal edges in a plane in which they are turned."""
    axes = AXES[-len(size) :]
    for plane in planes:
        edges = {size[axes.index(axis)] for axis in plane if axis in axes}
        if len(edges) > 1:
            raise ValueError(
                f"windows that are turned by 90 degrees in the plane {plane} need equal edges there; got "
                f"{list(size)} ({', '.join(axes)}). Choose another window, or leave {plane} out of rotation_planes"
            )


def _mirrored(view: View, axis: int) -> View:
    signs = list(view.signs)
    signs[axis] = -signs[axis]
    return View(view.order, tuple(signs))


def _quarter_turn(view: View, first: int, second: int) -> View:
    order = list(view.order)
    order[first], order[second] = order[second], order[first]
    return _mirrored(View(tuple(order), view.signs), first)
