"""Image and targets of a patch, each on its own grid."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from ..geometry import IMAGE_KEY, MASK_KEY, Kind, parse_targets, stored_kinds
from ..geometry.target_grid import MASK_KIND, TargetGrid
from .meta import meta_tensor, moved_affine, moved_meta


class ToTargetGridd(MapTransform):
    """Bring a patch that was read on `grid.read_shape` onto the input's grid (image) and the targets' grid (the rest).

    It stands after all spatial transforms and `ReorientVectorsd`, before targets are derived, whose distances are then
    those of the targets' grid.

    Args:
        keys: keys of arrays C D H W on the read grid.
        targets: the `targets` table, which says what kind each key is.
        grid: both grids.
        allow_missing_keys: whether a sample may lack a key.
    """

    def __init__(
        self, keys: KeysCollection, targets: Mapping[str, Any], grid: TargetGrid, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.grid = grid
        masks = [row.mask for row in parse_targets(targets).values() if row.mask is not None]
        self.kinds: dict[str, Kind | str] = dict(stored_kinds(targets)) | dict.fromkeys([*masks, MASK_KEY], MASK_KIND)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """
        Raises:
            ValueError: for an array that is not on the read grid.
        """
        sample = dict(data)
        for key in self.key_iterator(sample):
            array = sample[key]
            if tuple(array.shape[1:]) != self.grid.read_shape:
                raise ValueError(
                    f"'{key}' has {list(array.shape[1:])} voxels, but a patch for input {list(self.grid.input_shape)} "
                    f"and targets {list(self.grid.shape)} is read with {list(self.grid.read_shape)}"
                )
            plain = array.as_tensor() if isinstance(array, MetaTensor) else array
            if key == IMAGE_KEY:
                sample[key] = _placed(array, self.grid.image(plain), (0, 0, 0), self.grid.input_factors)
            else:
                joined = self.grid.target(plain, self.kinds.get(str(key), Kind.SCALAR))
                sample[key] = _placed(array, joined, self.grid.margin, self.grid.factors)
        return sample


def _placed(source: torch.Tensor, values: torch.Tensor, margin: Sequence[int], factors: Sequence[int]) -> torch.Tensor:
    """Values with the source's meta: every affine is moved, so that the nominal spacing is that of the new grid."""
    if not isinstance(source, MetaTensor):
        return values
    linear = torch.diag(torch.tensor(factors, dtype=torch.float64))
    offset = torch.tensor([m + (f - 1) / 2 for m, f in zip(margin, factors, strict=True)], dtype=torch.float64)
    meta = moved_meta(source.meta, linear, offset)
    tensor = meta_tensor(values, meta, moved_affine(source.affine, linear, offset))
    tensor.applied_operations = list(source.applied_operations)
    return tensor
