"""Memory that is no longer used, given back to the system."""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable


def give_back_memory() -> None:
    """Let the system have the memory that was freed; where the C library cannot, nothing happens.

    glibc keeps what was freed for later, and with threads that allocate and free arrays of many sizes, that is about
    as much again as what is in use: peaks would grow with the length of a run. It takes milliseconds.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@functools.cache
def _trim() -> Callable[[int], int] | None:
    """`malloc_trim` of glibc."""
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
