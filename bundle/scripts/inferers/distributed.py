"""Blocks predicted by many processes, on one machine or many."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from ..blockwise import DaskWorkers
from .block_job import BlockJob
from .block_layout import Block, Chunk
from .level_job import LevelJob
from .progress import RunProgress
from .store import PredictionStore

if TYPE_CHECKING:
    from ..blockwise import Call
    from ..blockwise.dask_pool import DaskPool


class Distributed(DaskWorkers):
    """Predicts blocks in the workers of a Dask cluster; the bytes are those of one process with as many threads.

    Output, and where the workers are on other machines the input and `scratch`, must be within reach of all of them.
    """

    def run(self, job: BlockJob, blocks: Sequence[Block], progress: RunProgress) -> None:
        """Predict blocks, merge each chunk that no block could write as soon as its last block is finished, and build
        the coarser levels.

        Args:
            job: what is done with each.
            blocks: which.
            progress: what is told.

        Raises:
            ImportError: without the extra.
            RuntimeError: if a worker lacks the package, or a block ends its worker again and again.
        """
        merging = _Merging(job)

        def follow(call: Call, result: Any) -> list[Call]:
            method, part = call
            if method == "merge":
                return []
            job.ledger.note(part, result[1])
            return [("merge", chunk) for chunk in merging.after(part)]

        calls: list[Call] = [("merge", chunk) for chunk in merging.left_over()]
        calls += [("predict", block) for block in blocks]
        with self.pool() as pool:
            for result in pool.map(_sendable(job), calls, follow):
                totals = result[0] if isinstance(result, tuple) else result
                progress.advance(totals.skipped + totals.evaluated)
                progress.add(totals)
            _build_levels(pool, job.store)


def _build_levels(pool: DaskPool, store: PredictionStore) -> None:
    """The coarser levels of every image, each level from the one below."""
    for number, writer in enumerate(store.writers):
        for level in writer.pyramid_levels():
            writer.start_level(level)
            calls: list[Call] = [("write", (number, level, *index)) for index in writer.level_blocks(level)]
            for _ in pool.map(LevelJob(store), calls):
                pass
        writer.list_levels()


class _Merging:
    """Knows which chunks have sums of finished blocks only, and have been written by nobody.

    It keeps no list of chunks, of which a run may have millions: a chunk's turn comes when the last of its blocks is
    finished, and that happens once.
    """

    def __init__(self, job: BlockJob) -> None:
        self.job = job

    def left_over(self) -> list[Chunk]:
        """Chunks that an earlier run left to be merged."""
        return [chunk for chunk in self.job.unmerged() if self._is_due(chunk)]

    def after(self, block: Block) -> list[Chunk]:
        """Chunks that the end of a block leaves to be merged."""
        return [chunk for chunk in self.job.layout.chunks(block) if self._is_due(chunk)]

    def _is_due(self, chunk: Chunk) -> bool:
        """Whether all blocks of a chunk are finished, as far as this process knows, and none of them has written it."""
        blocks = self.job.contributors(chunk)
        if not all(block in self.job.ledger for block in blocks):
            return False
        outcomes = [self.job.ledger.find(block) or {} for block in blocks]
        is_written = any(list(chunk) in outcome["finished"] for outcome in outcomes)
        return not is_written and any(list(chunk) in outcome["kept"] for outcome in outcomes)


def _sendable(job: BlockJob) -> BlockJob:
    """The job with a network that any process can receive: on the CPU."""
    network = job.predictor.network
    if isinstance(network, torch.nn.Module):
        network = copy.deepcopy(network).to("cpu")
    return replace(job, predictor=replace(job.predictor, network=network))
