"""What a demo did, and where its files are."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from monai.bundle import ConfigParser

BUNDLE = Path(__file__).resolve().parents[2]
"""Folder of the bundle, where its commands are run."""

EPOCHS = 7
"""Not the 10 of `train.json`: under six minutes on two slow cores, for Dice 0.935 (0.950) and 17 degrees (12)."""


def require_bundle(*files: str) -> None:
    """Make sure that the bundle's own files are there, which a mere package does not have.

    Raises:
        FileNotFoundError: that says what to do.
    """
    for name in files:
        if not (BUNDLE / name).is_file():
            raise FileNotFoundError(
                f"{BUNDLE / name} does not exist; this verb needs a checkout with the bundle's files: pip install -e ."
            )


@dataclass
class DemoRun:
    """What the demo did, and where its files are.

    Args:
        folder: of everything, absolute.
        size: edge of the phantom, voxels.
        train_configs: config files of the training.
        seconds: how long each step took.
        commands: what was run, as a person would type it.
        scores: on the region that was never labelled.
    """

    folder: Path
    size: int
    train_configs: list[str]
    seconds: dict[str, float] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)

    @property
    def dataset_dir(self) -> Path:
        return self.folder / "data"

    @property
    def training_dir(self) -> Path:
        return self.folder / "training"

    @property
    def models_dir(self) -> Path:
        return self.folder / "models"

    @property
    def prediction(self) -> Path:
        return self.folder / "prediction.zarr"

    @property
    def phantom(self) -> Path:
        return self.dataset_dir / "phantom.zarr"

    def volume(self, name: str) -> str:
        """Path of an array of the phantom."""
        return str(self.phantom / name)

    def note(self, command: Sequence[str]) -> str:
        """Remember a command of the bundle, and return it as a person would type it."""
        self.commands.append(f"cd {shlex.quote(str(BUNDLE))}\n{shlex.join(command)}")
        return self.commands[-1]

    def training_options(self) -> dict[str, str]:
        """What the training is told: where to read and write, and how long to last unless the user's config says so."""
        options = {
            "dataset_dir": str(self.dataset_dir),
            "output_dir": str(self.training_dir),
            "ckpt_dir": str(self.models_dir),
        }
        if not any("max_epochs" in ConfigParser.load_config_file(name) for name in self.train_configs[1:]):
            options["max_epochs"] = str(EPOCHS)
        return options

    def window_size(self) -> list[int]:
        """Windows of twice the patch: fewer of them, less overlap, and none that holds nothing but air."""
        return [2 * n for n in self.parser()["patch_size"]]

    def parser(self) -> ConfigParser:
        """The training's config, as it was run."""
        parser = ConfigParser()
        parser.read_config([str(BUNDLE / name) for name in self.train_configs])
        parser.update(self.training_options())
        return parser
