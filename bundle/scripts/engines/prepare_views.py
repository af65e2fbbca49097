"""From a collated batch of two views to what network and loss take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.engines import PrepareBatch

from ..geometry.view_keys import POINT_KEYS, VIEW_KEYS
from ..losses import POINTS
from ..losses.inputs import plain


class PrepareViews(PrepareBatch):
    """One batch of both views, first views before second ones, and their points."""

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """
        Args:
            batchdata: what `TwoViewsd` makes: `view_1` and `view_2` B C D H W, `points_1` and `points_2` B N 3.
            device: where the tensors go.
            non_blocking: as in `torch.Tensor.to`.
            kwargs: further arguments of `torch.Tensor.to`, for the images alone.

        Returns:
            images 2B C D H W and `points` 2B N 3.

        Raises:
            ValueError: if the batch lacks a key, or its views differ in shape.
        """
        if missing := [key for key in (*VIEW_KEYS, *POINT_KEYS) if key not in batchdata]:
            raise ValueError(
                f"the batch has no {', '.join(missing)}, which TwoViewsd makes; its keys: "
                f"{', '.join(map(str, batchdata))}"
            )
        first, second = (plain(batchdata[key]) for key in VIEW_KEYS)
        if first.shape != second.shape:
            raise ValueError(
                f"the views have shapes {list(first.shape)} and {list(second.shape)}; 'augment' of TwoViewsd must "
                "leave the shape as it is: turn by 90 degrees about equal edges alone"
            )
        images = torch.cat([first, second]).to(device=device, non_blocking=non_blocking, **kwargs)
        points = torch.cat([plain(batchdata[key]) for key in POINT_KEYS])
        return images, {POINTS: points.to(device=device, non_blocking=non_blocking)}
