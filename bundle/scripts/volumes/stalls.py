"""File systems that do not answer: how long they are waited for, and what is said in the end.

A disk answers in milliseconds, or with an error. A file system of the network may not answer at all: the call then
never returns, and the run that made it would stand still without a word. So it is made in a thread that can be left
alone.

| Variable | Default | Meaning |
|---|---|---|
| `POLYTOME_READ_TIMEOUT` | 300 | seconds for which a local read is waited for, twice; see `SLOWEST`, too |

Servers are waited for as `retries` says.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from .errors import StalledError
from .retries import number_of_environment

logger = logging.getLogger(__name__)

T = TypeVar("T")

TIMEOUT_SECONDS = 300.0
TRIES = 2

SLOWEST = 2**28
"""Bytes of voxels that may take the whole time; a larger read is given as many times as long."""


def timeout(n_bytes: int = 0) -> float:
    """Seconds for which a read is waited for.

    Args:
        n_bytes: of voxels that it decodes.

    Raises:
        ValueError: for a variable of the environment that is no number, or too small.
    """
    return number_of_environment("POLYTOME_READ_TIMEOUT", TIMEOUT_SECONDS, 0.01) * max(1, -(-n_bytes // SLOWEST))


def in_time(what: str, read: Callable[[float], T], n_bytes: int = 0) -> T:
    """Read, and once more where that does not come back.

    Args:
        what: store and box, or file, for messages.
        read: is given the seconds within which it returns, or raises `TimeoutError`.
        n_bytes: of voxels that it decodes.

    Raises:
        StalledError: where that does not come back either.
    """
    seconds = timeout(n_bytes)
    for tried in range(1, TRIES + 1):
        try:
            return read(seconds)
        except TimeoutError as error:
            if isinstance(error, StalledError):  # of a store below, which has been patient already
                raise
            _report(what, seconds, tried)
    raise _stalled(what, seconds)


async def in_time_async(what: str, read: Callable[[], T]) -> T:
    """Like `in_time`, for an event loop, of what need not know how long it may take."""
    seconds = timeout()
    for tried in range(1, TRIES + 1):
        future = asyncio.wrap_future(_begun(read))
        done, _ = await asyncio.wait([future], timeout=seconds)
        if done:
            return future.result()
        future.cancel()
        _report(what, seconds, tried)
    raise _stalled(what, seconds)


def in_thread(read: Callable[[], T]) -> Callable[[float], T]:
    """Make of a function one that returns within seconds, or raises `TimeoutError`; see `in_time`."""
    return lambda seconds: _begun(read).result(seconds)


def _begun(read: Callable[[], T]) -> Future[T]:
    """A call in a thread of its own, which no end of the process waits for."""
    future: Future[T] = Future()

    def work() -> None:
        error: BaseException | None = None
        try:
            result = read()
        except BaseException as raised:  # whatever it is belongs to whoever waits
            error = raised
        if not future.set_running_or_notify_cancel():
            return  # nobody waits any more
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    threading.Thread(target=work, name="read", daemon=True).start()
    return future


def _report(what: str, seconds: float, tried: int) -> None:
    if tried < TRIES:
        logger.warning("%s: no answer for %g s; it is read once more", what, seconds)


def _stalled(what: str, seconds: float) -> StalledError:
    return StalledError(
        f"{what}: no answer in {TRIES} tries of {seconds:g} s. The file system does not respond (a network drive, "
        "perhaps); try later, or be more patient: POLYTOME_READ_TIMEOUT, in seconds"
    )
