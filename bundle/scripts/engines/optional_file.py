"""Files that a training can do without."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)


class OptionalFile:
    """Where the disk does not take a picture or a log, say so once and let the training go on."""

    def __init__(self) -> None:
        self._is_said = False

    @contextmanager
    def written(self, path: str | Path) -> Iterator[None]:
        """Errors of the disk within this context are logged, the first time with the path."""
        try:
            yield
        except OSError as error:
            if not self._is_said:
                reason = error.strerror or error
                logger.warning("%s cannot be written: %s; the training goes on without it", path, reason)
            self._is_said = True
