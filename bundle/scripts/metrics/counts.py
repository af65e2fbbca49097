"""What is right and what is wrong, of voxels or of objects."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """Numbers of true positives, false positives and false negatives; those of blocks or crops add up by `+`.

    Where there is nothing in truth and prediction, every share is 1: nothing is wrong. Otherwise a share of nothing is
    0, such as the precision of an empty prediction.
    """

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
        )

    @property
    def precision(self) -> float:
        """Share of what is predicted that is true."""
        return self.share(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Share of what is true that is predicted."""
        return self.share(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN); of voxels: the Dice coefficient."""
        right = 2 * self.true_positives
        return self.share(right, right + self.false_positives + self.false_negatives)

    @property
    def jaccard(self) -> float:
        """TP / (TP + FP + FN); of voxels: IoU, of objects: what StarDist and Cellpose call average precision."""
        return self.share(self.true_positives, self.true_positives + self.false_positives + self.false_negatives)

    def share(self, part: float, whole: float) -> float:
        """Quotient; of nothing, 1 where there is nothing at all and 0 otherwise."""
        if whole:
            return part / whole
        return 0.0 if self.true_positives or self.false_positives or self.false_negatives else 1.0
