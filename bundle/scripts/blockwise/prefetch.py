"""Work that runs ahead of its consumer, or behind its producer, in a thread and within bounds."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

_END = object()

_PARTING_SECONDS: float | None = 10.0
"""How long a thread is waited for when an error or a signal ends the work: it may wait for a file system itself."""


@contextlib.contextmanager
def ahead(items: Iterable[T], depth: int = 2) -> Iterator[Iterator[T]]:
    """Iterate in another thread, at most `depth` items ahead.

    An error of the iterable is raised where its item would have come. On leaving the context the thread ends after the
    item that it is at; where an error is the reason, that is not waited for without end.

    Args:
        items: run through in that thread.
        depth: items that may wait.
    """
    waiting: queue.Queue[Any] = queue.Queue(depth)
    is_left = threading.Event()

    def put(item: Any) -> bool:
        while not is_left.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put(item, timeout=0.1)
                return True
        return False

    def produce() -> None:
        try:
            for item in items:
                if not put((item, None)):
                    return
            put((_END, None))
        except BaseException as error:  # whatever it is belongs to the consumer
            put((_END, error))

    def consume() -> Iterator[T]:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item

    thread = threading.Thread(target=produce, name="ahead", daemon=True)
    thread.start()
    patience = _PARTING_SECONDS
    try:
        yield consume()
        patience = None
    finally:
        is_left.set()
        thread.join(patience)


class Behind:
    """Calls that are made one after the other in another thread, while their caller goes on.

    Only one call waits or runs at a time: the next one waits for it, and raises its error.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="behind")
        self._last: Future[Any] | None = None

    def __enter__(self) -> Behind:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if kind is None:
                self.wait()
        finally:
            self._pool.shutdown(wait=True)

    def submit(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a function when the call before it has ended."""
        self.wait()
        self._last = self._pool.submit(function, *args)

    def wait(self) -> None:
        """Wait for the last call; its error is raised here."""
        last, self._last = self._last, None
        if last is not None:
            last.result()
