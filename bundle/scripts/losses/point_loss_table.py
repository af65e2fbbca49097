"""Names of losses of points in two views, and their options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from ..geometry import did_you_mean
from .point_contrastive import PointContrastiveLoss
from .point_decorrelation import PointBarlowTwinsLoss, PointVICRegLoss

_TABLE: dict[str, Callable[..., nn.Module]] = {
    "contrastive": PointContrastiveLoss,
    "barlow_twins": PointBarlowTwinsLoss,
    "vicreg": PointVICRegLoss,
}

POINT_LOSS_NAMES = tuple(_TABLE)
"""Names of losses that compare points in two views."""


def make_point_loss(loss: str | Mapping[str, Any]) -> nn.Module:
    """Build a loss of points in two views.

    Args:
        loss: a name, or a dictionary `{"name": ..., option: value, ...}`.

    Raises:
        ValueError: for a name or an option that does not exist.
    """
    row = {"name": loss} if isinstance(loss, str) else dict(loss)
    name = row.pop("name", None)
    if name not in _TABLE:
        raise ValueError(
            f"unknown loss of points {name!r}{did_you_mean(str(name), _TABLE)}; losses are: {', '.join(_TABLE)}"
        )
    known = list(inspect.signature(_TABLE[name]).parameters)
    if unknown := [key for key in row if key not in known]:
        raise ValueError(
            f"loss '{name}' takes no option '{unknown[0]}'{did_you_mean(unknown[0], known)}; "
            f"its options: {', '.join(known)}"
        )
    return _TABLE[name](**row)
