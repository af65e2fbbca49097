"""The loss of a network that sees two views of each patch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ..geometry.point_sampling import sample_at_points
from .inputs import plain
from .point_loss_table import make_point_loss

POINTS = "points"
"""Key of the points among the labels of a batch of views."""


class TwoViewLoss(nn.Module):
    """Compare one output of the network at the points of both views.

    After each call `terms` holds the loss by its name, detached, for logging.

    Args:
        loss: a name of `POINT_LOSS_NAMES`, or a dictionary `{"name": ..., option: value, ...}`.
        output: of the network, which is compared.
        mode: how it is read at points: `"linear"` or `"nearest"`.

    Raises:
        ValueError: for a loss or option that does not exist.
    """

    factors: Mapping[str, float] = {}  # of a balance between targets, which `LossTerms` asks for

    def __init__(
        self, loss: str | Mapping[str, Any] = "contrastive", output: str = "projection", mode: str = "linear"
    ) -> None:
        super().__init__()
        self.loss = make_point_loss(loss)
        self.name = loss if isinstance(loss, str) else loss["name"]
        self.output = output
        self.mode = mode
        self.terms: dict[str, torch.Tensor] = {}

    def forward(self, predictions: Mapping[str, torch.Tensor], labels: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Compute the loss.

        Args:
            predictions: the network's outputs, 2B C D H W each: first views, then second views.
            labels: `points` 2B N 3, index coordinates in each view; NaN: absent.

        Raises:
            ValueError: for an output that the network does not have, and shapes that do not fit.
        """
        first, second, present = sample_views(predictions, labels, self.output, self.mode)
        loss = self.loss(first, second, present)
        self.terms = {self.name: loss.detach()}
        return loss


def sample_views(
    predictions: Mapping[str, torch.Tensor], labels: Mapping[str, torch.Tensor], output: str, mode: str = "linear"
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """An output of the network at the points of both views, B N C each, and which points are present, B N.

    Args:
        predictions: as in `TwoViewLoss`.
        labels: as in `TwoViewLoss`.
        output: name of the output.
        mode: how it is read.

    Raises:
        ValueError: for an output that the network does not have, and shapes that do not fit.
    """
    if output not in predictions:
        raise ValueError(f"the network has no output '{output}'; its outputs: {', '.join(predictions)}")
    points = plain(labels[POINTS])
    if len(points) % 2:
        raise ValueError(f"two views make an even number of images; got {len(points)}")
    vectors = sample_at_points(plain(predictions[output]), points, mode)
    first, second = vectors.chunk(2)  # 2B N C -> B N C each
    first_present, second_present = torch.isfinite(points).all(dim=2).chunk(2)
    return first, second, first_present & second_present
