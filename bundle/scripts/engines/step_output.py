"""What a step of training leaves behind, for handlers that want the batch and for those that want its samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.utils.enums import CommonKeys


class StepOutput(list[dict[str, Any]]):
    """A batch by name, its samples by number.

    `output["loss"]` is the batch's. As a list it is what MONAI's engines leave behind when they split a batch into
    samples, so that handlers with `from_engine(["loss"], first=True)`, such as those of `--tracking mlflow`, find what
    they look for. Nothing is copied: samples are views.

    Args:
        batch: what a step returns under MONAI's keys; tensors B ..., and tables or lists of such; numbers are every
            sample's.
    """

    def __init__(self, batch: Mapping[str, Any]) -> None:
        self.batch = dict(batch)
        images = self.batch.get(CommonKeys.IMAGE)
        size = len(images) if isinstance(images, torch.Tensor) else 1
        super().__init__({key: _sample(value, number) for key, value in self.batch.items()} for number in range(size))

    def __getitem__(self, key: Any) -> Any:
        return self.batch[key] if isinstance(key, str) else super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        return key in self.batch if isinstance(key, str) else super().__contains__(key)


def _sample(value: Any, number: int) -> Any:
    """One sample's part of a batch: of tensors B ... the row, of tables and lists that of each entry."""
    if isinstance(value, torch.Tensor):
        return value[number] if value.ndim else value
    if isinstance(value, Mapping):
        return {key: _sample(entry, number) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_sample(entry, number) for entry in value]
    return value
