"""How far the members of an ensemble are apart, voxel by voxel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ..geometry import Kind, Target, activate_prediction, parse_targets
from ..geometry.vectors import unit_vectors


def disagreement_name(target: str) -> str:
    """Name of the output that holds the disagreement about a target."""
    return f"{target}_disagreement"


def disagreement_targets(targets: Mapping[str, Any]) -> dict[str, Target]:
    """Rows of a `targets` table for the disagreement about each target: one channel of kind `scalar`.

    Args:
        targets: the table.

    Returns:
        `<target>_disagreement` -> row, in the table's order.

    Raises:
        ValueError: where a target has such a name already.
    """
    table = parse_targets(targets)
    names = {name: disagreement_name(name) for name in table}
    for name, extra in names.items():
        if extra in table:
            raise ValueError(f"the disagreement about '{name}' is called '{extra}', as a target is; rename that target")
    return {extra: Target(extra, channels=1, kind=Kind.SCALAR) for extra in names.values()}


class Variance:
    """Variance over the members of what a target's activation makes of their output, summed over the channels.

    For a label of one channel that of its probability, 0 to 1/4; for one of C classes, N members and softmax
    0 to 1 - 1 / min(C, N); for scalars, vectors and points in the square of their unit. The sum of squares is divided
    by N.

    Source: Welford 1962, which needs one pass and does not lose small variances of large values.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._count = 0
        self._mean = self._squares = torch.zeros(())

    def add(self, output: torch.Tensor) -> None:
        """Take in a member's raw output, B K D H W float32."""
        values = activate_prediction(output, self._target)
        self._count += 1
        before = values - self._mean
        self._mean = self._mean + before / self._count
        self._squares = self._squares + before * (values - self._mean)

    def result(self) -> torch.Tensor:
        """B 1 D H W."""
        return self._squares.sum(dim=1, keepdim=True) / self._count  # B K D H W -> B 1 D H W


class AngularSpread:
    """Mean angle, in degrees, between the members' directions and the mean of these directions.

    Members without a direction (zero vectors) do not count; where none has one, the spread is 0. Of two opposite
    directions, which have no mean, it is 90, as it would be from any other.
    """

    def __init__(self) -> None:
        self._directions: list[torch.Tensor] = []

    def add(self, output: torch.Tensor) -> None:
        """Take in a member's raw output, B K D H W float32."""
        self._directions.append(unit_vectors(output.transpose(0, 1)))  # B K D H W -> K B D H W

    def result(self) -> torch.Tensor:
        """B 1 D H W."""
        middle = unit_vectors(sum(self._directions[1:], start=self._directions[0]))
        angles, count = torch.zeros_like(middle[0]), torch.zeros_like(middle[0])  # B D H W
        for direction in self._directions:
            counts = (direction != 0).any(dim=0)
            # exact at 0 and 180 degrees, where the arc cosine is not
            angle = 2 * torch.atan2(_length(direction - middle), _length(direction + middle))
            angles += torch.where(counts, angle, 0)
            count += counts
        return torch.rad2deg(angles / count.clamp(min=1))[:, None]  # B D H W -> B 1 D H W


def new_disagreement(target: Target) -> Variance | AngularSpread:
    """What measures the disagreement about a target."""
    return AngularSpread() if target.kind is Kind.NORMAL else Variance(target)


def _length(vectors: torch.Tensor) -> torch.Tensor:
    """K B D H W -> B D H W."""
    return vectors.square().sum(dim=0).sqrt()
