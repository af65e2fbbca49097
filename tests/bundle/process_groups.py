"""Trainings in a process group of their own, as a terminal or a scheduler starts them, and their ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.bundle.running import BUNDLE, folders, options
from tests.bundle.trainings import SHORT

PATIENCE = 240.0
"""Seconds after which a test gives up; nothing takes so long where it works."""


class Group:
    """`python -m WORDS` with all that it starts.

    Args:
        words: of the command line.
        log: file that gets what it prints.
    """

    def __init__(self, words: list[str], log: Path) -> None:
        self.log = log
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *words], cwd=BUNDLE, stdout=file, stderr=file, start_new_session=True
            )

    def wait_for(self, text: str) -> None:
        """Return when it has printed something."""
        end = time.monotonic() + PATIENCE
        while text not in self.printed():
            if self.process.poll() is not None or time.monotonic() > end:
                self._end()
                raise AssertionError(f"no {text!r} was printed; status {self.process.poll()}:\n{self.printed()}")
            time.sleep(0.05)

    def printed(self) -> str:
        return self.log.read_text()

    def send(self, number: int) -> None:
        """A signal to all of them, as a terminal sends it."""
        os.killpg(self.process.pid, number)

    def ended(self) -> int:
        """Wait until the first process has ended, and soon all others; returns its status."""
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._end()
            raise
        end = time.monotonic() + PATIENCE
        while self._is_alive():
            if time.monotonic() > end:
                self._end()
                raise AssertionError(f"processes are left behind:\n{self.printed()}")
            time.sleep(0.05)
        return status

    def _end(self) -> None:
        if self._is_alive():
            self.send(signal.SIGKILL)

    def _is_alive(self) -> bool:
        try:
            self.send(0)
        except ProcessLookupError:
            return False
        return True


def training_words(root: Path, data: Path, **changes: object) -> list[str]:
    """Words of a command line that trains on a phantom."""
    words = options(**{**folders(root), "dataset_dir": data, **SHORT, **changes})
    return ["monai.bundle", "run", "training", *words, "--config_file", str(["configs/train.json"])]
