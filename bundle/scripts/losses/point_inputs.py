"""Which rows two views of points have in common."""

from __future__ import annotations

import torch

from .inputs import check_same_shape, full_precision


def present_rows(first: torch.Tensor, second: torch.Tensor, present: torch.Tensor | None) -> torch.Tensor:
    """Which points count, B N.

    Args:
        first: B N C.
        second: B N C.
        present: B N; `None`: where no value of either is NaN.

    Raises:
        ValueError: when the shapes do not fit.
    """
    check_same_shape(first, second)
    if first.ndim != 3:
        raise ValueError(f"expected vectors at points, B N C; got shape {list(first.shape)}")
    if present is None:
        return ~(first.isnan() | second.isnan()).any(dim=2)
    if present.shape != first.shape[:2]:
        raise ValueError(f"present must have shape {list(first.shape[:2])}; got {list(present.shape)}")
    return present


def common_rows(
    first: torch.Tensor, second: torch.Tensor, present: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors of the points that count, B N C -> M C each, at least float32."""
    rows = present_rows(first, second, present)
    return full_precision(first)[rows], full_precision(second)[rows]


def without_autocast(tensor: torch.Tensor) -> torch.autocast:
    """Context in which products are computed in the type of their factors."""
    return torch.autocast(tensor.device.type, enabled=False)
