"""Everything that a run needs to go on as if it had never stopped."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

from .checkpoint_file import is_whole, partial_of, write_atomically
from .checkpoints import CheckpointName
from .events import on_stop

logger = logging.getLogger(__name__)

_FORMAT = 1


class RunCheckpoint:
    """Save the state of a training after its epochs and where a signal stops it, and bring it back.

    A file is written beside its place and then moved there, so that a run that is killed leaves the previous one whole.
    It holds numbers, text and tensors only and is read with `weights_only=True`.

    Of the files of a run the last `keep_last` stay, and the `keep_best` with the best scores; files of other runs are
    left alone. A run that goes on knows its own.

    A run that is stopped in the midst of an epoch goes on with the epoch's next batch, if the sampler can `skip` (see
    `SetEpoch`); one that is stopped in a validation begins this anew. The file of the stop goes when there is a newer
    one.

    Attach it to the trainer after every other handler, so that what these change belongs to the epoch.

    Args:
        directory: where the files go: `<name>_epoch=N.pt`, with `_score=S` where the epoch was validated, and with
            `_iteration=I` where a signal has stopped the run after that epoch and that iteration.
        objects: name -> what has a state (network, optimiser, ...).
        evaluator: engine that validates; the score is its key metric.
        name: of the model.
        keep_last: files of the last epochs that stay, at least 1.
        keep_best: files of the best scores that stay.
        interval: epochs between two files; the last epoch is always saved.
        config: text that is kept in the file, such as the run's settings as JSON.
        writes: false in all but the first of several processes, which only go on where the first one saved.

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
        writes: bool = True,
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
        self.writes = writes
        self._files: list[str] = []  # of this run, oldest first
        self._score: float | None = None
        self._saved_at: int | None = None  # iteration
        self._unvalidated_of: int | None = None  # last epoch of a run that goes on with a validation

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self._start)
        if not self.writes:
            return
        if self.evaluator is not None:
            self.evaluator.add_event_handler(Events.COMPLETED, self._note_score)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._save_at_times)
        on_stop(engine, self._save_stopped)

    def _start(self, engine: Engine) -> None:
        if self.writes:
            for pattern in (f"{self.name}_epoch=*.pt", f"{self.name}.pt"):
                for left in self.directory.glob(str(partial_of(Path(pattern)))):
                    left.unlink(missing_ok=True)  # of a run that was killed while it wrote
        if self._unvalidated_of is not None:
            engine.state.max_epochs, self._unvalidated_of = self._unvalidated_of, None
            engine.fire_event(Events.EPOCH_COMPLETED)

    def _note_score(self, engine: Engine) -> None:
        state: Any = engine.state
        self._score = float(state.metrics[state.key_metric_name])

    def _save_at_times(self, engine: Engine) -> None:
        is_last = engine.should_terminate or engine.state.epoch == engine.state.max_epochs
        if engine.state.epoch % self.interval == 0 or is_last:
            self.save(engine)
        self._score = None

    def _save_stopped(self, engine: Engine) -> None:
        iteration, epoch = engine.state.iteration, engine.state.epoch
        if iteration == 0:
            logger.info("nothing to save: no batch is done")
            return
        if iteration != self._saved_at:
            is_between_epochs = iteration == (epoch - 1) * (engine.state.epoch_length or 0)
            self._write(engine, CheckpointName(self.name, epoch - 1, None, None if is_between_epochs else iteration))
        logger.info("saved as %s: load_model 'latest' goes on from there", self.directory / self._files[-1])

    def save(self, engine: Engine) -> Path:
        """Write the state after the trainer's present epoch and remove files that need not stay; returns the path."""
        return self._write(engine, CheckpointName(self.name, engine.state.epoch, self._score))

    def _write(self, engine: Engine, name: CheckpointName) -> Path:
        file = str(name)
        self._files = [known for known in self._files if known != file] + [file]
        kept = self._kept()
        content = {
            "format": _FORMAT,
            "epoch": name.epoch,
            "iteration": engine.state.iteration,
            "epoch_length": engine.state.epoch_length,
            "is_stop": name.iteration is not None,
            "files": kept,
            "config": self.config,
            **{key: one.state_dict() for key, one in self.objects.items()},
        }
        path = self.directory / file
        write_atomically(content, path)
        for gone in set(self._files) - set(kept):
            (self.directory / gone).unlink(missing_ok=True)
        self._files, self._saved_at = kept, engine.state.iteration
        return path

    def _kept(self) -> list[str]:
        """Those of the run's files that stay."""
        names = {file: CheckpointName.parse(Path(file), self.name) for file in self._files}
        stops = [file for file, parsed in names.items() if parsed is not None and parsed.iteration is not None]
        epochs = [file for file in self._files if file not in stops]
        scored = [file for file in epochs if getattr(names[file], "score", None) is not None]
        best = sorted(scored, key=lambda file: getattr(names[file], "score", 0.0), reverse=True)[: self.keep_best]
        kept = {*epochs[-self.keep_last :], *best, self._files[-1]}
        return [file for file in self._files if file in kept]

    def load(self, path: str | Path, engine: Engine, map_location: str | torch.device = "cpu") -> dict[str, Any]:
        """Bring every object and the trainer to the state of a file.

        Args:
            path: the file.
            engine: the trainer; its `max_epochs` stays as it is.
            map_location: where tensors are put before the objects take them.

        Returns:
            the file's `epoch`, the last that was whole, its `iteration` and `config`.

        Raises:
            ValueError: if the file is damaged, was not written by this class, lacks one of the objects, is of the last
                epoch, or of a stop in an epoch of another length.
        """
        content = _read(path, map_location)
        missing = [name for name in self.objects if name not in content]
        if missing:
            raise ValueError(
                f"{path} lacks the state of {', '.join(missing)}; it holds {', '.join(map(str, content))}. "
                "Go on with the settings that it was made with, or give it as `weights` to start from its network alone"
            )
        last, epoch, iteration = engine.state.max_epochs, content["epoch"], content["iteration"]
        if last is not None and epoch >= last:
            raise ValueError(f"{path} is of epoch {epoch}, and max_epochs is {last}: raise max_epochs to go on")
        length = engine.state.epoch_length or iteration // max(1, epoch)
        is_stop = content.get("is_stop", False)
        if is_stop and content["epoch_length"] != length:
            raise ValueError(
                f"{path} is of a stop in the midst of an epoch of {content['epoch_length']} steps, and "
                f"max_steps_per_epoch is {length}: set it to {content['epoch_length']} to go on"
            )
        for name, one in self.objects.items():
            one.load_state_dict(content[name])
        self._files = list(content["files"]) if Path(path).parent.resolve() == self.directory.resolve() else []
        place = {"iteration": iteration} if is_stop else {"epoch": epoch}
        engine.load_state_dict({**place, "epoch_length": length, "max_epochs": last})
        self._saved_at = engine.state.iteration
        if is_stop and engine.state.epoch > epoch:
            self._unvalidated_of = last
            if last is not None:
                engine.state.max_epochs = last + 1  # an engine whose work is done would begin anew
        return {"epoch": epoch, "iteration": engine.state.iteration, "config": content["config"]}


def _read(path: str | Path, map_location: str | torch.device) -> Mapping[str, Any]:
    if not is_whole(Path(path)):
        raise ValueError(f"{path} is cut short or damaged; give an earlier one, or load_model 'latest'")
    content = torch.load(path, map_location=map_location, weights_only=True)
    if not isinstance(content, Mapping) or content.get("format") != _FORMAT:
        raise ValueError(
            f"{path} is no checkpoint of a run (it may hold weights alone); give it as `weights` to start from it"
        )
    return content
