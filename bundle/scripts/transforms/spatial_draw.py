"""What a random change of space does to one patch: drawn apart from applying it, before the patch is read."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from monai.transforms import Randomizable, Transform

from ..geometry.affines import check_spacing
from ..geometry.elastic import MOST_DISPLACEMENT, control_shape
from ..geometry.rotations import turn_and_scale
from ..volumes import STORED_AXES, to_view
from .drawing import check_probability, check_range

SPATIAL_KEY = "spatial"
"""Key of a datum or sample under which a `SpatialDraw` waits for `ApplySpatiald`."""

Box = tuple[tuple[int, ...], tuple[int, ...]]
"""Start and size in voxels, z y x."""

_ROUNDING = 1e-6


@dataclass(frozen=True)
class SpatialDraw:
    """A rotation, a scaling and an elastic deformation, all about the centre of a patch.

    Voxel i of the new array is read at M (i + u(i)) + t: u deforms the new grid, M scales and turns it.

    Args:
        angles: degrees about z, y, x (see `scripts.geometry.rotations`); in 2D the first counts.
        factors: length of a step on the new grid along z, y, x, in old ones; 2D takes the last two.
        elastic_spacing: distance between control points, in edges of the smallest voxel.
        elastic_displacement: largest displacement of a control point along an axis, same unit; 0: no deformation.
        elastic_axes: axes along which control points move, of z, y, x.
        elastic_seed: of the control points.
        patch: the patch that the sample is to become; `None`: the array as it is.
        box: what is read of the volume for it.
    """

    angles: tuple[float, float, float] = (0.0, 0.0, 0.0)
    factors: tuple[float, float, float] = (1.0, 1.0, 1.0)
    elastic_spacing: float = 16.0
    elastic_displacement: float = 0.0
    elastic_axes: tuple[bool, bool, bool] = (True, True, True)
    elastic_seed: int = 0
    patch: Box | None = None
    box: Box | None = None

    def linear(self, spacing: Sequence[float]) -> torch.Tensor:
        """Matrix D x D from the new array's index to the old one's, without the deformation; float64."""
        dims = len(spacing)
        return turn_and_scale(self.angles if dims == 3 else self.angles[:1], self.factors[-dims:], spacing)

    def coefficients(self, size: Sequence[int], spacing: Sequence[float]) -> torch.Tensor | None:
        """Displacements of the control points of u, D followed by their numbers, in voxels; `None` without any.

        Args:
            size: spatial shape of the new array.
            spacing: physical size of a voxel.
        """
        if not self.elastic_displacement:
            return None
        lengths = np.multiply(size, spacing) / min(spacing)  # in edges of the smallest voxel
        intervals = np.maximum(lengths // self.elastic_spacing, 1).astype(int)
        drawn = np.random.RandomState(self.elastic_seed).uniform(-1, 1, (len(size), *control_shape(intervals.tolist())))
        # along a thin axis there is one interval, which may be shorter than asked for
        most = np.minimum(self.elastic_displacement, MOST_DISPLACEMENT * lengths / intervals)
        most = most * min(spacing) / np.asarray(spacing) * self.elastic_axes[-len(size) :]
        return torch.from_numpy(drawn * most.reshape(-1, *[1] * len(size))).float()

    def box_of(
        self,
        start: Sequence[int],
        size: Sequence[int],
        spacing: Sequence[float],
        max_enlargement: float,
        bounds: Sequence[Sequence[int]] | None = None,
    ) -> Box:
        """Smallest box of voxels that the patch at `start` is read from.

        Args:
            start: of the patch, voxels.
            size: of the patch, voxels.
            spacing: physical size of a voxel.
            max_enlargement: the box is at most so many times as long as the patch along each axis.
            bounds: first voxel, and the one after the last, that may be read.
        """
        last = np.subtract(size, 1)
        centre = np.add(start, last / 2)
        displaced = self.elastic_displacement * min(spacing) / np.asarray(spacing) * self.elastic_axes[-len(size) :]
        reach = np.abs(self.linear(spacing).numpy()) @ (last / 2 + displaced)
        reach = np.minimum(reach, (max_enlargement * np.asarray(size) - 1) / 2)
        low = np.floor(centre - reach + _ROUNDING)
        high = np.ceil(centre + reach - _ROUNDING) + 1
        if bounds is not None:
            low, high = np.maximum(low, bounds[0]), np.minimum(high, bounds[1])
            high = np.maximum(high, low + 1)
        return _whole(low), _whole(high - low)

    def inside(self, shape: Sequence[int]) -> SpatialDraw:
        """The same for a box that ends where a volume of this shape does."""
        if self.box is None:
            return self
        start, size = self.box
        low = np.clip(start, 0, np.subtract(shape, 1))
        high = np.clip(np.add(start, size), low + 1, shape)
        return replace(self, box=(_whole(low), _whole(high - low)))


class RandSpatialDraw(Randomizable):
    """Draw rotation, scaling and elastic deformation, each with a probability of its own.

    The defaults are nnU-Net's: about each axis an angle between -30 and 30 degrees, one factor for all axes between 0.7
    and 1.4, both drawn evenly, and no deformation. A factor is the length of a step: above 1 things appear smaller.
    Rotation and scaling are physical: with voxels of unequal edges a sphere stays a sphere.

    Args:
        prob_rotation: probability of a rotation.
        rotation: largest angle in degrees to each side, one for all axes or one for each of z, y, x.
        prob_scaling: probability of a scaling.
        scaling: smallest and largest factor.
        prob_elastic: probability of an elastic deformation.
        elastic_spacing: distance between its control points, in edges of the smallest voxel.
        elastic_displacement: range from which the largest displacement of a control point along an axis is drawn, in
            the same unit; control points then move evenly up to it to each side.
        in_plane: leave z alone: rotate about z, scale and deform along y and x. nnU-Net does so where a patch is more
            than three times as wide as it is deep, and rotates by up to 180 degrees.

    Raises:
        ValueError: when an argument is out of range.
    """

    def __init__(
        self,
        prob_rotation: float = 0.2,
        rotation: float | Sequence[float] = 30.0,
        prob_scaling: float = 0.2,
        scaling: Sequence[float] = (0.7, 1.4),
        prob_elastic: float = 0.0,
        elastic_spacing: float = 16.0,
        elastic_displacement: Sequence[float] = (0.0, 4.0),
        in_plane: bool = False,
    ) -> None:
        super().__init__()
        self.probabilities = {
            name: check_probability(f"prob_{name}", value)
            for name, value in (("rotation", prob_rotation), ("scaling", prob_scaling), ("elastic", prob_elastic))
        }
        self.rotation = _angles(rotation, in_plane)
        self.scaling = check_range("scaling", scaling, 0, is_open=True)
        if not 0 < elastic_spacing < math.inf:
            raise ValueError(f"elastic_spacing must be a distance above 0; got {elastic_spacing!r}")
        self.elastic_spacing = float(elastic_spacing)
        self.elastic_displacement = check_range("elastic_displacement", elastic_displacement, 0)
        if self.elastic_displacement[1] > MOST_DISPLACEMENT * elastic_spacing:
            raise ValueError(
                f"elastic_displacement must be at most {MOST_DISPLACEMENT} x elastic_spacing = "
                f"{MOST_DISPLACEMENT * elastic_spacing:g}, beyond which space folds; got {elastic_displacement!r}"
            )
        self.in_plane = in_plane
        self.drawn: SpatialDraw | None = None

    def randomize(self, data: Any = None) -> None:
        """Draw; `drawn` is `None` where space stays as it is. The number of draws is always the same."""
        does = dict(zip(self.probabilities, self.R.random(3) < list(self.probabilities.values()), strict=True))
        angles = self.R.uniform(-1, 1, 3) * self.rotation
        factor = self.R.uniform(*self.scaling)
        displaced = self.R.uniform(*self.elastic_displacement)
        seed = int(self.R.randint(2**31))
        self.drawn = None
        if not any(does.values()):
            return
        factor = float(factor) if does["scaling"] else 1.0
        self.drawn = SpatialDraw(
            angles=_three(angles) if does["rotation"] else (0.0, 0.0, 0.0),
            factors=(1.0 if self.in_plane else factor, factor, factor),
            elastic_spacing=self.elastic_spacing,
            elastic_displacement=float(displaced) if does["elastic"] else 0.0,
            elastic_axes=(not self.in_plane, True, True),
            elastic_seed=seed,
        )


class RandSpatialDrawd(RandSpatialDraw, Transform):
    """Draw a change of space for a datum or a sample; `ApplySpatiald` carries it out.

    Before `LoadZarrPatchd` (and after `RandPatchStartd`) it makes the datum's box as large as the turned and stretched
    patch needs, so that no corner is empty; with a factor below 1 the box is smaller than the patch. On a sample that
    is loaded it only draws, and what comes from outside the patch is unknown.

    A datum may hold `bounds` [[z, y, x], [z, y, x]]: the first voxel, and the one after the last, that may be read.
    What lies beyond is unknown.

    Args:
        prob_rotation, rotation, prob_scaling, scaling: see `RandSpatialDraw`.
        prob_elastic, elastic_spacing, elastic_displacement, in_plane: see `RandSpatialDraw`.
        spacing: voxel size z, y, x of the volumes, from which the box follows; a datum's own `spacing` goes before it.
            `None`: equal edges. The rotation itself goes by the spacing of the array that was read.
        max_enlargement: most times by which a box is longer than the patch along an axis, at least 1.

    Raises:
        ValueError: when an argument is out of range.
    """

    def __init__(
        self,
        prob_rotation: float = 0.2,
        rotation: float | Sequence[float] = 30.0,
        prob_scaling: float = 0.2,
        scaling: Sequence[float] = (0.7, 1.4),
        prob_elastic: float = 0.0,
        elastic_spacing: float = 16.0,
        elastic_displacement: Sequence[float] = (0.0, 4.0),
        in_plane: bool = False,
        spacing: Sequence[float] | None = None,
        max_enlargement: float = 2.0,
    ) -> None:
        super().__init__(
            prob_rotation, rotation, prob_scaling, scaling,
            prob_elastic, elastic_spacing, elastic_displacement, in_plane,
        )  # fmt: skip
        self.spacing = (1.0, 1.0, 1.0) if spacing is None else check_spacing(spacing, 3)
        if not 1 <= max_enlargement < math.inf:
            raise ValueError(f"max_enlargement must be a number of at least 1; got {max_enlargement!r}")
        self.max_enlargement = float(max_enlargement)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """
        Args:
            data: a datum with `start` and `size`, z y x, or a sample that is loaded.
        """
        sample = dict(data)
        bounds = sample.pop("bounds", None)
        self.randomize()
        if self.drawn is None:
            return sample
        sample[SPATIAL_KEY] = draw = self.placed(self.drawn, sample, bounds)
        if draw.box is not None:
            sample["start"], sample["size"] = (list(values) for values in draw.box)
        return sample

    def placed(
        self, draw: SpatialDraw, data: Mapping[Hashable, Any], bounds: Sequence[Sequence[int]] | None
    ) -> SpatialDraw:
        """The draw with the patch of a datum, and the box that is read for it; as it is for a sample that is loaded."""
        if "start" not in data or "size" not in data:
            return draw
        patch = _whole(data["start"]), _whole(data["size"])
        own = data.get("spacing")  # along the datum's own axes
        spacing = to_view(self.spacing, data.get("axes") or STORED_AXES) if own is None else check_spacing(own, 3)
        return replace(draw, patch=patch, box=draw.box_of(*patch, spacing, self.max_enlargement, bounds))


def _angles(rotation: float | Sequence[float], in_plane: bool) -> np.ndarray:
    values = [float(n) for n in rotation] if isinstance(rotation, Sequence) else [float(rotation)] * 3
    if len(values) != 3 or not all(0 <= angle <= 180 for angle in values):
        raise ValueError(
            f"rotation must be an angle from 0 to 180 degrees, or one for each of z, y, x; got {rotation!r}"
        )
    if in_plane and isinstance(rotation, Sequence) and any(values[1:]):
        raise ValueError(f"in_plane rotates about z alone, so the other angles must be 0; got {rotation!r}")
    return np.array([values[0], 0.0, 0.0]) if in_plane else np.array(values)


def _whole(values: Any) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def _three(values: Any) -> tuple[float, float, float]:
    z, y, x = (float(value) for value in values)
    return z, y, x
