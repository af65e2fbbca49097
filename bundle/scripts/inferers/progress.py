"""How far a run of inference is, and what it came to."""

from __future__ import annotations

import logging
import sys
import threading
import time
from datetime import timedelta
from typing import Any

from tqdm import tqdm

from .totals import Totals

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)


class RunProgress:
    """Show windows, rate, remaining time, bytes and memory: a bar where someone watches, else a line now and then.

    Args:
        name: what is predicted.
        totals: of the run, `windows` given and what is known from the start; the counts of blocks are added to it.
        interval: seconds between two lines where standard error is no terminal.
    """

    def __init__(self, name: str, totals: Totals, interval: float = 15.0) -> None:
        self.name = name
        self.totals = totals
        self.interval = interval
        self._begun = self._last = time.monotonic()
        self._before = self._seen = totals.skipped + totals.resumed
        self._lock = threading.Lock()
        self._bar = tqdm(
            total=totals.windows,
            initial=self._seen,
            desc=f"predict {name}",
            unit="window",
            disable=not sys.stderr.isatty(),
        )

    def advance(self, windows: int) -> None:
        """Note windows that were evaluated or skipped."""
        with self._lock:
            self._seen += windows
            self._bar.update(windows)
            if self._bar.disable and time.monotonic() - self._last >= self.interval:
                self._last = time.monotonic()
                logger.info("predict %s: %s", self.name, self._state())

    def add(self, totals: Totals) -> None:
        """Note a finished block or chunk."""
        with self._lock:
            self.totals.add(totals)
            self._bar.set_postfix_str(self._bytes())

    def close(self) -> dict[str, Any]:
        """End the display; returns the run's totals, seconds and peak memory."""
        self._bar.close()
        seconds = time.monotonic() - self._begun
        return {**self.totals.as_dict(), "seconds": round(seconds, 3), "peak_memory_bytes": peak_memory()}

    def _state(self) -> str:
        elapsed = time.monotonic() - self._begun
        rate = (self._seen - self._before) / max(elapsed, 1e-9)
        left = (self.totals.windows - self._seen) / rate if rate > 0 else 0.0
        return (
            f"{self._seen} of {self.totals.windows} windows, {rate:.3g} a second, "
            f"{timedelta(seconds=round(left))} left, {self._bytes()}"
        )

    def _bytes(self) -> str:
        parts = [f"{_size(self.totals.bytes_read)} read", f"{_size(self.totals.bytes_written)} written"]
        return ", ".join([*parts, *([f"peak memory {_size(memory)}"] if (memory := peak_memory()) else [])])


def peak_memory() -> int | None:
    """Most bytes of memory that this process has held; `None` where the system does not say."""
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _size(n_bytes: float) -> str:
    units = iter(("B", "kB", "MB", "GB"))
    while (unit := next(units, "TB")) != "TB" and n_bytes >= 1000:
        n_bytes /= 1000
    return f"{n_bytes:.3g} {unit}"
