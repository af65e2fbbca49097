"""Scores of predictions that lie in stores, on a part of a volume whose truth is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..geometry import Kind, Target, parse_targets
from ..metrics import Metric, default_metrics, make_metric
from ..volumes import Volume, bundle, lattice, open_volume

BLOCK_VOXELS = 2**21
"""Most voxels that are held at once, of each array."""

_NEEDS_NEIGHBOURS = ("surface_distance", "hausdorff95", "surface_dice")
"""Metrics by name, without the number behind it: a block's cut through a surface would count as its end."""


def score_region(
    predictions: Mapping[str, str],
    truths: Mapping[str, str],
    targets: Mapping[str, Any],
    box: tuple[Sequence[int], Sequence[int]],
) -> dict[str, float]:
    """Score written predictions against the truth in a box, block by block.

    Each target has its own `metric`s, or its kind's: Dice of labels (per class where there are several), mean absolute
    error and R2 of scalars, end-point error of vectors, median angle of normals in degrees where the truth has a
    normal. Distances of surfaces are left out: a block does not know the surface beyond its border.

    Args:
        predictions: path of the written prediction of every target (see `ZarrSlidingWindowInferer`).
        truths: path of the truth of every target, on the same grid.
        targets: the `targets` table.
        box: first voxel, and last plus one, along z, y, x.

    Returns:
        numbers by `<target>_<metric>`; NaN where the box holds nothing that counts.

    Raises:
        FileNotFoundError: where a path does not exist.
        ValueError: for a target without prediction or truth, arrays that do not fit, or a box that is not inside.
    """
    table = parse_targets(targets)
    if without := [name for name in table if name not in predictions or name not in truths]:
        raise ValueError(
            f"targets without prediction or truth: {', '.join(without)}; predictions are given for "
            f"{', '.join(predictions) or 'none'}, truths for {', '.join(truths) or 'none'}"
        )
    scores: dict[str, float] = {}
    for name, target in table.items():
        prediction, truth = open_volume(predictions[name]), open_volume(truths[name])
        _check_fit(prediction, truth, target)
        low, size = checked_box(box, truth)
        asked = target.metric or default_metrics(target)
        names = [metric for metric in asked if metric.partition("@")[0] not in _NEEDS_NEIGHBOURS]
        metrics = [make_metric(metric, target, truth.spacing) for metric in names]
        _measure(metrics, prediction, truth, target, low, size)
        for metric in metrics:
            scores |= {f"{name}_{key}": value for key, value in metric.compute().items()}
    return scores


def _measure(
    metrics: Sequence[Metric],
    prediction: Volume,
    truth: Volume,
    target: Target,
    low: Sequence[int],
    size: Sequence[int],
) -> None:
    for offset, extent in lattice(size, bundle(prediction.chunks, size, BLOCK_VOXELS)):
        start = [first + step for first, step in zip(low, offset, strict=True)]
        values = prediction.decode(prediction.read(start, extent))  # C D H W
        if target.kind is Kind.LABEL and prediction.channels < target.channels:
            values = np.arange(target.channels)[:, None, None, None] == values  # classes 1 D H W -> C D H W
        known = truth.decode(truth.read(start, extent))
        for metric in metrics:
            metric.update(as_batch(values), as_batch(known))


def as_batch(array: np.ndarray) -> torch.Tensor:
    """An array C D H W as a batch of one, float32."""
    return torch.from_numpy(array.astype(np.float32, copy=False))[None]  # C D H W -> B C D H W


def _check_fit(prediction: Volume, truth: Volume, target: Target) -> None:
    if prediction.spatial_shape != truth.spatial_shape:
        raise ValueError(
            f"{target.name}: the prediction {prediction.path} has {prediction.spatial_shape} voxels, its truth "
            f"{truth.path} has {truth.spatial_shape}; expected the same grid"
        )
    is_label = target.kind is Kind.LABEL
    for volume, allowed in (
        (prediction, {target.channels, 1} if is_label else {target.channels}),
        (truth, {1} if is_label else {target.channels}),
    ):
        if volume.channels not in allowed:
            expected = " or ".join(map(str, sorted(allowed)))
            raise ValueError(f"{target.name}: {volume.path} has {volume.channels} channels; expected {expected}")


def checked_box(box: tuple[Sequence[int], Sequence[int]], truth: Volume) -> tuple[list[int], list[int]]:
    """First voxel and size of a box, along z, y, x.

    Raises:
        ValueError: for a box without voxels, or one that is not inside of the volume.
    """
    low, high = [int(n) for n in box[0]], [int(n) for n in box[1]]
    if not all(0 <= a < b <= n for a, b, n in zip(low, high, truth.spatial_shape, strict=True)):
        raise ValueError(
            f"box: got {low} to {high}; expected a box with voxels inside the volume {truth.path} of "
            f"{truth.spatial_shape} voxels"
        )
    return low, [b - a for a, b in zip(low, high, strict=True)]
