"""What a pool of workers asks of a job."""

from __future__ import annotations

import contextlib
from typing import Any, Protocol

Call = tuple[str, tuple[int, ...]]
"""Name of a job's method, and the part that it is called with."""


class Job(Protocol):
    """Something with methods that take a part and return a small result."""

    def prepared(self, worker: int) -> contextlib.AbstractContextManager[Any]:
        """What holds while a worker process works on the job; `worker` numbers the processes."""
