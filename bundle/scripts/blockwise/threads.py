"""Parts of a job done by threads of this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Self

from .jobs import Call, Job

_AHEAD = 2
"""Calls per thread that are handed out at once."""


@dataclass
class Threads:
    """Does what `DaskPool` does in this process.

    Args:
        threads: how many parts are done at the same time.
    """

    threads: int = 1

    def pool(self) -> Self:
        """The threads, to be entered as a context."""
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(
        self, job: Job, calls: Sequence[Call], follow: Callable[[Call, Any], Sequence[Call]] = lambda *_: ()
    ) -> Iterator[Any]:
        """Call methods of a job and yield the results as they come; see `DaskPool.map`."""
        waiting, urgent = iter(calls), list[Call]()
        running: dict[Future[Any], Call] = {}
        with job.prepared(0), ThreadPoolExecutor(self.threads) as pool:
            while True:
                while len(running) < _AHEAD * self.threads:
                    call = urgent.pop(0) if urgent else next(waiting, None)
                    if call is None:
                        break
                    running[pool.submit(getattr(job, call[0]), call[1])] = call
                if not running:
                    return
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    call, result = running.pop(done), done.result()
                    urgent += follow(call, result)
                    yield result
