"""One step of a sweep: files and commands in a folder of its own, and whether it is done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ...blockwise import as_json, header_differences
from ...engines.checkpoints import list_checkpoints
from ..weight_files import read_weights

DONE, LOG, NOTES = "done.json", "log.txt", "notes.txt"
VALIDATION = "val_"
"""Beginning of the names of folders of validations, which lie in the folder of the head."""

MODES = ("contrastive", "emb", "points", "seg", "val")
"""Kinds of runs, in the order in which they need each other."""

DONE_STATE, BEGUN_STATE, NEW_STATE = "done", "begun", "to do"


@dataclass(frozen=True)
class Training:
    """What stays of a training for the runs that need it.

    Args:
        checkpoints: folder of the run's checkpoints.
        weights: file of bare weights for each epoch whose checkpoint stays.
        last_epoch: after which the training is complete.
        prefix: the weights whose names begin so, without it, go into the files.
        name: of the model.
    """

    checkpoints: str
    weights: Mapping[int, str]
    last_epoch: int
    prefix: str = ""
    name: str = "model"

    def is_complete(self) -> bool:
        """Whether the checkpoint of the last epoch is there."""
        return any(found.epoch >= self.last_epoch for found in list_checkpoints(self.checkpoints, self.name).values())

    def write_weights(self) -> None:
        """Write the bare weights of every checkpoint.

        Raises:
            FileNotFoundError: for a checkpoint that is not there.
        """
        listed = list_checkpoints(self.checkpoints, self.name)
        found = {parsed.epoch: path for path, parsed in listed.items() if parsed.iteration is None}
        for epoch, file in self.weights.items():
            if epoch not in found:
                raise FileNotFoundError(
                    f"{self.checkpoints} holds no {self.name}_epoch={epoch}*.pt; it has the epochs "
                    f"{', '.join(map(str, sorted(found))) or 'none'}"
                )
            weights = {
                name.removeprefix(self.prefix): tensor
                for name, tensor in read_weights(found[epoch]).items()
                if name.startswith(self.prefix)
            }
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            partial = Path(f"{file}.partial")
            torch.save(weights, partial)
            partial.replace(file)


@dataclass(frozen=True)
class Run:
    """Commands with the files that they read.

    Args:
        name: place in the tree of the experiment.
        mode: one of `MODES`.
        folder: of the run.
        files: content of each JSON file that is written there first.
        commands: arguments of `python -m`, run one after the other in the folder of the bundle.
        needs: names of the runs that must be done before.
        training: where the run is one.
        notes: what became of the entries that the files are made from.
        digests: of the runs that it needs, by name.
    """

    name: str
    mode: str
    folder: str
    files: Mapping[str, Mapping[str, Any]]
    commands: tuple[tuple[str, ...], ...]
    needs: tuple[str, ...] = ()
    training: Training | None = None
    notes: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Hash of the files, of the commands, and of the runs that this one needs."""
        content = {"files": self.files, "commands": self.commands, "needs": dict(self.digests)}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def state(self) -> str:
        """`done`, `begun` where an earlier start has not come to its end, or `to do`."""
        if self._read(DONE) == {"settings": self.digest}:
            return DONE_STATE
        own = {*self.files, NOTES}
        found = Path(self.folder).iterdir() if Path(self.folder).is_dir() else ()
        left = [path for path in found if path.name not in own and not path.name.startswith(VALIDATION)]
        return BEGUN_STATE if left else NEW_STATE

    def fault(self) -> str:
        """A line where the folder holds a run with other settings, which cannot be gone on with; else an empty one."""
        if self.state != BEGUN_STATE:
            return ""
        changed = [
            f"{name}: {difference}"
            for name, content in self.files.items()
            if (stored := self._read(name)) is not None
            for difference in header_differences(stored, as_json(content))
        ]
        if not changed and self._read(DONE) is not None:
            changed = ["what it was made from has changed"]
        return f"{self.folder} holds a run with other settings ({'; '.join(changed[:3])})" if changed else ""

    def write(self) -> None:
        """Write the files and the notes."""
        folder = Path(self.folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (folder / name).write_text(json.dumps(content, indent=4) + "\n")
        if self.notes:
            (folder / NOTES).write_text(self.notes)

    def mark_done(self) -> None:
        """Note that the run is done."""
        (Path(self.folder) / DONE).write_text(json.dumps({"settings": self.digest}) + "\n")

    def _read(self, name: str) -> Any:
        path = Path(self.folder) / name
        return json.loads(path.read_text()) if path.is_file() else None


def shown(command: tuple[str, ...]) -> str:
    """A command as one writes it."""
    return " ".join(["python -m", *(f'"{word}"' if set(word) & set(" '[]{}$*") else word for word in command)])
