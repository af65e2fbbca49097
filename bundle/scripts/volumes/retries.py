"""Requests to servers: how often, how long, and what is said in the end.

What servers do (errors 5xx and 429, broken connections, silence) is met with more tries, with pauses that double; what
they say (404, 403 and the like) is taken at its word. Three environment variables set the patience:

| Variable | Default | Meaning |
|---|---|---|
| `POLYTOME_REMOTE_TRIES` | 6 | how often a request is made before the run gives up |
| `POLYTOME_REMOTE_TIMEOUT` | 30 | seconds of silence that end a request; as a whole it may take 10 times that |
| `POLYTOME_REMOTE_WAIT` | 0.5 | seconds before the second try; they double with every further one, up to 30 |
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from .errors import RefusedError, RemoteError
from .server_faults import Fault, fault_of

logger = logging.getLogger(__name__)

T = TypeVar("T")

TRIES = 6
TIMEOUT_SECONDS = 30.0
WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0

WHOLE_REQUEST = 10
"""A request may take this many times the seconds of silence that it may have."""

_TRIES_AT_FIRST = 2
"""How often a server that never answered this process is called: a wrong address is told without delay."""

_reached: set[tuple[str, str]] = set()
"""Scheme and address of the servers that have answered this process."""

_spread = random.Random()  # not the global generator, which belongs to the user's seeds


@dataclass(frozen=True)
class Patience:
    """How long servers are waited for.

    Args:
        tries: of one request.
        timeout: seconds of silence that end a try.
        wait: seconds before the second try.
    """

    tries: int
    timeout: float
    wait: float

    @classmethod
    def of_environment(cls) -> Patience:
        """As the environment says, else the defaults of this module.

        Raises:
            ValueError: for a variable that is no number, or too small.
        """
        tries = number_of_environment("POLYTOME_REMOTE_TRIES", TRIES, 1)
        if tries != int(tries):
            raise ValueError(f"POLYTOME_REMOTE_TRIES: expected a whole number, got {tries:g}")
        return cls(
            int(tries),
            number_of_environment("POLYTOME_REMOTE_TIMEOUT", TIMEOUT_SECONDS, 0.01),
            number_of_environment("POLYTOME_REMOTE_WAIT", WAIT_SECONDS, 0),
        )

    def pause(self, tried: int) -> float:
        """Seconds before the next try; spread, so that many readers do not come back at once."""
        return min(self.wait * 2.0 ** (tried - 1), LONGEST_WAIT_SECONDS) * _spread.uniform(0.75, 1.25)


async def attempt(url: str, request: Callable[[], Awaitable[T]], advice: str = "") -> T:
    """Make a request until it succeeds, or cannot.

    Args:
        url: of the object, for messages.
        request: makes it once.
        advice: what to do where the server refuses.

    Raises:
        FileNotFoundError: where there is no such object.
        RefusedError: where it may not be read.
        RemoteError: after the last try, or for an answer that further tries do not change.
    """
    patience, begun, tried = Patience.of_environment(), time.monotonic(), 0
    server = urlsplit(url)[:2]
    while True:
        tried += 1
        try:
            async with asyncio.timeout(WHOLE_REQUEST * patience.timeout):
                result = await request()
        except (FileNotFoundError, RemoteError):
            _reached.add(server)
            raise
        except Exception as error:
            fault = fault_of(error)
            if fault is None:
                raise
            if not fault.unreachable:
                _reached.add(server)
            tries = patience.tries if server in _reached else min(patience.tries, _TRIES_AT_FIRST)
            if not fault.temporary or tried >= tries:
                raise _final_error(url, fault, tried, time.monotonic() - begun, patience, advice) from error
            pause = patience.pause(tried)
            logger.info("%s: %s; try %d of %d in %.1f s", url, fault.reason, tried + 1, tries, pause)
            await asyncio.sleep(pause)
        else:
            _reached.add(server)
            return result


def _final_error(url: str, fault: Fault, tried: int, seconds: float, patience: Patience, advice: str) -> RemoteError:
    told = f"{url}: {fault.reason}"
    if fault.address and fault.address != url:
        told += f", asked at {fault.address}"
    if fault.refused:
        return RefusedError(f"{told}. {advice}" if advice else told)
    told += f" ({tried} {'try' if tried == 1 else 'tries'} in {seconds:.1f} s)"
    if fault.unreachable:
        return RemoteError(f"{told}. Check the address and the network")
    if fault.temporary:
        return RemoteError(
            f"{told}. Try later, or be more patient: POLYTOME_REMOTE_TRIES (now {patience.tries}), "
            f"POLYTOME_REMOTE_TIMEOUT (now {patience.timeout:g} s)"
        )
    return RemoteError(told)


def number_of_environment(name: str, default: float, least: float) -> float:
    """A number that a variable of the environment gives.

    Raises:
        ValueError: for one that is no number, too small or infinite.
    """
    text = os.environ.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = math.nan
    if not least <= value < math.inf:
        raise ValueError(f"{name}: expected a number of at least {least:g}, got {text or value!r}")
    return value
