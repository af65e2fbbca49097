"""The loss of every step, in a file that stays small."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.utils.enums import CommonKeys

from ..viewers.dashboard_files import read_steps, replace_text
from .events import on_stop
from .optional_file import OptionalFile


class StepLog:
    """Write a training's running loss as CSV: `iteration,loss`.

    A row is the mean over `2^k` steps up to `iteration`; whenever there are `limit` rows, neighbours are merged, so
    that a long run is as quick to write and to draw as a short one. A run that goes on continues the file.

    Args:
        path: the file, replaced as a whole.
        limit: rows of the file, an even number.
        interval: seconds between two writes; an epoch's end writes, too.

    Raises:
        ValueError: for a limit that is odd or below 2.
    """

    def __init__(self, path: str | Path, limit: int = 2000, interval: float = 2.0) -> None:
        if not isinstance(limit, int) or limit < 2 or limit % 2:
            raise ValueError(f"limit must be an even number of at least 2, got {limit!r}")
        self.path = Path(path)
        self.limit = limit
        self.interval = interval
        self._file = OptionalFile()
        self._start_anew()

    def _start_anew(self) -> None:
        self._rows: list[tuple[int, float]] = []
        self._per_row, self._sum, self._count = 1, 0.0, 0
        self._new: list[tuple[int, torch.Tensor]] = []
        self._written = time.monotonic()

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._write)
        on_stop(engine, self._write)

    def _start(self, engine: Engine) -> None:
        self._start_anew()
        if engine.state.iteration > 0 and self.path.is_file():
            self._rows = [row for row in read_steps(self.path) if row[0] <= engine.state.iteration]
            steps = [b - a for (a, _), (b, _) in pairwise(self._rows)]
            self._per_row = max(steps, default=1)

    def _add(self, engine: Engine) -> None:
        output: Any = engine.state.output
        self._new.append((engine.state.iteration, output[CommonKeys.LOSS].detach()))  # a number would make a GPU wait
        if time.monotonic() - self._written >= self.interval:
            self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        if not self._new:
            return
        losses = torch.stack([loss for _, loss in self._new]).tolist()
        for (iteration, _), loss in zip(self._new, losses, strict=True):
            self._sum, self._count = self._sum + loss, self._count + 1
            if self._count == self._per_row:
                self._rows.append((iteration, self._sum / self._count))
                self._sum, self._count = 0.0, 0
                if len(self._rows) >= self.limit:
                    self._merge()
        self._new = []
        lines = [f"{iteration},{loss:.6g}\n" for iteration, loss in self._rows]
        with self._file.written(self.path):
            replace_text(self.path, "iteration,loss\n" + "".join(lines))

    def _merge(self) -> None:
        pairs = zip(self._rows[::2], self._rows[1::2], strict=False)  # the last of an odd number is too many
        self._rows = [(last, (a + b) / 2) for (_, a), (last, b) in pairs]
        self._per_row *= 2
