"""Directions follow the spatial transforms that moved their voxels."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_dst_type, ensure_tuple_rep

from ..geometry.affines import (
    NOMINAL_SPACING,
    REFERENCE_AFFINE,
    nominal_spacing,
    reference_affine,
    require_meta_tensor,
)
from ..geometry.targets import Kind, did_you_mean
from ..geometry.vectors import reorient_normals, reorient_vectors


class ReorientVectors(Transform):
    """Turn the components of normals or vectors by what the spatial transforms did to the grid.

    Stock MONAI transforms move voxels, write what they did into the affine, and leave components alone. This transform
    compares the affine with meta `reference_affine` (`original_affine` where that is absent), applies the linear part
    (`scripts.geometry`: `reorient_normals`, `reorient_vectors`), and then makes the current affine the reference: used
    a second time it changes nothing. The nominal spacing is kept in meta `nominal_spacing`, since a zoom or a
    rotation by 90 degrees across unequal axes alters the affine's, but not how the network reads the array.

    What is right with MONAI 1.6, eager and in `Compose(lazy=True)`: flips, 90-degree and free rotations, affines
    with scale and shear, resizing, zooms, crops, pads and `Orientationd`. What needs care:

    - `RandZoomd` and `Zoomd` average whole voxels in their default mode "area", up to half a voxel off the affine
      that they write: give `mode="bilinear"` ("trilinear" is the same) for directions.
    - `padding_mode="zeros"` gives "no normal here" outside; "border" and "reflection" invent directions there. In
      `Compose(lazy=True)` modes are taken from `overrides`, not from the transforms.
    - `Transposed`, grid distortion and elastic deformation move voxels without an affine: directions stay wrong.
    - `Spacingd` changes the grid, not the directions: follow it with `TakeReferenceAffined`.

    Args:
        kind: `"normal"` (renormalised) or `"vector"` (stretched with space).

    Raises:
        ValueError: when `kind` is neither.
    """

    def __init__(self, kind: str = "normal") -> None:
        if kind not in (Kind.NORMAL, Kind.VECTOR):
            raise ValueError(
                f"kind must be 'normal' or 'vector', the kinds that have directions; got {kind!r}"
                f"{did_you_mean(kind, [Kind.NORMAL, Kind.VECTOR])}"
            )
        self.kind = Kind(kind)

    def __call__(self, data: MetaTensor) -> MetaTensor:
        """
        Args:
            data: C D H W with C = 3 (components z, y, x) or C H W with C = 2 (y, x), with its affine.

        Returns:
            MetaTensor of the same shape, float32 (float64 stays); zero vectors stay zero, NaN stays NaN.

        Raises:
            TypeError: when `data` is no MetaTensor.
            ValueError: when the meta has no reference, channels do not fit, or lazy operations are still pending.
        """
        require_meta_tensor(data)
        if data.has_pending_operations:
            raise ValueError(
                f"the array still has {len(data.pending_operations)} pending lazy operations; place this transform in "
                "the same Compose(lazy=True), which applies them first, or put ApplyPendingd before it"
            )
        spacing = nominal_spacing(data)
        reorient = reorient_normals if self.kind is Kind.NORMAL else reorient_vectors
        turned = reorient(data.as_tensor(), reference_affine(data), data.affine, spacing)
        out: MetaTensor = convert_to_dst_type(turned, data, dtype=turned.dtype)[0]
        out.meta[REFERENCE_AFFINE] = data.affine.clone()
        out.meta[NOMINAL_SPACING] = torch.tensor(spacing, dtype=torch.float64)
        return out


class TakeReferenceAffine(Transform):
    """Declare that components are along the axes of the grid as it is now, and that its spacing is the nominal one.

    Belongs after a transform that resamples without moving the scene (`Spacingd`), and behind whatever made a
    MetaTensor by hand, before the first spatial transform.
    """

    def __call__(self, data: MetaTensor) -> MetaTensor:
        """
        Args:
            data: C D H W or C H W, any dtype, with its affine.

        Returns:
            the same values with meta `reference_affine` set to the current affine and no other nominal spacing.

        Raises:
            TypeError: when `data` is no MetaTensor.
        """
        require_meta_tensor(data)
        out: MetaTensor = convert_to_dst_type(data.as_tensor(), data)[0]
        out.meta[REFERENCE_AFFINE] = data.peek_pending_affine().clone()
        out.meta.pop(NOMINAL_SPACING, None)
        return out


class ReorientVectorsd(MapTransform):
    """Dictionary form of `ReorientVectors`; stands once, after the spatial transforms.

    Args:
        keys: keys of the normals or vectors.
        kind: `"normal"` or `"vector"`, one for all keys or one per key.
        allow_missing_keys: whether a sample may lack a key.

    Raises:
        ValueError: when a kind has no directions, or there are as many kinds as neither one nor the keys.
    """

    def __init__(
        self, keys: KeysCollection, kind: str | Sequence[str] = "normal", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transforms = [ReorientVectors(one) for one in ensure_tuple_rep(kind, len(self.keys))]

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the sample with the keys' components turned (see `ReorientVectors`)."""
        sample = dict(data)
        for key, transform in self.key_iterator(sample, self.transforms):
            require_meta_tensor(sample[key], key)
            sample[key] = transform(sample[key])
        return sample


class TakeReferenceAffined(MapTransform):
    """Dictionary form of `TakeReferenceAffine`.

    Args:
        keys: keys of MetaTensors.
        allow_missing_keys: whether a sample may lack a key.
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = TakeReferenceAffine()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the sample in which the keys' current grids are the reference (see `TakeReferenceAffine`)."""
        sample = dict(data)
        for key in self.key_iterator(sample):
            require_meta_tensor(sample[key], key)
            sample[key] = self.transform(sample[key])
        return sample
