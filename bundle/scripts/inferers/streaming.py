"""Blocks one after the other in this process: reading ahead, predicting, writing behind."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..blockwise import Behind, ahead
from .block_job import BATCHES_AHEAD, BlockJob
from .block_layout import Block
from .block_reader import BlockEnd
from .block_sums import BlockSums
from .progress import RunProgress
from .totals import Totals


class InProcess:
    """Predicts blocks in this process.

    One thread reads the next windows while the network runs, another one writes what the block before came to. All
    queues are short, so that memory holds the sums and the voxels of two blocks at most.
    """

    @property
    def threads(self) -> int:
        return torch.get_num_threads()

    def run(self, job: BlockJob, blocks: Sequence[Block], progress: RunProgress) -> None:
        """Predict blocks in their order, then merge what is unmerged and build the coarser levels.

        Args:
            job: what is done with each.
            blocks: which.
            progress: what is told.
        """
        sums: BlockSums | None = None

        def finish(block: Block, values: BlockSums | None, totals: Totals) -> None:
            progress.add(job.finish(block, values, totals))

        with job.prepared(), Behind() as behind, ahead(job.reader.read(blocks), BATCHES_AHEAD) as steps:
            for step in steps:
                if isinstance(step, BlockEnd):
                    progress.advance(step.totals.skipped)
                    behind.submit(finish, step.block, sums, step.totals)
                    sums = None
                else:
                    sums = job.evaluate(step, sums)
                    progress.advance(len(step.windows))
        for chunk in job.unmerged():
            progress.add(job.merge(chunk))
        job.store.build_levels(job.level_memory)
