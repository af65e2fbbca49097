"""Everything that a run needs to go on as if it had never stopped."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

from .checkpoints import CheckpointName

logger = logging.getLogger(__name__)

_FORMAT = 1


class RunCheckpoint:
    """Save the state of a training after its epochs, and bring it back.

    A file is written beside its place and then moved there, so that a run that is killed leaves the previous one whole.
    It holds numbers, text and tensors only and is read with `weights_only=True`.

    Of the files of a run the last `keep_last` stay, and the `keep_best` with the best scores; files of other runs are
    left alone. A run that goes on knows its own.

    Attach it to the trainer after every other handler, so that what these change belongs to the epoch.

    Args:
        directory: where the files go: `<name>_epoch=N.pt`, with `_score=S` where the epoch was validated.
        objects: name -> what has a state (network, optimiser, ...).
        evaluator: engine that validates; the score is its key metric.
        name: of the model.
        keep_last: files of the last epochs that stay, at least 1.
        keep_best: files of the best scores that stay.
        interval: epochs between two files; the last epoch is always saved.
        config: text that is kept in the file, such as the run's settings as JSON.

    Raises:
        ValueError: for numbers out of range.
    """

    def __init__(
        self,
        directory: str | Path,
        objects: Mapping[str, Any],
        evaluator: Engine | None = None,
        *,
        name: str = "model",
        keep_last: int = 1,
        keep_best: int = 0,
        interval: int = 1,
        config: str = "",
    ) -> None:
        for option, value, least in (
            ("keep_last", keep_last, 1),
            ("keep_best", keep_best, 0),
            ("interval", interval, 1),
        ):
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{option} must be a whole number of at least {least}, got {value!r}")
        self.directory = Path(directory)
        self.objects = {key: value for key, value in objects.items() if value is not None}
        self.evaluator = evaluator
        self.name = name
        self.keep_last = keep_last
        self.keep_best = keep_best
        self.interval = interval
        self.config = config
        self._files: list[str] = []  # of this run, oldest first
        self._score: float | None = None

    def attach(self, engine: Engine) -> None:
        if self.evaluator is not None:
            self.evaluator.add_event_handler(Events.COMPLETED, self._note_score)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._save_at_times)

    def _note_score(self, engine: Engine) -> None:
        state: Any = engine.state
        self._score = float(state.metrics[state.key_metric_name])

    def _save_at_times(self, engine: Engine) -> None:
        is_last = engine.should_terminate or engine.state.epoch == engine.state.max_epochs
        if engine.state.epoch % self.interval == 0 or is_last:
            self.save(engine)
        self._score = None

    def save(self, engine: Engine) -> Path:
        """Write the state after the trainer's present epoch and remove files that need not stay; returns the path."""
        file = str(CheckpointName(self.name, engine.state.epoch, self._score))
        self._files = [known for known in self._files if known != file] + [file]
        kept = self._kept()
        content = {
            "format": _FORMAT,
            "epoch": engine.state.epoch,
            "iteration": engine.state.iteration,
            "files": kept,
            "config": self.config,
            **{name: one.state_dict() for name, one in self.objects.items()},
        }
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / file
        write_atomically(content, path)
        for gone in set(self._files) - set(kept):
            (self.directory / gone).unlink(missing_ok=True)
        self._files = kept
        return path

    def _kept(self) -> list[str]:
        """Those of the run's files that stay."""
        names = {file: CheckpointName.parse(Path(file), self.name) for file in self._files}
        scored = [file for file, parsed in names.items() if parsed is not None and parsed.score is not None]
        best = sorted(scored, key=lambda file: getattr(names[file], "score", 0.0), reverse=True)[: self.keep_best]
        return [file for file in self._files if file in self._files[-self.keep_last :] or file in best]

    def load(self, path: str | Path, engine: Engine, map_location: str | torch.device = "cpu") -> dict[str, Any]:
        """Bring every object and the trainer to the state of a file.

        Args:
            path: the file.
            engine: the trainer; its `max_epochs` stays as it is.
            map_location: where tensors are put before the objects take them.

        Returns:
            the file's `epoch` and `config`.

        Raises:
            ValueError: if the file was not written by this class, lacks one of the objects, or is of the last epoch.
        """
        content = torch.load(path, map_location=map_location, weights_only=True)
        if not isinstance(content, Mapping) or content.get("format") != _FORMAT:
            raise ValueError(
                f"{path} is no checkpoint of a run (it may hold weights alone); give it as `weights` to start from it"
            )
        missing = [name for name in self.objects if name not in content]
        if missing:
            raise ValueError(
                f"{path} lacks the state of {', '.join(missing)}; it holds {', '.join(map(str, content))}. "
                "Go on with the settings that it was made with, or give it as `weights` to start from its network alone"
            )
        last = engine.state.max_epochs
        if last is not None and content["epoch"] >= last:
            raise ValueError(
                f"{path} is of epoch {content['epoch']}, and max_epochs is {last}: raise max_epochs to go on"
            )
        for name, one in self.objects.items():
            one.load_state_dict(content[name])
        self._files = list(content["files"]) if Path(path).parent.resolve() == self.directory.resolve() else []
        length = engine.state.epoch_length or content["iteration"] // max(1, content["epoch"])
        engine.load_state_dict(
            {"epoch": content["epoch"], "epoch_length": length, "max_epochs": engine.state.max_epochs}
        )
        return {"epoch": content["epoch"], "config": content["config"]}


def write_atomically(content: Any, path: Path) -> None:
    """`torch.save` to a neighbouring file, flush to disk, move into place."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
