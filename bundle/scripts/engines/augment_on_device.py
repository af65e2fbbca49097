"""Random transforms on the device where the network is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from monai.data import decollate_batch, list_data_collate
from monai.engines import PrepareBatch
from monai.transforms import Compose, Transform

from ..geometry import SEED_KEY, one_thread


class AugmentOnDevice(PrepareBatch):
    """Move a batch to the device, apply random transforms to each of its samples there, and hand it over.

    The transforms are those that otherwise run where patches are loaded, one sample at a time. Each sample seeds them
    by its own `seed`, so that on a CPU the batches are those of `PatchDataset` with these transforms. Patches cannot be
    enlarged here, so that the corners of turned ones are unknown. Targets that are derived from labels are computed on
    the CPU, one after the other.

    Args:
        transforms: random transforms of dictionaries, and what must follow them (`ReorientVectorsd`, derived targets).
        prepare_batch: makes image and labels of the batch, as `PrepareTargets` does.
    """

    def __init__(self, transforms: Sequence[Transform], prepare_batch: Callable[..., Any]) -> None:
        self.transforms = Compose(list(transforms))
        self.prepare_batch = prepare_batch

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> Any:
        """
        Args:
            batchdata: collated samples, with the `seed` of each.
            device: where the transforms run.
            non_blocking: as in `torch.Tensor.to`.
            kwargs: further arguments of the inner `prepare_batch`.

        Returns:
            what the inner `prepare_batch` returns.

        Raises:
            ValueError: if the batch has no seeds.
        """
        if SEED_KEY not in batchdata:
            raise ValueError(
                f"the batch has no '{SEED_KEY}', from which random transforms on the device draw; its keys: "
                f"{', '.join(map(str, batchdata))}. PatchDataset with PatchSampler gives one to each sample"
            )
        moved = {
            key: value.to(device=device, non_blocking=non_blocking)
            if isinstance(value, torch.Tensor) and key != SEED_KEY
            else value
            for key, value in batchdata.items()
        }
        samples = decollate_batch(moved)
        with one_thread():
            augmented = [self.transforms.set_random_state(seed=int(one[SEED_KEY]))(one) for one in samples]
        return self.prepare_batch(list_data_collate(augmented), device, non_blocking, **kwargs)
