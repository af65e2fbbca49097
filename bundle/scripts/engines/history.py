"""The run's numbers as a CSV file: one row per epoch."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from ignite.engine import Engine, Events

from ..viewers import write_history_plot
from ..viewers.dashboard_files import replace_text
from .optional_file import OptionalFile


class History:
    """Write loss terms and validation scores of every epoch to a CSV file.

    Columns are `epoch`, `iteration`, the trainer's metrics (`train_...`) and the evaluator's (`val_...`); an epoch
    without validation leaves the latter empty. A resumed run goes on in the same file: rows of epochs that it does
    again are dropped. The file is replaced as a whole.

    Args:
        path: the file.
        evaluator: engine that validates; its metrics count for the epoch in which it ran.
        plot: PNG file that shows the curves, drawn anew after each epoch; `None`: none is drawn.
    """

    def __init__(self, path: str | Path, evaluator: Engine | None = None, plot: str | Path | None = None) -> None:
        self.path = Path(path)
        self.plot = plot
        self.evaluator = evaluator
        self._rows: list[dict[str, str]] = []
        self._validated = False
        self._file = OptionalFile()

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._write)
        if self.evaluator is not None:
            self.evaluator.add_event_handler(Events.COMPLETED, self._note_validation)

    def _start(self, engine: Engine) -> None:
        self._rows = []
        if engine.state.epoch > 0 and self.path.is_file():
            with self.path.open(newline="") as file:
                self._rows = [row for row in csv.DictReader(file) if int(row["epoch"]) <= engine.state.epoch]

    def _note_validation(self) -> None:
        self._validated = True

    def _write(self, engine: Engine) -> None:
        row = {"epoch": str(engine.state.epoch), "iteration": str(engine.state.iteration)}
        row |= {name: f"{value:.6g}" for name, value in engine.state.metrics.items() if isinstance(value, float)}
        if self._validated and self.evaluator is not None:
            row |= {f"val_{name}": f"{value:.6g}" for name, value in self.evaluator.state.metrics.items()}
        self._validated = False
        self._rows = [known for known in self._rows if known["epoch"] != row["epoch"]] + [row]
        with self._file.written(self.path):
            replace_text(self.path, self._text())
            if self.plot is not None:
                write_history_plot(self.path, self.plot)

    def _text(self) -> str:
        text = io.StringIO()
        columns = list(dict.fromkeys(name for row in self._rows for name in row))
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        return text.getvalue()
