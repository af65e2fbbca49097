"""From a loaded datum to what the streaming inferer takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.data import list_data_collate
from monai.engines import PrepareBatch, PrepareBatchDefault

from ..geometry import IMAGE_KEY, MASK_KEY

_CHOICES = ("region", MASK_KEY)


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
            batchdata: `image`: a `Volume`, or a tensor B C D H W; of a volume also `region` and `mask`, see
                `ZarrSlidingWindowInferer`.
            device: where a tensor goes.
            non_blocking: as in `torch.Tensor.to`.
            kwargs: further arguments of `torch.Tensor.to`.

        Returns:
            the image, and `None` for the label; of a volume that has a `region` or a `mask` also the arguments with
            which the inferer is called, an empty list and a dictionary.
        """
        if isinstance(batchdata[IMAGE_KEY], torch.Tensor):
            return PrepareBatchDefault()(dict(batchdata), device, non_blocking, **kwargs)
        chosen = {key: batchdata[key] for key in _CHOICES if batchdata.get(key) is not None}
        return (batchdata[IMAGE_KEY], None, [], chosen) if chosen else (batchdata[IMAGE_KEY], None)


def collate_volumes(items: Sequence[Mapping[str, Any]]) -> Any:
    """Collate tensors as MONAI does; a lazy volume is a batch of its own.

    Raises:
        ValueError: for several volumes in one batch, and for a region or mask of an image in memory.
    """
    if isinstance(items[0][IMAGE_KEY], torch.Tensor):
        for key in _CHOICES:
            if any(item.get(key) is not None for item in items):
                raise ValueError(f"'{key}' is for volumes that are streamed; give streaming = true, or no {key}")
        return list_data_collate([{k: v for k, v in item.items() if k not in _CHOICES} for item in items])
    if len(items) > 1:
        raise ValueError(f"volumes are streamed one after the other: batch_size must be 1, got {len(items)}")
    return dict(items[0])
