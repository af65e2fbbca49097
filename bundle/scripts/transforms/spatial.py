"""Rotation, scaling and elastic deformation of all keys of a sample in one sampling."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor, get_track_meta
from monai.transforms import MapTransform
from monai.utils import convert_to_tensor

from ..geometry import IMAGE_KEY, MASK_KEY, UNKNOWN_LABEL, Kind, parse_targets, stored_kinds
from ..geometry.affines import NOMINAL_SPACING, ORIGINAL_AFFINE, REFERENCE_AFFINE, affine_spacing, nominal_spacing
from ..geometry.elastic import displacement, displacement_gradient, warp_normals, warp_vectors
from ..geometry.sampling import IndexMap, Reading, resample
from .labels import check_choice
from .meta import meta_tensor, moved_affine, moved_meta
from .spatial_draw import SPATIAL_KEY, SpatialDraw

IMAGE_MODES = ("nearest", "linear", "cubic")
LABEL_MODES = ("nearest", "one_hot")
OUTSIDE = ("border", "zero")

IMAGE_KIND, MASK_KIND = "image", "mask"


@dataclass(frozen=True)
class SpatialModes:
    """How arrays of each kind are read at new places.

    - Images: `image_mode`; outside they continue their border, or are zero.
    - Labels: from the nearest voxel, or `"one_hot"`: the label with the largest interpolated share, which gives
      smoother borders and takes time for each label in the patch. -1 outside.
    - Masks: from the nearest voxel. 0 outside.
    - Scalars, vectors and normals: linear. NaN outside. Where the nearest normal is zero (none there), there is none.

    Unknown voxels stay unknown and are not mixed with others.

    Args:
        image_mode: `"nearest"`, `"linear"` or `"cubic"`.
        label_mode: `"nearest"` or `"one_hot"`.
        outside: `"border"` or `"zero"`, for images.

    Raises:
        ValueError: when one is neither.
    """

    image_mode: str = "linear"
    label_mode: str = "nearest"
    outside: str = "border"

    def __post_init__(self) -> None:
        check_choice("image_mode", self.image_mode, IMAGE_MODES)
        check_choice("label_mode", self.label_mode, LABEL_MODES)
        check_choice("outside", self.outside, OUTSIDE)

    def reading(self, values: torch.Tensor, kind: str) -> Reading:
        """How an array C D H W of a kind (or `image`, `mask`) is read."""
        if kind == IMAGE_KIND:
            return Reading(values, self.image_mode, 0.0 if self.outside == "zero" else None)
        if kind == MASK_KIND:
            return Reading(values, "nearest", 0)
        if kind == Kind.LABEL:
            return Reading(values, self.label_mode, UNKNOWN_LABEL)
        if kind == Kind.POINTS:
            return Reading(values, "nearest", torch.nan if values.is_floating_point() else UNKNOWN_LABEL)
        return Reading(values, "linear", torch.nan, keep_zero=kind == Kind.NORMAL)


def apply_spatial(
    arrays: Sequence[torch.Tensor], kinds: Sequence[str], draw: SpatialDraw, modes: SpatialModes
) -> list[torch.Tensor]:
    """Move arrays that share a grid by one draw, in one sampling.

    The affine of a MetaTensor follows rotation and scaling, so that `ReorientVectorsd` turns components by them. The
    elastic deformation has no affine: components of normals and vectors are turned here by its Jacobian. Where the draw
    enlarged the box that was read, the result is the patch, and the meta says so.

    Args:
        arrays: C D H W or C H W each.
        kinds: `image`, `mask` or a `Kind` for each.
        draw: what is done.
        modes: how values are read.

    Returns:
        the moved arrays; labels keep their integer type, everything else is float32.

    Raises:
        ValueError: when the arrays are not those that the draw was made for.
    """
    shape = tuple(arrays[0].shape[1:])
    if draw.box is not None and shape != draw.box[1]:
        raise ValueError(
            f"the patch has shape {shape}, but the draw was made for {draw.box[1]}: ApplySpatiald must stand after "
            "LoadZarrPatchd, before anything that changes the shape"
        )
    spacing = spacing_of(arrays[0])
    size = shape if draw.patch is None else draw.patch[1]
    margin = torch.zeros(len(shape), dtype=torch.float64)
    if draw.patch is not None and draw.box is not None:
        margin += torch.tensor(np.subtract(draw.patch[0], draw.box[0]))
    half = (torch.tensor(size, dtype=torch.float64) - 1) / 2
    linear = draw.linear(spacing)
    offset = margin + half - linear @ half
    coefficients = draw.coefficients(size, spacing)
    shift = jacobian = None
    if coefficients is not None:
        moves = torch.einsum("ab,b...->a...", linear.float(), coefficients).to(arrays[0].device)  # in old voxels
        shift = displacement(moves, size)
        if any(kind in (Kind.NORMAL, Kind.VECTOR) for kind in kinds):
            jacobian = _warp_jacobian(moves, size, linear)
    plain = [array.as_tensor() if isinstance(array, MetaTensor) else array for array in arrays]
    readings = [modes.reading(values, kind) for values, kind in zip(plain, kinds, strict=True)]
    moved = resample(readings, IndexMap(linear, offset, size, shift))
    if jacobian is not None:
        warps = {Kind.NORMAL: warp_normals, Kind.VECTOR: warp_vectors}
        moved = [
            warps[Kind(kind)](values, jacobian, spacing) if kind in (Kind.NORMAL, Kind.VECTOR) else values
            for values, kind in zip(moved, kinds, strict=True)
        ]
    return [_placed(values, source, linear, offset, margin, draw) for values, source in zip(moved, arrays, strict=True)]


class ApplySpatiald(MapTransform):
    """Carry out the draw of `RandSpatialDrawd` on all keys; stands before all other spatial transforms.

    Of a sample without a draw nothing is resampled. In any case labels get a type that can hold -1, and images,
    scalars, vectors and normals become float32.

    Args:
        keys: keys of arrays that share a grid.
        targets: the `targets` table, which says what kind each key is. Of keys that it does not name, `mask` is a mask,
            arrays of integers are labels, and others images.
        image_mode, label_mode, outside: see `SpatialModes`.
        allow_missing_keys: whether a sample may lack a key.

    Raises:
        ValueError: for a mode that does not exist.
    """

    def __init__(
        self,
        keys: KeysCollection,
        targets: Mapping[str, Any] | None = None,
        image_mode: str = "linear",
        label_mode: str = "nearest",
        outside: str = "border",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.kinds = {key: str(kind) for key, kind in stored_kinds(targets).items()} if targets else {}
        masks = [row.mask for row in parse_targets(targets).values() if row.mask is not None] if targets else []
        self.kinds |= {MASK_KEY: MASK_KIND, IMAGE_KEY: IMAGE_KIND} | dict.fromkeys(masks, MASK_KIND)
        self.modes = SpatialModes(image_mode, label_mode, outside)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """
        Args:
            data: arrays C D H W (or C H W), and perhaps a draw.

        Raises:
            ValueError: when the arrays are not those that the draw was made for.
        """
        sample = dict(data)
        draw = sample.pop(SPATIAL_KEY, None)
        if not isinstance(draw, SpatialDraw | None):
            raise ValueError(f"expected one draw, that of RandSpatialDrawd; got {type(draw).__name__}, for TwoViewsd")
        keys = list(self.key_iterator(sample))
        arrays = [torch.as_tensor(convert_to_tensor(sample[key], track_meta=get_track_meta())) for key in keys]
        kinds = [self._kind(key, array) for key, array in zip(keys, arrays, strict=True)]
        arrays = [with_type_of(kind, array) for kind, array in zip(kinds, arrays, strict=True)]
        if draw is not None and keys:
            arrays = apply_spatial(arrays, kinds, draw, self.modes)
        sample |= zip(keys, arrays, strict=True)
        if draw is not None and draw.patch is not None and "patch" in sample:
            start, size = (np.asarray(values) for values in draw.patch)
            sample["patch"] = {**sample["patch"], "start": start, "size": size}
        return sample

    def _kind(self, key: Hashable, array: torch.Tensor) -> str:
        return self.kinds.get(str(key), IMAGE_KIND if array.is_floating_point() else str(Kind.LABEL))


def with_type_of(kind: str, array: torch.Tensor) -> torch.Tensor:
    """An array in the type that it has after sampling: what is mixed is float32, what is not can hold -1."""
    if kind not in (MASK_KIND, Kind.LABEL, Kind.POINTS):
        return array if array.dtype == torch.float32 else array.float()
    if array.dtype.is_signed:  # floating point, too
        return array
    return array.to(torch.int32 if array.dtype in (torch.bool, torch.uint8) else torch.int64)


def spacing_of(array: torch.Tensor) -> tuple[float, ...]:
    """Nominal spacing of an array, from its affine where it was not loaded by the bundle; 1 without any."""
    dims = array.ndim - 1
    if not isinstance(array, MetaTensor):
        return (1.0,) * dims
    if any(array.meta.get(entry) is not None for entry in (NOMINAL_SPACING, REFERENCE_AFFINE, ORIGINAL_AFFINE)):
        return nominal_spacing(array)
    return affine_spacing(array.affine, dims)


def _warp_jacobian(moves: torch.Tensor, size: Sequence[int], linear: torch.Tensor) -> torch.Tensor:
    """Jacobian of the deformation as a function of the old index, D D followed by `size`.

    Read as x = M i + t, followed by x + w with w = M u: components, which are along the axes of the old grid, are
    turned by the latter first, and then by M, when `ReorientVectorsd` follows.

    Args:
        moves: control points of w, in voxels of the old array.
        size: spatial shape of the new array.
        linear: M.
    """
    by_new = displacement_gradient(moves, size)
    by_old = torch.einsum("ab...,bc->ac...", by_new, torch.linalg.inv(linear).to(by_new))
    identity = torch.eye(len(size), dtype=by_old.dtype, device=by_old.device)
    return by_old + identity.reshape(len(size), len(size), *[1] * len(size))


def _placed(
    values: torch.Tensor,
    source: torch.Tensor,
    linear: torch.Tensor,
    offset: torch.Tensor,
    margin: torch.Tensor,
    draw: SpatialDraw,
) -> torch.Tensor:
    """Moved values with the source's meta: the affine follows, and the box becomes the patch."""
    if not isinstance(source, MetaTensor):
        return values
    meta = dict(source.meta)
    if draw.patch is not None:
        meta = moved_meta(meta, torch.eye(len(margin), dtype=torch.float64), margin)
        meta["start"], meta["size"] = (np.asarray(part) for part in draw.patch)
    tensor = meta_tensor(values, meta, moved_affine(source.affine, linear, offset))
    tensor.applied_operations = list(source.applied_operations)
    return tensor
