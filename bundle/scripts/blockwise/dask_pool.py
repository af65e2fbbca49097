"""Worker processes of a Dask cluster, on this machine or on many, that do the parts of one job."""

from __future__ import annotations

import contextlib
import logging
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from . import worker_code
from .dask_workers import DaskWorkers
from .jobs import Call, Job

try:
    import cloudpickle
    import distributed
except ImportError as error:  # the extra `distributed` is not installed
    raise ImportError(
        "distributed inference needs dask.distributed; install it by: pip install 'polytome[distributed]'"
    ) from error

logger = logging.getLogger(__name__)

_PACKAGE = __name__.split(".")[0]
_TASKS_PER_THREAD = 2
"""Parts that are handed out before they are needed: one is computed, one waits."""


class DaskPool:
    """Hands parts of a job to workers, few at a time; a part whose worker dies is given to another one.

    Args:
        workers: which.

    Raises:
        RuntimeError: if a worker lacks the package, or has another version of it.
    """

    def __init__(self, workers: DaskWorkers) -> None:
        self.cluster, self.n_workers, self.threads = workers.cluster, workers.n_workers, workers.threads
        self.code_path = str(workers.code_path or Path(__file__).parents[2])
        self._exits = contextlib.ExitStack()

    def __enter__(self) -> DaskPool:
        with contextlib.ExitStack() as exits:
            exits.enter_context(_quiet())
            self.client = exits.enter_context(distributed.Client(self._address(exits)))
            if self.n_workers is not None:
                self.client.wait_for_workers(self.n_workers, timeout=600)
            self._send_code()
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.__exit__(kind, error, trace)

    def map(
        self, job: Job, calls: Sequence[Call], follow: Callable[[Call, Any], Sequence[Call]] = lambda *_: ()
    ) -> Iterator[Any]:
        """Call methods of a job, each in some worker, and yield the results as they come.

        Args:
            job: is sent to every worker once.
            calls: in the order in which they are handed out.
            follow: given a call and its result, names calls to make next; none, where it is not given.
        """
        plugin = _JobPlugin(job, self.threads)
        self.client.register_plugin(plugin, name=plugin.name)
        try:
            yield from self._map(plugin.name, list(calls), follow)
        finally:
            with contextlib.suppress(Exception):  # the scheduler may be gone, and with it the plugin
                self.client.unregister_worker_plugin(plugin.name)

    def _map(self, name: str, calls: list[Call], follow: Callable[[Call, Any], Sequence[Call]]) -> Iterator[Any]:
        waiting = iter(calls)
        urgent: list[Call] = []
        made: dict[Any, Call] = {}
        running = distributed.as_completed()

        def hand_out() -> None:
            while len(made) < _TASKS_PER_THREAD * max(sum(self.client.nthreads().values()), 1):
                call = urgent.pop(0) if urgent else next(waiting, None)
                if call is None:
                    return
                future = self.client.submit(_call, name, *call, pure=False)
                made[future] = call
                running.add(future)

        hand_out()
        while made:
            future = next(running)
            call = made.pop(future)
            try:
                result = future.result()
            except distributed.KilledWorker as error:
                raise RuntimeError(
                    f"{call[0]} of {call[1]} ended its worker several times, by lack of memory perhaps: give workers "
                    "more, or a smaller memory_limit"
                ) from error
            urgent += follow(call, result)
            hand_out()
            yield result

    def _address(self, exits: contextlib.ExitStack) -> Any:
        if isinstance(self.cluster, str):
            return self.cluster
        if self.cluster is not None:
            if self.n_workers is not None:
                self.cluster.scale(self.n_workers)
            return self.cluster
        self.n_workers = self.n_workers or usual_workers()
        return exits.enter_context(
            distributed.LocalCluster(
                n_workers=self.n_workers,
                threads_per_worker=1,
                processes=True,
                memory_limit=0,  # a run keeps to its own limit
                dashboard_address=":0",  # any free port
            )
        )

    def _send_code(self) -> None:
        """Let workers find the package, and check that they do."""
        cloudpickle.register_pickle_by_value(worker_code)
        try:
            self.client.register_plugin(worker_code.CodePath(self.code_path))
            if self.cluster is None:  # workers of this process alone, and of this terminal
                self.client.register_plugin(worker_code.LeavesInterrupts())
            found = self.client.run(worker_code.code_digest, _PACKAGE)
        finally:
            cloudpickle.unregister_pickle_by_value(worker_code)
        wanted = worker_code.code_digest(_PACKAGE)
        for worker, digest in found.items():
            if digest != wanted:
                trouble = "cannot import the package" if digest is None else "has another version of the package"
                raise RuntimeError(
                    f"worker {worker} {trouble} '{_PACKAGE}'; give the folder that holds it, as workers see it, as "
                    f"code_path (now {self.code_path}), or install the bundle there"
                )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Of what Dask's parts say to each other, only warnings are shown."""
    log = logging.getLogger("distributed")
    level = log.level
    log.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        log.setLevel(level)


class _JobPlugin(distributed.WorkerPlugin):
    """A job in a worker process; Dask gives it to workers that come later, too."""

    def __init__(self, job: Job, threads: int) -> None:
        self.name = f"{_PACKAGE}-{uuid.uuid4().hex[:8]}"
        self.job = job
        self.threads = threads

    def setup(self, worker: Any) -> None:
        self._exits = contextlib.ExitStack()
        self._exits.enter_context(self.job.prepared(worker_number(worker.name)))

    def teardown(self, worker: Any) -> None:
        self._exits.close()


def worker_number(name: Any) -> int:
    """A number for a worker's name: the last number in it; 0 where there is none."""
    digits = "".join(c if c.isdigit() else " " for c in str(name)).split()
    return int(digits[-1]) if digits else 0


def usual_workers() -> int:
    """One worker per GPU, or per core where there is none."""
    return torch.cuda.device_count() or os.cpu_count() or 1


def _call(name: str, method: str, part: tuple[int, ...]) -> Any:
    """Do a part in a worker."""
    plugin: Any = distributed.get_worker().plugins[name]
    torch.set_num_threads(plugin.threads)  # counts for the thread that calls it
    return getattr(plugin.job, method)(part)
