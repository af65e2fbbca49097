"""Blocks predicted by many processes, on one machine or many."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from .block_job import BlockJob
from .block_layout import Block, Chunk
from .progress import RunProgress


class Distributed:
    """Predicts blocks in the workers of a Dask cluster; the bytes are those of one process with as many threads.

    Needs the extra `distributed`. Output, and where the workers are on other machines the input and `scratch`, must be
    within reach of all of them.

    Args:
        cluster: a cluster of Dask's deployers, or the address of a scheduler; `None`: worker processes here.
        n_workers: how many; `None`: one per GPU, or per core where there is none (for a cluster: those that it has).
        threads: with which each worker computes.
        code_path: folder that holds the package, as the workers see it; `None`: as this process sees it.
    """

    def __init__(
        self,
        cluster: Any = None,
        n_workers: int | None = None,
        threads: int = 1,
        code_path: str | Path | None = None,
    ) -> None:
        self.cluster = cluster
        self.n_workers = n_workers
        self.threads = threads
        self.code_path = code_path

    def run(self, job: BlockJob, blocks: Sequence[Block], progress: RunProgress) -> None:
        """Predict blocks, and merge each chunk that no block could write as soon as its last block is finished.

        Args:
            job: what is done with each.
            blocks: which.
            progress: what is told.

        Raises:
            ImportError: without the extra.
            RuntimeError: if a worker lacks the package, or a block ends its worker again and again.
        """
        from ..blockwise.dask_pool import Call, DaskPool  # needs the extra

        merging = _Merging(job)

        def follow(call: Call, result: Any) -> list[Call]:
            method, part = call
            if method == "merge":
                return []
            job.ledger.note(part, result[1])
            return [("merge", chunk) for chunk in merging.after(part)]

        calls: list[Call] = [("merge", chunk) for chunk in merging.left_over()]
        calls += [("predict", block) for block in blocks]
        with DaskPool(self.cluster, self.n_workers, self.threads, self.code_path) as pool:
            for result in pool.map(_sendable(job), calls, follow):
                totals = result[0] if isinstance(result, tuple) else result
                progress.advance(totals.skipped + totals.evaluated)
                progress.add(totals)


class _Merging:
    """Knows which chunks have sums of finished blocks only, and have been written by nobody."""

    def __init__(self, job: BlockJob) -> None:
        self.job = job
        self._settled = {tuple(chunk) for _, outcome in job.ledger.items() for chunk in outcome["finished"]}
        self._settled.update(chunk for chunk, _ in job.merged.items())

    def left_over(self) -> list[Chunk]:
        """Chunks that an earlier run left to be merged."""
        return [chunk for chunk in self.job.unmerged() if self._settle(chunk)]

    def after(self, block: Block) -> list[Chunk]:
        """Chunks that the end of a block leaves to be merged."""
        outcome = self.job.ledger.find(block) or {}
        self._settled.update(tuple(chunk) for chunk in outcome.get("finished", []))
        return [chunk for chunk in self.job.layout.chunks(block) if self._settle(chunk)]

    def _settle(self, chunk: Chunk) -> bool:
        """Whether a chunk is to be merged now; it is said once."""
        if chunk in self._settled:
            return False
        blocks = self.job.contributors(chunk)
        if not all(block in self.job.ledger for block in blocks):  # as far as this process knows
            return False
        self._settled.add(chunk)
        return any(list(chunk) in (self.job.ledger.find(block) or {})["kept"] for block in blocks)


def _sendable(job: BlockJob) -> BlockJob:
    """The job with a network that any process can receive: on the CPU."""
    network = job.predictor.network
    if isinstance(network, torch.nn.Module):
        network = copy.deepcopy(network).to("cpu")
    return replace(job, predictor=replace(job.predictor, network=network))
