"""The same numbers from one thread as from many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch computes in the calling thread alone, as it does in a process that loads patches.

    Matrix products and sums are rounded otherwise when several threads share them, by how many there are. It takes
    less than 0.1 ms, and other threads keep theirs.
    """
    n_threads = torch.get_num_threads()
    if n_threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
