"""Warnings that hold for one volume of hundreds as for all: said for the first few."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

MOST = 3

_said: Counter[str] = Counter()


def warn_few(logger: logging.Logger, message: str, *values: Any) -> None:
    """Warn the first three times that this process says so, and once more that the rest is left out.

    Args:
        logger: which warns.
        message: text with places for values; it is the same warning whatever they are.
        values: for these places.
    """
    _said[message] += 1
    if _said[message] <= MOST:
        logger.warning(message, *values)
    elif _said[message] == MOST + 1:
        logger.warning("more such volumes: further warnings like the %d before are left out", MOST)


def forget_warnings() -> None:
    """Say all of them anew."""
    _said.clear()
