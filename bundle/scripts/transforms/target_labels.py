"""From the network's outputs to a label map of one target."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_tensor

from ..geometry import Activation, Kind, Target, activate_prediction, did_you_mean, parse_targets


def target_label(logits: torch.Tensor, target: Target, threshold: float = 0.5) -> torch.Tensor:
    """Label of each voxel, as inference writes it: by threshold of one channel, by argmax of several.

    Args:
        logits: C D H W, raw output.
        target: its row of the `targets` table.
        threshold: probability from which on a voxel of one channel is foreground.

    Returns:
        1 D H W on the CPU: 0 is background, uint8, beyond 256 classes int32.
    """
    values = activate_prediction(logits[None], target)[0]  # C D H W -> B C D H W -> C D H W
    label = values >= threshold if target.channels == 1 else values.argmax(dim=0, keepdim=True)
    return label.to("cpu", torch.uint8 if target.channels <= 256 else torch.int32)


class TargetLabel(Transform):
    """Make a label map from the outputs of a network: of its dictionary, or of one tensor.

    Args:
        targets: the `targets` table.
        target: which of them; kind `label`, with one channel or with classes that exclude each other.
        threshold: see `target_label`.

    Raises:
        ValueError: if there is no such target, it gives no label map, or the threshold is not between 0 and 1.
    """

    def __init__(self, targets: Mapping[str, Any], target: str, threshold: float = 0.5) -> None:
        table = parse_targets(targets)
        if target not in table:
            raise ValueError(f"target: expected one of {', '.join(table)}; got {target!r}{did_you_mean(target, table)}")
        row = table[target]
        if row.kind is not Kind.LABEL or (row.channels > 1 and row.activation is Activation.SIGMOID):
            told = f"kind {row.kind}" if row.kind is not Kind.LABEL else "classes that overlap (activation sigmoid)"
            raise ValueError(
                f"target '{target}' has {told}; a label map needs kind label, with one channel or with classes of "
                "which each voxel has one"
            )
        if not 0 < threshold < 1:
            raise ValueError(f"threshold must be a probability between 0 and 1; got {threshold!r}")
        self.target, self.threshold = row, threshold

    def __call__(self, outputs: Mapping[str, torch.Tensor] | torch.Tensor) -> torch.Tensor:
        """
        Args:
            outputs: C D H W of the target, or a dictionary target -> C D H W.

        Returns:
            1 D H W on the CPU.

        Raises:
            ValueError: if the outputs lack the target.
        """
        if isinstance(outputs, Mapping):
            if self.target.name not in outputs:
                raise ValueError(f"the network gave {', '.join(outputs)}; expected '{self.target.name}' among them")
            outputs = outputs[self.target.name]
        logits = torch.as_tensor(convert_to_tensor(outputs, track_meta=False))
        return target_label(logits, self.target, self.threshold)


class TargetLabeld(MapTransform):
    """Dictionary form of `TargetLabel`.

    Args:
        keys: keys of network outputs.
        targets: see `TargetLabel`.
        target: see `TargetLabel`.
        threshold: see `TargetLabel`.
        allow_missing_keys: whether a sample may lack a key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        targets: Mapping[str, Any],
        target: str,
        threshold: float = 0.5,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.label = TargetLabel(targets, target, threshold)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        sample = dict(data)
        for key in self.key_iterator(sample):
            sample[key] = self.label(sample[key])
        return sample
