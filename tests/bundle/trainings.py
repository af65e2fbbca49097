"""Trainings of a few steps in the test's own process or in one of their own, and what they leave."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.utils import set_determinism
from tests.bundle.running import BUNDLE, folders

SHORT = {
    "patch_size": [16, 16, 16],
    "features_per_stage": [8, 8],
    "n_blocks_per_stage": [1, 1],
    "squeeze_excitation": False,
    "max_steps_per_epoch": 2,
    "max_val_steps_per_epoch": 4,
    "device": "cpu",
    "keep_best": 0,
}
"""A network and epochs that take no time."""

EVERYTHING = {
    "num_workers": 0,
    "ema": 0.9,
    "loss_balance": "uncertainty",
    "accumulation_steps": 2,
    "max_steps_per_epoch": 3,
    "sampler": "foreground",
    "early_stop": 50,
}
"""Options that have a state of their own: three steps an epoch, of which the first two are one of the optimiser."""


def training(root: Path, data: Path, **changes: Any) -> ConfigParser:
    """train.json with settings by id, not yet begun."""
    parser = ConfigParser()
    parser.read_config(BUNDLE / "configs" / "train.json")
    small = {**folders(root), "bundle_root": str(BUNDLE), "dataset_dir": str(data), **SHORT}
    parser.update(small | changes)
    return parser


def train(root: Path, data: Path, prepare: Callable[[ConfigParser], None] = lambda parser: None, **changes: Any) -> Any:
    """Train in this process; returns the trainer.

    Args:
        root: where the training reads and writes, as `folders` has it.
        data: folder of the volumes.
        prepare: changes what the config has made, before the first step.
        changes: settings by id.
    """
    parser = training(root, data, **changes)
    parser.config["initialize"] = parser.config["initialize"][2:]  # type: ignore[index]  # path and group are the test's
    try:
        parser.get_parsed_content("initialize")
        prepare(parser)
        trainer = parser.get_parsed_content("train#trainer")
        trainer.run()
    except KeyboardInterrupt as error:  # which would end the tests
        raise AssertionError("a signal was not taken by the training") from error
    finally:
        set_determinism(None)
    return trainer


def send(number: int) -> Callable[[], None]:
    """A handler that sends a signal to this very process."""
    return lambda: os.kill(os.getpid(), number)


def checkpoints(root: Path) -> list[str]:
    """Names of the checkpoints of a run, without the best weights."""
    return sorted(path.name for path in (root / "models").glob("*_epoch=*"))


def last_checkpoint(root: Path, epoch: int) -> dict[str, object]:
    """Content of the only checkpoint that stands for an epoch."""
    (path,) = (root / "models").glob(f"model_epoch={epoch}*.pt")
    return torch.load(path, weights_only=True)


def differences(one: object, other: object, name: str = "") -> list[str]:
    """Places at which two nested states differ in a bit."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [place for key in one for place in differences(one[key], other[key], f"{name}.{key}")]
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        return [
            place
            for i, (a, b) in enumerate(zip(one, other, strict=True))
            for place in differences(a, b, f"{name}[{i}]")
        ]
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return [] if torch.equal(one, other) else [name]
    return [] if one == other else [name]
