"""Bytes counted by several threads."""

from __future__ import annotations

import os
import threading


class ByteCount:
    """A number of bytes that the threads of one process add to; in another process it starts at 0."""

    def __init__(self) -> None:
        self._lock, self._owner, self._bytes = threading.Lock(), os.getpid(), 0

    def add(self, count: int) -> None:
        """Add a number of bytes."""
        if self._owner != os.getpid():  # a fork; the lock may be held by a thread that does not exist here
            self.__init__()  # type: ignore[misc]
        with self._lock:
            self._bytes += count

    @property
    def total(self) -> int:
        """Bytes that this process added."""
        return self._bytes if self._owner == os.getpid() else 0

    def __reduce__(self) -> tuple[type[ByteCount], tuple[()]]:
        return ByteCount, ()
