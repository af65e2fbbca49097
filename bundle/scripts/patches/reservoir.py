"""The first voxels of a class in a random order that does not depend on the order in which they are read."""

from __future__ import annotations

import numpy as np

_VOXELS, _INSTANCES = 0, 1
"""What is put into random order; each by numbers of its own."""

_PIECE = 2**18
"""Voxels that are looked at together: the first ones leave few of those that follow."""


class ClassReservoir:
    """Keeps the first `n` voxels of a class while all of them go by, whatever comes first.

    The order goes in rounds: each instance gives one voxel, the next round another one, and an instance whose voxels
    are used up gives none. So any number of first voxels is spread over the instances as evenly as their sizes allow,
    and is part of any larger number. Instances, and the voxels of each, follow pseudo-random keys, of which the
    smallest come first (bottom-k sampling: Cohen and Kaplan, PODC 2007).

    At most about `2 n` voxels are kept, however many there are, and however many instances.

    Args:
        n: how many are wanted, at least 1.
        seed: of the order.

    Attributes:
        seen: voxels that went by.
    """

    def __init__(self, n: int, seed: int) -> None:
        self.n, self.seed, self.seen = n, seed, 0
        self._rows = np.zeros((4, 0), np.uint64)  # key of the instance, key of the voxel, instance, voxel
        self._keys = np.zeros(0, np.uint64)  # of the instances that are kept, ascending
        self._bars = np.zeros(0, np.uint64)  # for each the key of a voxel from which on others are needed no more
        self._last = np.iinfo(np.uint64).max  # key of the last instance that can matter

    def add(self, voxels: np.ndarray, instances: np.ndarray) -> None:
        """Let some voxels go by.

        Args:
            voxels: N uint64, a number of its own for each voxel of the volume.
            instances: N uint64, or one number for all.
        """
        self.seen += len(voxels)
        instances = np.broadcast_to(instances, voxels.shape)
        for first in range(0, len(voxels), _PIECE):
            self._add(voxels[first : first + _PIECE], instances[first : first + _PIECE])

    def first(self) -> tuple[np.ndarray, np.ndarray]:
        """The voxels and their instances in order, `n` of each or as many as there are."""
        place, start, _ = _groups(self._rows[0])
        order = np.lexsort((self._rows[0], place - start))[: self.n]
        return self._rows[3, order], self._rows[2, order]

    def _add(self, voxels: np.ndarray, instances: np.ndarray) -> None:
        of_instance = random_keys(instances, self.seed, _INSTANCES)
        of_voxel = random_keys(voxels, self.seed, _VOXELS)
        wanted = of_instance <= self._last
        if len(self._keys):
            at = np.minimum(np.searchsorted(self._keys, of_instance), len(self._keys) - 1)
            wanted &= (self._keys[at] != of_instance) | (of_voxel < self._bars[at])
        if not wanted.any():
            return
        new = np.stack([column[wanted] for column in (of_instance, of_voxel, instances, voxels)])
        rows = np.concatenate([self._rows, new], axis=1)
        rows = rows[:, np.lexsort((rows[1], rows[0]))]
        place, start, number = _groups(rows[0])
        sizes = np.bincount(number)[: self.n]  # of later instances none is needed: the earlier ones give one each
        most = _rounds(sizes, self.n)
        self._rows = rows[:, (number < self.n) & (place - start < most)]
        place, start, number = _groups(self._rows[0])
        is_last = np.append(number[1:] != number[:-1], True)
        self._keys = self._rows[0, is_last]
        is_full = (place - start)[is_last] == most - 1
        self._bars = np.where(is_full, self._rows[1, is_last], np.iinfo(np.uint64).max)
        if len(self._keys) == self.n:
            self._last = self._keys[-1]


def random_keys(numbers: np.ndarray, seed: int, stream: int) -> np.ndarray:
    """Pseudo-random 64 bits for each number, different for different numbers.

    The mixing function of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).

    Args:
        numbers: uint64.
        seed: of the keys.
        stream: which of several independent sets of keys.
    """
    shift = np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)
    mixed = numbers * np.uint64(0x9E3779B97F4A7C15) + shift
    for bits, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed ^= mixed >> np.uint64(bits)
        mixed *= np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _groups(sorted_keys: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Index of each entry, index of the first one that equals it, and the number of its group from 0."""
    place = np.arange(len(sorted_keys))
    begins = np.append(True, sorted_keys[1:] != sorted_keys[:-1])[: len(sorted_keys)]
    return place, np.maximum.accumulate(np.where(begins, place, 0)), np.cumsum(begins) - 1


def _rounds(sizes: np.ndarray, n: int) -> int:
    """After how many rounds, one of each at most, instances of these sizes have given `n`; 1 to `n`."""
    low, high = 1, n
    while low < high:
        middle = (low + high) // 2
        if np.minimum(sizes, middle).sum() >= n:
            high = middle
        else:
            low = middle + 1
    return low
