"""Which checkpoint a run goes on from, and how its file is called."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from .checkpoint_file import is_whole

logger = logging.getLogger(__name__)

LATEST, BEST = "latest", "best"


@dataclass(frozen=True)
class CheckpointName:
    """What the name of a checkpoint says: `model_epoch=12_score=0.8312.pt`, or `model_epoch=12_iteration=1270.pt`.

    Args:
        name: of the model.
        epoch: the last one that was whole when it was saved.
        score: of the validation of that epoch, rounded; `None` where there was none.
        iteration: after which the run was stopped, in the midst of the next epoch or of its validation; `None` where
            it was not.
    """

    name: str
    epoch: int
    score: float | None = None
    iteration: int | None = None

    def __str__(self) -> str:
        iteration = "" if self.iteration is None else f"_iteration={self.iteration}"
        score = "" if self.score is None else f"_score={self.score:.4f}"
        return f"{self.name}_epoch={self.epoch}{iteration}{score}.pt"

    @classmethod
    def parse(cls, path: Path, name: str) -> CheckpointName | None:
        """Read the name of a file; `None` where it is no checkpoint of that model."""
        number = r"-?\d+\.\d+"
        match = re.fullmatch(rf"{re.escape(name)}_epoch=(\d+)(?:_iteration=(\d+)|_score=({number}))?\.pt", path.name)
        if match is None:
            return None
        iteration, score = match[2], match[3]
        return cls(
            name, int(match[1]), None if score is None else float(score), None if iteration is None else int(iteration)
        )


def list_checkpoints(directory: str | Path, name: str) -> dict[Path, CheckpointName]:
    """Checkpoints of a model in a folder, the one written last at the end."""
    found = {path: CheckpointName.parse(path, name) for path in Path(directory).glob("*.pt")}
    kept = [(path, parsed) for path, parsed in found.items() if parsed is not None]
    return dict(sorted(kept, key=lambda item: (item[0].stat().st_mtime_ns, item[1].epoch, item[1].iteration or 0)))


def find_checkpoint(load_model: str | Path | None, ckpt_dir: str | Path, name: str = "model") -> str | None:
    """Path of the checkpoint to go on from; `None` to start afresh.

    Args:
        load_model: a path; `"latest"` for the checkpoint that was written last, `"best"` for that of the highest score,
            both a fresh start where there is none, which the log says; `None` for a fresh start. Files that are cut
            short or damaged are passed over with a warning.
        ckpt_dir: where the run's checkpoints are.
        name: of the model, with which the names of its checkpoints begin.

    Raises:
        FileNotFoundError: if a path does not exist.
    """
    if load_model is None:
        return None
    if load_model not in (LATEST, BEST):
        if not Path(load_model).is_file():
            raise FileNotFoundError(f"checkpoint {load_model} does not exist; give a path, 'latest', 'best' or null")
        return str(load_model)
    found = list_checkpoints(ckpt_dir, name)
    if load_model == BEST:
        found = {path: parsed for path, parsed in found.items() if parsed.score is not None}
        found = dict(sorted(found.items(), key=lambda item: item[1].score or 0.0))
    while found and not is_whole(last := list(found)[-1]):
        logger.warning("%s is cut short or damaged: it is passed over", last)
        del found[last]
    if not found:
        pattern = CheckpointName(name, 0, 0.0 if load_model == BEST else None)
        shown = str(pattern).replace("epoch=0", "epoch=N").replace("0.0000", "S")
        logger.warning("no %s in %s: starting afresh", shown, Path(ckpt_dir).resolve())
        return None
    return str(list(found)[-1])
