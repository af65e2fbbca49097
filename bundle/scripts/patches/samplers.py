"""Which patch comes next in training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from .class_counts import ClassCounts
from .seeded import SeededIndex, sample_seed

METHODS = ("uniform", "foreground", "class_balanced")


class PatchSampler(Sampler[int]):
    """Draws an epoch of fixed length from any number of patches.

    - `"uniform"`: every patch as often as any other; each is drawn once before any is drawn again.
    - `"foreground"`: a share of the draws first chooses a class, each equally often, then a patch in proportion to how
      many of that class's voxels it holds, as nnU-Net does for a third of its samples; the rest is uniform.
    - `"class_balanced"`: all draws are of that kind, so that each class weighs by the inverse of its frequency.

    The draws of an epoch follow from the seed and the epoch's number alone, and so does the seed that each draw carries
    for its augmentation (see `PatchDataset`): neither the number of workers nor a stop in between changes them.

    Several processes share the draws: each takes every `n_ranks`-th, so that their batches together are the batch
    that one process would have with a batch size `n_ranks` times as large.

    Args:
        n_patches: number of patches.
        num_samples: draws per epoch, of all processes together; `None`: as many as there are patches.
        method: one of the above.
        counts: of the patches; not needed for `"uniform"`.
        foreground_share: share of the draws that `"foreground"` makes by class, 0 to 1.
        seed: of all draws.
        rank: number of this process, from 0.
        n_ranks: number of processes.

    Raises:
        ValueError: for an unknown method, a share out of range, no patches, draws that the processes cannot share
            evenly, or counts that lack or hold no class.
    """

    def __init__(
        self,
        n_patches: int,
        num_samples: int | None = None,
        method: str = "uniform",
        counts: ClassCounts | None = None,
        foreground_share: float = 1 / 3,
        seed: int = 0,
        rank: int = 0,
        n_ranks: int = 1,
    ) -> None:
        if method not in METHODS:
            raise ValueError(f"sampler must be one of {', '.join(METHODS)}; got {method!r}")
        if not 0 <= foreground_share <= 1:
            raise ValueError(f"foreground_share is a share from 0 to 1; got {foreground_share}")
        if n_patches < 1 or (num_samples is not None and num_samples < 1):
            raise ValueError(f"expected at least one patch and one sample; got {n_patches} and {num_samples}")
        if not 0 <= rank < n_ranks:
            raise ValueError(f"rank must be 0 to n_ranks - 1; got rank = {rank}, n_ranks = {n_ranks}")
        self.n_patches = n_patches
        self.num_samples = n_patches if num_samples is None else num_samples
        if self.num_samples % n_ranks:
            raise ValueError(f"{n_ranks} processes cannot share {self.num_samples} samples evenly")
        self.seed, self.rank, self.n_ranks = seed, rank, n_ranks
        self.epoch, self._skipped = 1, 0
        self.method = method
        self.share = {"uniform": 0.0, "foreground": foreground_share, "class_balanced": 1.0}[method]
        self._shares = _voxel_shares(counts, n_patches, method) if method != "uniform" else None

    def __len__(self) -> int:
        return self.num_samples // self.n_ranks

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next iteration belongs to, counted from 1; each iteration goes on to the next one."""
        self.epoch = epoch

    def skip(self, samples: int) -> None:
        """Begin the next iteration, and only that one, behind so many of its draws, for an epoch that goes on."""
        self._skipped = samples

    def __iter__(self) -> Iterator[int]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        skipped, self._skipped = self._skipped, 0
        rng = np.random.default_rng([self.seed, epoch])
        drawn = self._uniform(rng)
        if self._shares is not None:
            by_class = rng.permutation(self.num_samples)[: round(self.share * self.num_samples)]
            classes = _repeated_permutations(len(self._shares), len(by_class), rng)
            for k, shares in enumerate(self._shares):
                places = by_class[classes == k]
                drawn[places] = rng.choice(self.n_patches, len(places), p=shares)
        for position in range(self.rank, self.num_samples, self.n_ranks)[skipped:]:
            yield SeededIndex(int(drawn[position]), sample_seed(self.seed, epoch, position))

    def _uniform(self, rng: np.random.Generator) -> np.ndarray:
        return _repeated_permutations(self.n_patches, self.num_samples, rng)


def select_patches(
    patches: Sequence[Mapping[str, Any]], counts: ClassCounts | None = None, force_all_classes: bool = False
) -> list[int]:
    """Indices of the patches that may be drawn.

    Args:
        patches: what may be chosen from.
        counts: of these patches; needed for `force_all_classes`.
        force_all_classes: only patches that hold every class.

    Raises:
        ValueError: if no patch holds every class; the message says which class is missing most often.
    """
    if not force_all_classes:
        return list(range(len(patches)))
    if counts is None:
        raise ValueError("force_all_classes needs the class counts of the patches; see count_classes")
    holds = counts.counts > 0
    kept = np.flatnonzero(holds.all(axis=1)).tolist()
    if not kept:
        number = dict(zip(counts.names, holds.sum(axis=0).tolist(), strict=True))
        raise ValueError(
            f"force_all_classes: none of {len(patches)} patches holds every class; patches that hold each: {number}. "
            "Make patch_size larger, lower min_labeled_ratio, leave out the rarest class, or set it to false"
        )
    return kept


def _voxel_shares(counts: ClassCounts | None, n_patches: int, method: str) -> np.ndarray:
    """K N: for each class that occurs, each patch's share of its voxels."""
    if counts is None or len(counts.counts) != n_patches:
        given = "none" if counts is None else f"those of {len(counts.counts)}"
        raise ValueError(f"sampler '{method}' needs the class counts of its {n_patches} patches; got {given}")
    voxels: np.ndarray = np.maximum(counts.counts, 0).astype(float).T  # N K -> K N
    voxels = voxels[voxels.sum(axis=1) > 0]
    if len(voxels) == 0:
        raise ValueError(f"sampler '{method}': no patch holds any of the classes {', '.join(counts.names)}")
    return np.asarray(voxels / voxels.sum(axis=1, keepdims=True))


def _repeated_permutations(n: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """Numbers 0 to n - 1 in random order, again and again."""
    rounds = [rng.permutation(n) for _ in range(-(-length // n))]
    return np.concatenate(rounds)[:length] if rounds else np.zeros(0, int)
