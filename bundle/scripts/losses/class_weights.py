"""Class weights from how often each class occurs."""

from __future__ import annotations

from collections.abc import Sequence

BALANCED = "balanced"
"""Value of a target's `class_weights` that asks for weights from counts."""


def balanced_weights(voxels: Sequence[int], *, independent: bool) -> list[float]:
    """Weights under which rare classes count as much as common ones.

    Args:
        voxels: number of voxels of each class; of a label with one channel background and foreground.
        independent: whether each class is decided by itself, against all other voxels.

    Returns:
        for classes decided together the inverse of each one's frequency, scaled so that their mean over voxels is 1;
        a class that never occurs has 1. For independent classes the ratio of voxels outside to voxels inside; 1 where
        it never occurs. A label with one channel has one such number.

    Raises:
        ValueError: if no voxel was counted.
    """
    total = sum(voxels)
    if total == 0:
        raise ValueError("class_weights 'balanced' needs voxels of at least one class; none were counted")
    if not independent:
        present = sum(1 for count in voxels if count)
        return [total / (present * count) if count else 1.0 for count in voxels]
    inside = voxels[1:] if len(voxels) == 2 else voxels
    return [(total - count) / count if count else 1.0 for count in inside]
