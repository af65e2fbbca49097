"""From a collated batch to what network, loss and metrics take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.engines import PrepareBatch

from ..geometry import IMAGE_KEY, UNKNOWN_LABEL, Activation, Kind, Target, parse_targets
from .nonfinite import batch_patches


class LabelValueError(ValueError):
    """A label holds a class that its target does not have; the message names target, class and patch."""


class PrepareTargets(PrepareBatch):
    """Split a batch into the image and one plain tensor per target, with everything unknown marked as such.

    One-channel labels become 0 or 1: every positive value is foreground. `ignore_label`, and voxels where the target's
    mask is 0, become unknown: -1 in labels, NaN in the other kinds.

    Where classes exclude each other, one that nobody has annotated is known to be absent where another is present, and
    unknown elsewhere. So volumes in which different classes were annotated train one network.

    Args:
        targets: the `targets` table.
        mutual_exclusion: groups of one-channel labels of which a voxel has at most one; true: all of them are one
            group; false: any may overlap.

    Raises:
        ValueError: for a group that names anything but labels of one channel.
    """

    def __init__(self, targets: Mapping[str, Any], mutual_exclusion: bool | Sequence[Sequence[str]] = False) -> None:
        self.targets = parse_targets(targets)
        single = [name for name, t in self.targets.items() if t.kind is Kind.LABEL and t.channels == 1]
        if isinstance(mutual_exclusion, bool):
            mutual_exclusion = [single] if mutual_exclusion else []
        self.exclusive = [list(group) for group in mutual_exclusion]
        for group in self.exclusive:
            if wrong := [name for name in group if name not in single]:
                raise ValueError(
                    f"mutual_exclusion: {', '.join(wrong)} cannot exclude others; labels with 1 channel can: "
                    f"{', '.join(single) or 'there are none'}"
                )

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor] | None]:
        """
        Args:
            batchdata: `image` B C D H W and one key per target; without any target, as at inference, no labels.
            device: where the tensors go.
            non_blocking: as in `torch.Tensor.to`.
            kwargs: further arguments of `torch.Tensor.to`, for the image alone.

        Returns:
            image B C D H W and labels: 1-channel label B 1 D H W in {0, 1, -1}; label of C classes B 1 D H W with the
            class or -1; label with a foreground in each channel B C D H W in {0, 1, -1}; other kinds B C D H W, NaN
            where unknown; landmarks (kind points) as points B N 3 stay what they are.

        Raises:
            ValueError: if the batch has some targets but not all, or lacks a mask that a target names.
            LabelValueError: if it holds class labels that the target does not have.
        """
        image = _plain(batchdata[IMAGE_KEY]).to(device=device, non_blocking=non_blocking, **kwargs)
        present = [name for name in self.targets if name in batchdata]
        if not present:
            return image, None
        masks = [target.mask for target in self.targets.values() if target.mask is not None]
        missing = [key for key in dict.fromkeys([*self.targets, *masks]) if key not in batchdata]
        if missing:
            raise ValueError(
                f"the batch has no {', '.join(missing)}; its keys: {', '.join(map(str, batchdata))}. A target that is "
                "derived from another key needs the transform that makes it (see 'derive' in train.json)"
            )

        def moved(key: str) -> torch.Tensor:
            return _plain(batchdata[key]).to(device=device, non_blocking=non_blocking)

        labels = {}
        for name, target in self.targets.items():
            label, mask = moved(name), None if target.mask is None else moved(target.mask)
            try:
                labels[name] = mark_unknown(label, target, mask)
            except LabelValueError as error:
                raise LabelValueError(f"{error}{_place(batchdata, target, label, mask)}") from None
        return image, exclude_each_other(labels, self.exclusive)


def _place(batch: Mapping[str, Any], target: Target, label: torch.Tensor, mask: torch.Tensor | None) -> str:
    """Where the first wrong label of a batch is, as far as the batch tells."""
    paths = getattr(batch[target.name], "meta", {}).get("filename_or_obj", [])
    for number, patch in enumerate(batch_patches(batch)):
        one = slice(number, number + 1)
        try:
            mark_unknown(label[one], target, None if mask is None else mask[one])
        except LabelValueError:
            path = paths[number] if number < len(paths) else f"sample {number} of the batch"
            place = f", patch at {patch['start']} of size {patch['size']}" if "start" in patch else ""
            return f". It is in {path}{place}"
    return ""


def exclude_each_other(labels: Mapping[str, torch.Tensor], groups: Sequence[Sequence[str]]) -> dict[str, torch.Tensor]:
    """Labels in which unknown voxels are 0 where another label of the same group is present.

    Args:
        labels: B 1 D H W each: 1, 0 or -1 (unknown).
        groups: names of labels that exclude each other.
    """
    made = dict(labels)
    for group in groups:
        present = torch.stack([labels[name] == 1 for name in group]).any(dim=0)
        for name in group:
            made[name] = torch.where((made[name] == UNKNOWN_LABEL) & present, 0.0, made[name])
    return made


def mark_unknown(label: torch.Tensor, target: Target, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Bring one target to the form that losses and metrics take (see `PrepareTargets`).

    Args:
        label: B C D H W, or points B N 3, as the transforms left it.
        target: its row of the table.
        mask: B 1 D H W, 0 where the target does not count.

    Raises:
        LabelValueError: if a label holds a class that the target does not have.
        ValueError: for a mask of points.
    """
    label = label.float()
    if target.kind is Kind.POINTS and label.ndim == 3:
        if mask is not None:
            raise ValueError(f"target '{target.name}': a 'mask' is for arrays, not for landmarks; leave it out")
        return label
    if target.kind is not Kind.LABEL:
        return label if mask is None else torch.where(mask > 0, label, torch.nan)
    unknown = ~(label >= 0)  # true for NaN, too
    if target.ignore_label is not None:
        unknown = unknown | (label == target.ignore_label)
    if mask is not None:
        unknown = unknown | (mask <= 0)
    if target.channels == 1 or (target.activation is Activation.SIGMOID and label.shape[1] == target.channels):
        label = (label > 0).float()
    elif (highest := float(torch.where(unknown, 0, label).max())) >= target.channels:
        raise LabelValueError(
            f"target '{target.name}' has {target.channels} channels, so classes 0 to {target.channels - 1}, but its "
            f"label holds {highest:g}; raise 'channels', or name the value in 'ignore_label'"
        )
    return torch.where(unknown, float(UNKNOWN_LABEL), label)


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor without meta: the network needs none, and every operation is cheaper."""
    return tensor.as_tensor() if hasattr(tensor, "as_tensor") else tensor
