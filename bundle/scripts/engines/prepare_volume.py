"""From a loaded datum to what the streaming inferer takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.data import list_data_collate
from monai.engines import PrepareBatch, PrepareBatchDefault

from ..geometry import IMAGE_KEY


class PrepareVolume(PrepareBatch):
    """Hand a lazy volume to the inferer as it is, and everything else as MONAI does."""

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> Any:
        """
        Args:
            batchdata: `image`: a `Volume`, or a tensor B C D H W.
            device: where a tensor goes.
            non_blocking: as in `torch.Tensor.to`.
            kwargs: further arguments of `torch.Tensor.to`.

        Returns:
            the image, and `None` for the label.
        """
        if isinstance(batchdata[IMAGE_KEY], torch.Tensor):
            return PrepareBatchDefault()(dict(batchdata), device, non_blocking, **kwargs)
        return batchdata[IMAGE_KEY], None


def collate_volumes(items: Sequence[Mapping[str, Any]]) -> Any:
    """Collate tensors as MONAI does; a lazy volume is a batch of its own.

    Raises:
        ValueError: for several volumes in one batch.
    """
    if isinstance(items[0][IMAGE_KEY], torch.Tensor):
        return list_data_collate(items)
    if len(items) > 1:
        raise ValueError(f"volumes are streamed one after the other: batch_size must be 1, got {len(items)}")
    return dict(items[0])
