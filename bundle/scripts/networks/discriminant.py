"""A linear head in closed form: where few points are annotated, but the features' covariance is known."""

from __future__ import annotations

import torch

_HALF_AT = 10
"""Points at which the covariance counts half; chosen on the train parts of benchmarks/few_shot.py."""


def discriminant_weights(
    vectors: torch.Tensor,
    labels: torch.Tensor,
    covariance: torch.Tensor,
    n_classes: int,
    shrinkage: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights of a linear discriminant: class means from a few points, the covariance from everywhere.

    Directions along which features vary anyway count less. The covariance needs no labels, so that many voxels tell it;
    a training by gradients would have to guess it from the few points. All classes count alike, however rare.

    Along directions that hardly vary, the error of the means is blown up most. Where no direction is likelier to matter
    than another, the weights to expect are those of a ridge in proportion to the square of that error, 1 / n of n
    points, which is what the shrinkage without a number follows.

    Source: linear discriminant analysis (Fisher 1936), with the total covariance in place of that within classes, which
    has the same directions; shrinkage towards equal variances after Friedman 1989.

    Args:
        vectors: features at the annotated points, N C.
        labels: their classes 0 to K - 1, N.
        covariance: of the features over all voxels, C C.
        n_classes: K.
        shrinkage: 0: the covariance as it is; 1: all directions alike; `None`: 10 / (10 + n) of n points, counting as
            many of each class as there are of the rarest.

    Returns:
        weights K C and biases K, of logits x W^T + b whose softmax tells the class.

    Raises:
        ValueError: for a class without any point, and a shrinkage out of range.
    """
    if shrinkage is not None and not 0 <= shrinkage <= 1:
        raise ValueError(f"shrinkage must be a number from 0 to 1; got {shrinkage!r}")
    counts = torch.bincount(labels.long(), minlength=n_classes)[:n_classes]
    if without := (counts == 0).nonzero().flatten().tolist():
        raise ValueError(f"there is no annotated point of class {', '.join(map(str, without))} of {n_classes}")
    values, spread = vectors.double(), covariance.double()
    size = len(spread)
    level = spread.diagonal().mean().clamp(min=torch.finfo(torch.float32).tiny)
    share = _HALF_AT / (_HALF_AT + n_classes * counts.min().item()) if shrinkage is None else shrinkage
    share = max(share, 1e-6)  # features may repeat each other
    pooled = (1 - share) * spread + share * level * torch.eye(size, dtype=spread.dtype)
    means = torch.stack([values[labels == k].mean(dim=0) for k in range(n_classes)])  # K C
    weight = torch.linalg.solve(pooled, means.T).T
    bias = -0.5 * (weight * means).sum(dim=1)
    return weight.float(), bias.float()
