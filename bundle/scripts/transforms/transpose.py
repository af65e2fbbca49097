"""Random exchange of axes of equal length, which the affine follows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor, get_track_meta
from monai.transforms import RandomizableTransform
from monai.utils import convert_to_tensor

from .drawing import OneDrawd, check_probability
from .meta import meta_tensor


def transpose_axes(array: torch.Tensor, order: Sequence[int]) -> torch.Tensor:
    """Exchange spatial axes.

    MONAI's `Transpose` moves the voxels but leaves the affine as it is, so that normals would stay as they were.

    Args:
        array: C D H W or C H W.
        order: for each new spatial axis the old one, counted from 0.

    Returns:
        contiguous array; of a MetaTensor with its affine.
    """
    values = array.as_tensor() if isinstance(array, MetaTensor) else array
    turned = values.permute(0, *(axis + 1 for axis in order)).contiguous()
    if not isinstance(array, MetaTensor):
        return turned
    affine = array.affine.clone()
    affine[:, : len(order)] = array.affine[:, list(order)]
    tensor = meta_tensor(turned, array.meta, affine)
    tensor.applied_operations = list(array.applied_operations)
    return tensor


class RandTranspose(RandomizableTransform):
    """Exchange spatial axes of equal length, so that the shape stays as it is.

    Args:
        prob: probability of an exchange; each order of axes but the present one is equally likely.
    """

    def __init__(self, prob: float = 0.5) -> None:
        super().__init__(check_probability("prob", prob))
        self.order: tuple[int, ...] = ()

    def randomize(self, data: Any) -> None:
        """Draw for an array C D H W; `order` is empty where axes stay."""
        super().randomize(None)
        size = tuple(data.shape[1:])
        own = tuple(range(len(size)))
        orders = [o for o in itertools.permutations(own) if o != own and tuple(size[a] for a in o) == size]
        place = self.R.random()
        self.order = orders[int(place * len(orders))] if self._do_transform and orders else ()

    def __call__(self, array: NdarrayOrTensor, randomize: bool = True) -> torch.Tensor:
        """
        Args:
            array: C D H W or C H W.
            randomize: whether to draw anew.
        """
        tensor = torch.as_tensor(convert_to_tensor(array, track_meta=get_track_meta()))
        if randomize:
            self.randomize(tensor)
        return transpose_axes(tensor, self.order) if self.order else tensor


class RandTransposed(OneDrawd):
    """Dictionary form of `RandTranspose`; belongs before `ReorientVectorsd`.

    Args:
        keys: keys of arrays of one spatial shape.
        prob: see `RandTranspose`.
        allow_missing_keys: whether a sample may lack a key.
    """

    def __init__(self, keys: KeysCollection, prob: float = 0.5, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, RandTranspose(prob), allow_missing_keys)
