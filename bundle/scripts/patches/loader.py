"""Batches of patches from worker processes, whose ends are told in words."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver
from numbers import Integral
from typing import Any

from monai.data import DataLoader, Dataset, list_data_collate
from monai.data.utils import worker_init_fn

from .batch_transport import BatchCollation
from .patch_errors import LoaderError, PatchError

_LOOK_EVERY = 5.0
"""Seconds after which a loader that waits looks whether its workers live."""


_IMPORTED = ["monai.data", "monai.transforms", "scipy.ndimage", "tensorstore", "zarr"]
"""By the server of workers; none of them starts a thread on import, which a fork would lose."""


class PatchLoader(DataLoader):
    """MONAI's `DataLoader` for runs that nobody watches.

    A worker that dies, for instance because memory has run out, a loader that gives nothing for `load_timeout`, and a
    patch that cannot be made end with a message that says so. Workers leave Ctrl-C to the process that they work for,
    and end when it ends, however that happens. Those of `forkserver` share what they import.

    Args:
        dataset: the samples.
        num_workers: processes that load; 0: none, this process does.
        load_timeout: seconds for which workers may give no batch; `None`: for ever.
        options: as PyTorch's `DataLoader` has them.

    Raises:
        ValueError: for a timeout that is not positive, a list as sampler that is empty or holds anything else, and
            `None` as `batch_size`, with which PyTorch makes no batches.
    """

    def __init__(
        self, dataset: Dataset, num_workers: int = 0, load_timeout: float | None = None, **options: Any
    ) -> None:
        if load_timeout is not None and not load_timeout > 0:
            raise ValueError(
                f"load_timeout must be a positive number of seconds, or null for none; got {load_timeout!r}"
            )
        sampler = options.get("sampler")
        if isinstance(sampler, (list, tuple)) and not (
            sampler and all(isinstance(index, Integral) for index in sampler)
        ):
            raise ValueError(f"sampler must give numbers of patches; got {sampler!r}")
        if options.get("batch_size", 1) is None:
            raise ValueError("batch_size must be a whole number of at least 1; got None")
        self.load_timeout = load_timeout
        # PyTorch looks after its workers at each timeout; ours is counted in these
        look_every = 0 if load_timeout is None or num_workers == 0 else min(_LOOK_EVERY, load_timeout)
        options = {"worker_init_fn": begin_worker, "collate_fn": collate_alike, "timeout": look_every} | options
        options["collate_fn"] = BatchCollation(options["collate_fn"])
        super().__init__(dataset, num_workers, **options)
        context = self.multiprocessing_context
        if context is not None and context.get_start_method() == "forkserver":
            start_server()

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Batches of an epoch.

        Raises:
            PatchError: names the patch.
            LoaderError: if a worker has died, or none has answered within `load_timeout`.
        """
        with _without_interrupts():
            batches = super().__iter__()
        while True:
            try:
                batch = self._next(batches)
            except StopIteration:
                return
            yield batch

    def _next(self, batches: Iterator[Any]) -> Any:
        began = time.monotonic()
        while True:
            try:
                return next(batches)
            except PatchError as error:
                raise PatchError(error.plain) from None
            except RuntimeError as error:
                if died := re.search(r"DataLoader worker \(pid\(s\) ([\d, ]+)\) exited unexpectedly", str(error)):
                    raise _death(f" (process number {died[1]})") from error
                if self.load_timeout is None or "DataLoader timed out after" not in str(error):
                    raise
                if time.monotonic() - began >= self.load_timeout:
                    raise LoaderError(
                        f"no batch has come for load_timeout = {self.load_timeout:g} s from the processes that load "
                        f"patches (num_workers = {self.num_workers}): a disk or a server may not answer; raise "
                        "load_timeout if they are only slow"
                    ) from error
            except (EOFError, ConnectionError, FileNotFoundError) as error:
                if self.num_workers == 0 or "in DataLoader worker process" in str(error):
                    raise  # of the data
                raise _death() from error  # it announced a batch, and could no longer hand it over


def _death(which: str = "") -> LoaderError:
    return LoaderError(
        f"a process that loads patches has died{which}; mostly it was killed because memory had run out: lower "
        "num_workers or chunk_cache, or take smaller patches"
    )


def start_server() -> None:
    """Start the process that workers of `forkserver` are forked from, unless there is one.

    It imports what all of them need once, while this process still gets ready, and they share that memory. The package
    itself is not among it: the server knows only what is installed.
    """
    with _without_interrupts():
        multiprocessing.set_forkserver_preload(_IMPORTED)
        forkserver.ensure_running()


def collate_alike(samples: Sequence[Any]) -> Any:
    """MONAI's `list_data_collate` of samples that have the same keys and shapes.

    Raises:
        PatchError: names the keys in which they differ.
    """
    if all(isinstance(sample, Mapping) for sample in samples):
        shapes = {
            key: {str(_shape(sample.get(key))) for sample in samples} for key in {key for one in samples for key in one}
        }
        unlike = [f"'{key}' {' and '.join(sorted(found))}" for key, found in shapes.items() if len(found) > 1]
        if unlike:
            raise PatchError(
                f"patches of one batch differ: {'; '.join(sorted(unlike))}. Transforms must leave all patches with the "
                "same keys and shapes"
            )
    return list_data_collate(samples)


def _shape(value: Any) -> Any:
    if value is None:
        return "missing"
    return tuple(value.shape) if hasattr(value, "shape") else type(value).__name__


def begin_worker(number: int) -> None:
    """What a worker does first: Ctrl-C is not for it, the end of the process that it works for is.

    Args:
        number: of the worker.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    worker_init_fn(number)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Processes that are started within do not get Ctrl-C from their first instruction on; this one gets it later."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
