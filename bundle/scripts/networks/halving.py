"""Stages of a U-Net that halves its input until it is small, as networks of landmark detection do."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from .unet_plan import is_positive_int

logger = logging.getLogger(__name__)


def halving_stages(
    patch_size: Sequence[int],
    min_feature_resolution: int = 4,
    init_features: int = 32,
    max_features: int = 512,
    n_blocks: int = 1,
) -> dict[str, list[Any]]:
    """Stages that halve every axis until the shortest one has `min_feature_resolution` voxels.

    An axis of one voxel (pictures) is never halved, and its kernels have one voxel. Halving ends sooner where an edge
    can no longer be divided by 2, which the log says.

    Args:
        patch_size: voxels along each axis.
        min_feature_resolution: voxels along the shortest axis at the lowest stage, at least.
        init_features: channels of the first stage; each stage doubles them.
        max_features: channels of a stage at most.
        n_blocks: residual blocks of each stage.

    Returns:
        `features_per_stage`, `strides`, `kernel_sizes` and `n_blocks_per_stage` of `MultiTaskUNet`.

    Raises:
        ValueError: for what are no whole numbers of at least 1, and a patch that cannot be halved once.

    Source: the U-Net of LaNNU-Net.
    """
    numbers = {
        "min_feature_resolution": min_feature_resolution,
        "init_features": init_features,
        "max_features": max_features,
        "n_blocks": n_blocks,
        **{f"patch_size[{axis}]": n for axis, n in enumerate(patch_size)},
    }
    if wrong := [f"{name} = {value!r}" for name, value in numbers.items() if not is_positive_int(value)]:
        raise ValueError(f"expected whole numbers of at least 1; got {', '.join(wrong)}")
    long = [n for n in patch_size if n > 1]
    wanted = 0
    while long and min(long) >> (wanted + 1) >= min_feature_resolution:
        wanted += 1
    n_halvings = wanted
    while any(n % 2**n_halvings for n in long):
        n_halvings -= 1
    if n_halvings == 0:
        raise ValueError(
            f"a patch of {list(patch_size)} voxels cannot be halved down to {min_feature_resolution} along its "
            "shortest axis; choose edges that can be divided by 2 several times, or a lower min_feature_resolution"
        )
    if n_halvings < wanted:
        logger.warning(
            "a patch of %s voxels can be halved %d times only, not %d times down to %d along its shortest axis; choose "
            "edges that can be divided by %d for a network of that depth",
            list(patch_size), n_halvings, wanted, min_feature_resolution, 2**wanted,
        )  # fmt: skip
    n_stages = n_halvings + 1
    stride = [1 if n == 1 else 2 for n in patch_size]
    return {
        "features_per_stage": [min(init_features * 2**level, max_features) for level in range(n_stages)],
        "strides": [[1] * len(stride), *([stride] * n_halvings)],
        "kernel_sizes": [[1 if n == 1 else 3 for n in patch_size]] * n_stages,
        "n_blocks_per_stage": [n_blocks] * n_stages,
    }
