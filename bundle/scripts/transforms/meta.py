"""MetaTensors and their affines, without the checks that take longer than copying a small patch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.data import MetaObj, MetaTensor
from monai.utils import MetaKeys

from ..geometry.affines import ORIGINAL_AFFINE, REFERENCE_AFFINE


def meta_tensor(values: torch.Tensor, meta: dict[str, Any], affine: torch.Tensor) -> MetaTensor:
    """A MetaTensor with an affine, without the `space` that MONAI's constructor notes.

    Args:
        values: any plain tensor; it is not copied.
        meta: becomes the tensor's own.
        affine: (R + 1) x (R + 1) float64; it is not copied.
    """
    tensor = values.as_subclass(MetaTensor)
    MetaObj.__init__(tensor)
    tensor.meta = {**meta, MetaKeys.AFFINE: affine}
    return tensor


def with_values(source: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """New values of an array that keeps its place: a MetaTensor with the source's meta where the source is one.

    Args:
        source: C D H W.
        values: the same shape, plain.
    """
    if not isinstance(source, MetaTensor):
        return values
    tensor = meta_tensor(values, source.meta, source.affine.clone())
    tensor.applied_operations = list(source.applied_operations)
    return tensor


def moved_meta(meta: Mapping[str, Any], linear: torch.Tensor, offset: torch.Tensor) -> dict[str, Any]:
    """Meta whose reference and original affine follow a change of the grid, so that the grid before counts as this one.

    Args:
        meta: of a MetaTensor.
        linear, offset: see `moved_affine`.
    """
    moved = dict(meta)
    for name in (REFERENCE_AFFINE, ORIGINAL_AFFINE):
        if moved.get(name) is not None:
            moved[name] = moved_affine(torch.as_tensor(moved[name]), linear, offset)
    return moved


def moved_affine(affine: torch.Tensor, linear: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
    """Affine of a grid whose index i is read at linear x i + offset of another grid.

    Args:
        affine: of that other grid, (R + 1) x (R + 1), R >= D.
        linear: D x D.
        offset: D.
    """
    dims = len(offset)
    step = torch.eye(len(affine), dtype=affine.dtype)
    step[:dims, :dims], step[:dims, -1] = linear.to(affine), offset.to(affine)
    return affine @ step
