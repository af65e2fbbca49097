"""TensorBoard's curves, which a training can do without."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine
from monai.handlers import TensorBoardStatsHandler

from .optional_file import OptionalFile


class TensorBoardLog(TensorBoardStatsHandler):
    """MONAI's `TensorBoardStatsHandler`; where the disk is full the training goes on without it, which the log says.

    Args:
        log_dir: folder of TensorBoard's files.
        options: as MONAI has them.
    """

    def __init__(self, log_dir: str, **options: Any) -> None:
        super().__init__(log_dir=log_dir, **options)
        self.log_dir = log_dir
        self._file = OptionalFile()

    def iteration_completed(self, engine: Engine) -> None:
        with self._file.written(self.log_dir):
            super().iteration_completed(engine)

    def epoch_completed(self, engine: Engine) -> None:
        with self._file.written(self.log_dir):
            super().epoch_completed(engine)
