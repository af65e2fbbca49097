"""What follows for a class from what is known of the others, voxel by voxel."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

import torch

_BITS = 62
"""Atomic classes that one int64 holds as bits."""


def fill_unknown(
    states: torch.Tensor, atoms: Sequence[AbstractSet[int]], mutual_exclusion: bool = False
) -> torch.Tensor:
    """Decide classes that are unknown at a voxel, where those that are known there leave no choice.

    A class that is present makes all classes present that hold its atomic classes, and one that is absent takes its
    atomic classes from all others: a class is absent where all its parts are. With `mutual_exclusion` a voxel belongs
    to one atomic class at most, so that a class that is present also makes those absent that share none with it.

    Args:
        states: K ..., one class each: above 0 present, 0 absent, below 0 unknown.
        atoms: the atomic classes of each of the K classes.
        mutual_exclusion: whether a voxel belongs to one atomic class at most.

    Returns:
        a new tensor with 1 and 0 for some of the unknown; known voxels stay as they are, and so do voxels at which what
        is known contradicts itself.

    Raises:
        ValueError: when there is not one set of atomic classes per class.
    """
    if len(states) != len(atoms):
        raise ValueError(f"expected the atomic classes of each of {len(states)} classes; got {len(atoms)} sets")
    flat = states.reshape(len(states), -1)  # K V
    unknown = flat < 0
    wanted = [k for k in range(len(flat)) if unknown[k].any()]
    filled = flat.clone()
    if wanted:
        starts = _run_starts(flat)
        lengths = torch.diff(starts, append=starts.new_tensor([flat.shape[1]]))
        decided = _decide(flat[:, starts], atoms, mutual_exclusion)
        for k in wanted:
            filled[k] = torch.where(unknown[k], decided[k].repeat_interleave(lengths), flat[k])
    return filled.reshape(states.shape)


def _run_starts(states: torch.Tensor) -> torch.Tensor:
    """Where voxels, K V, differ from the one before: in labels, few places, and only those need thought."""
    begins = torch.ones(states.shape[1], dtype=torch.bool, device=states.device)
    begins[1:] = _any(state[1:] != state[:-1] for state in states)
    return begins.nonzero()[:, 0]


def _decide(states: torch.Tensor, atoms: Sequence[AbstractSet[int]], mutual_exclusion: bool) -> torch.Tensor:
    known = _Exclusive(states, atoms) if mutual_exclusion else _Overlapping(states, atoms)
    decided = states.clone()
    for k, state in enumerate(states):
        undecided = (state < 0) & known.is_consistent
        decided[k][undecided & known.must_be(k)] = 1
        decided[k][undecided & known.cannot_be(k)] = 0
    return decided


class _Exclusive:
    """What is known at every voxel where it belongs to one atomic class at most.

    The atomic classes that are still possible are the bits of a number; one more bit stands for none of them.
    """

    def __init__(self, states: torch.Tensor, atoms: Sequence[AbstractSet[int]]) -> None:
        self.masks = _bit_masks(atoms)
        n_words = len(self.masks[0])
        every = (1 << _BITS) - 1
        self.possible = [torch.full(states.shape[1:], every, dtype=torch.int64, device=states.device)] * n_words
        for state, mask in zip(states, self.masks, strict=True):
            for w, bits in enumerate(mask):
                left = torch.where(state > 0, bits, torch.where(state == 0, every & ~bits, every))
                self.possible[w] = self.possible[w] & left
        self.is_consistent = _any(word != 0 for word in self.possible)

    def must_be(self, k: int) -> torch.Tensor:
        return ~_any((word & ~bits) != 0 for word, bits in zip(self.possible, self.masks[k], strict=True))

    def cannot_be(self, k: int) -> torch.Tensor:
        return ~_any((word & bits) != 0 for word, bits in zip(self.possible, self.masks[k], strict=True))


class _Overlapping:
    """What is known at every voxel where it may belong to any number of atomic classes."""

    def __init__(self, states: torch.Tensor, atoms: Sequence[AbstractSet[int]]) -> None:
        self.masks = _bit_masks(atoms)
        nothing = torch.zeros(states.shape[1:], dtype=torch.int64, device=states.device)
        self.excluded = [nothing] * len(self.masks[0])
        for state, mask in zip(states, self.masks, strict=True):
            self.excluded = [
                word | torch.where(state == 0, bits, 0) for word, bits in zip(self.excluded, mask, strict=True)
            ]
        self.present = {k: state > 0 for k, state in enumerate(states) if (state > 0).any()}
        self.is_consistent = ~_any(
            [there & self.cannot_be(k) for k, there in self.present.items()] or [torch.zeros_like(states[0] > 0)]
        )

    def must_be(self, k: int) -> torch.Tensor:
        """Where a class is present whose atomic classes, but for the excluded ones, are all of this one."""
        implied = torch.zeros_like(self.excluded[0], dtype=torch.bool)
        for other, there in self.present.items():
            beyond = [mine & ~theirs for mine, theirs in zip(self.masks[other], self.masks[k], strict=True)]
            implied |= there & ~_any((bits & ~word) != 0 for word, bits in zip(self.excluded, beyond, strict=True))
        return implied

    def cannot_be(self, k: int) -> torch.Tensor:
        return ~_any((bits & ~word) != 0 for word, bits in zip(self.excluded, self.masks[k], strict=True))


def _any(parts: Iterable[torch.Tensor]) -> torch.Tensor:
    return functools.reduce(torch.logical_or, parts)


def _bit_masks(atoms: Sequence[AbstractSet[int]]) -> list[list[int]]:
    """Bits of each class: one per set of atomic classes that no class tells apart, in words of `_BITS` bits.

    The last word has at least one bit that belongs to no class.
    """
    kinds = {tuple(number in one for one in atoms) for number in set().union(*atoms)}
    ordered = sorted(kinds)
    n_words = len(ordered) // _BITS + 1
    return [
        [
            sum(1 << bit for bit, kind in enumerate(ordered[w * _BITS : (w + 1) * _BITS]) if kind[k])
            for w in range(n_words)
        ]
        for k in range(len(atoms))
    ]
