"""Which checkpoint a run goes on from, and how its file is called."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

LATEST, BEST = "latest", "best"


@dataclass(frozen=True)
class CheckpointName:
    """What the name of a checkpoint says: `model_epoch=12_score=0.8312.pt`.

    Args:
        name: of the model.
        epoch: after which it was saved.
        score: of the validation of that epoch, rounded; `None` where there was none.
    """

    name: str
    epoch: int
    score: float | None = None

    def __str__(self) -> str:
        score = "" if self.score is None else f"_score={self.score:.4f}"
        return f"{self.name}_epoch={self.epoch}{score}.pt"

    @classmethod
    def parse(cls, path: Path, name: str) -> CheckpointName | None:
        """Read the name of a file; `None` where it is no checkpoint of that model."""
        match = re.fullmatch(rf"{re.escape(name)}_epoch=(\d+)(?:_score=(-?\d+\.\d+))?\.pt", path.name)
        return match and cls(name, int(match[1]), None if match[2] is None else float(match[2]))


def list_checkpoints(directory: str | Path, name: str) -> dict[Path, CheckpointName]:
    """Checkpoints of a model in a folder, the one written last at the end."""
    found = {path: CheckpointName.parse(path, name) for path in Path(directory).glob("*.pt")}
    kept = [(path, parsed) for path, parsed in found.items() if parsed is not None]
    return dict(sorted(kept, key=lambda item: (item[0].stat().st_mtime_ns, item[1].epoch)))


def find_checkpoint(load_model: str | Path | None, ckpt_dir: str | Path, name: str = "model") -> str | None:
    """Path of the checkpoint to go on from; `None` to start afresh.

    Args:
        load_model: a path; `"latest"` for the checkpoint that was written last, `"best"` for that of the highest score,
            both a fresh start where there is none, which the log says; `None` for a fresh start.
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
    if not found:
        pattern = CheckpointName(name, 0, 0.0 if load_model == BEST else None)
        shown = str(pattern).replace("epoch=0", "epoch=N").replace("0.0000", "S")
        logger.warning("no %s in %s: starting afresh", shown, Path(ckpt_dir).resolve())
        return None
    return str(list(found)[-1])
