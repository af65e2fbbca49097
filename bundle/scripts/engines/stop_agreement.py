"""Several processes stop after the same batch."""

from __future__ import annotations

import torch
from torch import distributed


class StopAgreement:
    """Which signal, if any, one of the processes has caught: the same answer in all of them for each batch.

    A process that left while the others wait for its gradients would leave them waiting. The numbers travel while the
    batch is computed, between CPUs, so that nothing waits for them.

    A single process agrees with itself.
    """

    def __init__(self) -> None:
        self.is_shared = distributed.is_available() and distributed.is_initialized()
        self.is_first = not self.is_shared or distributed.get_rank() == 0
        self._group = distributed.new_group(backend="gloo") if self.is_shared else None
        self._said = torch.zeros(1, dtype=torch.int64)
        self._sending: distributed.Work | None = None

    def say(self, caught: int | None) -> None:
        """Tell the others before a batch which signal this process has caught."""
        if self.is_shared:
            self._said = torch.tensor([caught or 0])
            self._sending = distributed.all_reduce(
                self._said, distributed.ReduceOp.MAX, group=self._group, async_op=True
            )

    def heard(self) -> int | None:
        """After the batch: a signal that one of them had caught before it."""
        if self._sending is not None:
            self._sending.wait()
            self._sending = None
        return int(self._said) or None

    def wait_for_all(self) -> None:
        """Return when every process has come here: `torchrun` ends all of them as soon as one has ended."""
        if self.is_shared:
            distributed.barrier(group=self._group)
