"""How often each predicted id meets each true id: what all scores of objects are computed from."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .label_arrays import Labels, check_ids, label_pair, run_starts

_CHUNK = 2**22  # voxels looked at at once, which bounds the memory of runs and sorting
_FEW = 2**16  # pairs that are never worth merging early


class Contingency:
    """Sparse table of voxel counts per pair of predicted and true id, background (0) included.

    Tables of blocks add up to the table of the volume: variation of information, adapted Rand and object matching at
    any volume size follow from it. The memory goes with the number of pairs that occur, not with voxels or with ids,
    and ids up to 2^64 - 1 stay apart.

    A table pickles, and `state` is what a file keeps: `np.savez(path, **table.state())` and
    `Contingency(**np.load(path))`; lists of numbers, as JSON holds them, serve as well.

    Args:
        prediction: predicted id of each pair; a pair may come repeatedly.
        truth: true id of each pair.
        voxels: how many voxels have this pair.

    Raises:
        ValueError: when the three differ in length.
    """

    def __init__(self, prediction: ArrayLike = (), truth: ArrayLike = (), voxels: ArrayLike = ()) -> None:
        pairs = _Pairs(
            np.asarray(prediction, dtype=np.uint64),
            np.asarray(truth, dtype=np.uint64),
            np.asarray(voxels, dtype=np.int64),
        )
        lengths = [len(column) for column in pairs]
        if len(set(lengths)) > 1:
            raise ValueError(f"prediction, truth and voxels need one number per pair each, got {lengths} numbers")
        self._parts = [_summed(pairs)]
        self._pending = 0

    @classmethod
    def of(cls, prediction: Labels, truth: Labels, known: Labels | None = None) -> Self:
        """Table of two label arrays; see `add`."""
        table = cls()
        table.add(prediction, truth, known)
        return table

    def add(self, prediction: Labels, truth: Labels, known: Labels | None = None) -> None:
        """Count one block.

        Args:
            prediction: ids, any shape.
            truth: ids, same shape.
            known: booleans of the same shape; voxels where it is False count nowhere.

        Raises:
            TypeError: for arrays that do not hold whole numbers.
            ValueError: when shapes differ, or for negative ids.
        """
        predicted, true, inside = label_pair(prediction, truth, known)
        predicted, true = predicted.reshape(-1), true.reshape(-1)
        for start in range(0, predicted.size, _CHUNK):
            chunk = slice(start, start + _CHUNK)
            a, b = predicted[chunk], true[chunk]
            if inside is not None:
                kept = inside.reshape(-1)[chunk]
                a, b = a[kept], b[kept]
            runs = run_starts(a, b)
            lengths = np.diff(runs, append=a.size)
            a, b = a[runs], b[runs]
            check_ids(a, "prediction")
            check_ids(b, "truth")
            self._append(_summed(_Pairs(a.astype(np.uint64), b.astype(np.uint64), lengths)))

    def merge(self, other: Contingency) -> None:
        """Add what another table has counted, such as that of another block."""
        self._append(other._merged())

    def state(self) -> dict[str, NDArray[Any]]:
        """The columns `prediction`, `truth` (uint64) and `voxels` (int64), one row per pair, sorted by ids."""
        return self._merged()._asdict()

    @property
    def prediction(self) -> NDArray[np.uint64]:
        """Predicted id of each pair."""
        return self._merged().prediction

    @property
    def truth(self) -> NDArray[np.uint64]:
        """True id of each pair."""
        return self._merged().truth

    @property
    def voxels(self) -> NDArray[np.int64]:
        """Number of voxels of each pair."""
        return self._merged().voxels

    def _append(self, pairs: _Pairs) -> None:
        """Keep a part; parts are merged as they outgrow what is merged, so that a block costs the same throughout."""
        self._parts.append(pairs)
        self._pending += len(pairs.voxels)
        if self._pending > max(_FEW, len(self._parts[0].voxels)):
            self._merged()

    def _merged(self) -> _Pairs:
        if len(self._parts) > 1:
            self._parts = [_summed(_Pairs(*map(np.concatenate, zip(*self._parts, strict=True))))]
            self._pending = 0
        return self._parts[0]


class _Pairs(NamedTuple):
    prediction: NDArray[np.uint64]
    truth: NDArray[np.uint64]
    voxels: NDArray[np.int64]


def _summed(pairs: _Pairs) -> _Pairs:
    """Each pair once, with its sum, sorted by predicted, then true id."""
    if not len(pairs.voxels):
        return pairs
    half = np.uint64(32)
    if pairs.prediction.max() >> half or pairs.truth.max() >> half:
        order = np.lexsort((pairs.truth, pairs.prediction))
    else:  # both fit into one number, which sorts several times as fast
        order = np.argsort(pairs.prediction << half | pairs.truth)
    prediction, truth, voxels = pairs.prediction[order], pairs.truth[order], pairs.voxels[order]
    firsts = run_starts(prediction, truth)
    return _Pairs(prediction[firsts], truth[firsts], np.add.reduceat(voxels, firsts))


def sizes_by_id(
    ids: NDArray[np.uint64], voxels: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.intp], NDArray[np.int64]]:
    """Sum the voxels of each id, of one of a table's columns.

    Returns:
        the ids, ascending; the place of each row's id among them; the voxels of each id.
    """
    found, place = np.unique(ids, return_inverse=True)
    sizes = np.zeros(len(found), dtype=np.int64)
    np.add.at(sizes, place, voxels)
    return found, place, sizes


def as_contingency(prediction: Labels | Contingency, truth: Labels | None, known: Labels | None) -> Contingency:
    """The table of two arrays, or the one that is given in their place.

    Raises:
        TypeError: for an array without a truth, or a table with one.
    """
    if isinstance(prediction, Contingency):
        if truth is not None or known is not None:
            raise TypeError("a Contingency holds the truth already; give it alone, without truth and known")
        return prediction
    if truth is None:
        raise TypeError("truth is missing; give two label arrays, or a Contingency alone")
    return Contingency.of(prediction, truth, known)
