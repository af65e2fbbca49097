"""How far a piece of work is: a bar where someone watches, a line now and then where a log is written."""

from __future__ import annotations

import logging
import sys
import time
from datetime import timedelta
from typing import Any

from tqdm import tqdm

logger = logging.getLogger(__name__)


class WorkProgress:
    """Count finished parts, and show how many there are, how fast and how long the rest takes.

    Args:
        title: what is done, such as "convert scan.tif".
        total: number of parts.
        unit: what a part is called.
        interval: seconds between two lines where standard error is no terminal.
    """

    def __init__(self, title: str, total: int, unit: str, interval: float = 15.0) -> None:
        self.title = title
        self.total = total
        self.unit = unit
        self.interval = interval
        self._done = 0
        self._begun = self._last = time.monotonic()
        self._bar: Any = tqdm(total=total, desc=title, unit=unit, leave=False, disable=not sys.stderr.isatty())

    def __enter__(self) -> WorkProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def advance(self, parts: int = 1) -> None:
        """Note finished parts."""
        self._done += parts
        self._bar.update(parts)
        if self._bar.disable and time.monotonic() - self._last >= self.interval:
            self._last = time.monotonic()
            seconds = (self._last - self._begun) * (self.total - self._done) / max(self._done, 1)
            logger.info(
                "%s: %d of %d %s, %s left",
                *(self.title, self._done, self.total, self.unit, timedelta(seconds=round(seconds))),
            )
