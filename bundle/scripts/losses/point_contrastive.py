"""Contrast between points: each like itself in the other view, and unlike all others."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from ..geometry import did_you_mean
from .inputs import full_precision
from .point_inputs import present_rows, without_autocast

NEGATIVES = ("batch", "patch")
"""What a point is unlike: all other points of the batch, or those of its own patch."""


class PointContrastiveLoss(nn.Module):
    """Cross-entropy of finding a point again in the other view, among all points of both views.

    With z the 2n vectors of n points in both views, of unit length, and pos(i) the other view of i:

        L = -(1 / 2n) sum_i log( exp(z_i . z_pos(i) / t) / sum_{w != i} exp(z_i . z_w / t) )

    Similarities are computed in parts of some rows, and again for the gradient, so that memory grows with n and not
    with its square. In float32, within autocast too. Without any point the loss is 0, and so is its gradient.

    Source: NT-Xent of SimCLR (Chen et al. 2020), which is `monai.losses.ContrastiveLoss`, at points.

    Args:
        temperature: t.
        negatives: `"batch"`, or `"patch"` where points of other patches may show the same things.
        chunk_size: rows of similarities at a time.

    Raises:
        ValueError: for numbers that are not above 0, and other negatives.
    """

    def __init__(self, temperature: float = 0.05, negatives: str = "batch", chunk_size: int = 1024) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature must be a number above 0; got {temperature!r}")
        if not isinstance(chunk_size, int) or chunk_size < 1:
            raise ValueError(f"chunk_size must be a whole number of at least 1; got {chunk_size!r}")
        if negatives not in NEGATIVES:
            raise ValueError(
                f"negatives must be one of {', '.join(NEGATIVES)}; got {negatives!r}"
                f"{did_you_mean(negatives, NEGATIVES)}"
            )
        self.temperature = temperature
        self.negatives = negatives
        self.chunk_size = chunk_size

    def forward(self, first: torch.Tensor, second: torch.Tensor, present: torch.Tensor | None = None) -> torch.Tensor:
        """Compute the loss.

        Args:
            first: vectors of points in one view, B N C, of any length.
            second: of the same points in the other view.
            present: which points count, B N; `None`: those without NaN.

        Raises:
            ValueError: when the shapes do not fit.
        """
        rows = present_rows(first, second, present)
        first, second = full_precision(first), full_precision(second)
        if self.negatives == "batch":
            groups = [(first[rows], second[rows])]
        else:
            groups = [(a[kept], b[kept]) for a, b, kept in zip(first, second, rows, strict=True)]
        with without_autocast(first):
            total = torch.stack([self._sum(*group) for group in groups]).sum()
        return total / (2 * rows.sum()).clamp(min=1)

    def _sum(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Sum over both views of points that are each other's negatives, n C each."""
        vectors = F.normalize(torch.cat([first, second]), dim=1)  # 2n C
        positives = (vectors[: len(first)] * vectors[len(first) :]).sum() / self.temperature
        starts = range(0, len(vectors), self.chunk_size)
        parts: list[torch.Tensor] = [
            checkpoint(self._logsumexp, vectors, start, use_reentrant=False, preserve_rng_state=False)
            for start in starts
        ]
        return torch.stack(parts).sum() - 2 * positives if parts else positives

    def _logsumexp(self, vectors: torch.Tensor, start: int) -> torch.Tensor:
        """Sum over some rows of log sum_{w != i} exp(z_i . z_w / t)."""
        rows = vectors[start : start + self.chunk_size]
        similarity = (rows / self.temperature) @ vectors.T
        own = torch.arange(len(rows), device=vectors.device)
        similarity[own, own + start] = -torch.inf
        return similarity.logsumexp(dim=1).sum()
