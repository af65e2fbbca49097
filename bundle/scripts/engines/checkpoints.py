"""Which checkpoint a run goes on from."""

from __future__ import annotations

import re
from pathlib import Path

LAST = "last"


def find_checkpoint(checkpoint: str | Path | None, ckpt_dir: str | Path) -> str | None:
    """Path of the checkpoint to resume from.

    Args:
        checkpoint: a path; `"last"` for the newest `checkpoint_epoch=N.pt` of `ckpt_dir`; `None` for none.
        ckpt_dir: where the run's checkpoints are.

    Raises:
        FileNotFoundError: if it does not exist.
    """
    if checkpoint is None:
        return None
    if checkpoint != LAST:
        if not Path(checkpoint).is_file():
            raise FileNotFoundError(f"checkpoint {checkpoint} does not exist; give a path, 'last' or null")
        return str(checkpoint)
    epochs = {
        int(match[1]): path
        for path in Path(ckpt_dir).glob("checkpoint_epoch=*.pt")
        if (match := re.fullmatch(r"checkpoint_epoch=(\d+)\.pt", path.name))
    }
    if not epochs:
        raise FileNotFoundError(
            f"no checkpoint_epoch=N.pt in {Path(ckpt_dir).resolve()} to resume from; start with null"
        )
    return str(epochs[max(epochs)])
