"""Commands of a sweep done in no time: checkpoints and tables of numbers that tests know."""

import csv
import json
from pathlib import Path

import torch

FAILING = "FAILS"


class FakeRunner:
    """Writes what a run would leave.

    Args:
        fails: parts of names of overlays whose commands fail.
    """

    def __init__(self, *fails):
        self.fails = fails
        self.calls = []

    def __call__(self, arguments, log):
        self.calls.append(tuple(arguments))
        if any(part in str(log) for part in self.fails):
            raise RuntimeError(FAILING)
        if arguments[0] != "monai.bundle":
            return
        overlay = json.loads(Path(arguments[-1].strip("[]").split(", ")[-1].strip("'")).read_text())
        if arguments[2] == "training":
            train(overlay)
        if arguments[2] == "validation":
            validate(overlay["run"][0])


def train(overlay, first=1, last=None):
    """Checkpoints of all epochs, whose weights are the number of the epoch."""
    folder = Path(overlay["ckpt_dir"])
    folder.mkdir(parents=True, exist_ok=True)
    for epoch in range(first, (last or overlay["max_epochs"]) + 1):
        weights = {"base.w": torch.full((2,), float(epoch)), "projection.w": torch.zeros(1)}
        torch.save({"network": weights}, folder / f"model_epoch={epoch}_score=0.5000.pt")


def validate(settings):
    """A table in which the second threshold is the best one."""
    path = Path(settings["metrics"])
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["threshold", "voi_split", "voi_merge", "voi_sum"])
        writer.writerows([[level, 1, 0.5 + n, 1.5 + n] for n, level in enumerate(reversed(settings["thresholds"]))])
