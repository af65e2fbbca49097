"""What happens between the check of a training and its first batch."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.engines import Trainer
from monai.handlers import CheckpointLoader, CheckpointSaver

from .check import current_parser, read_weights
from .faults import raise_faults

logger = logging.getLogger(__name__)

SETTINGS = (
    "targets",
    "patch_size",
    "spacing",
    "in_channels",
    "normalization",
    "nonfinite",
    "foreground_statistics",
    "features_per_stage",
    "n_blocks_per_stage",
    "squeeze_excitation",
    "se_ratio",
    "decoder",
    "deep_supervision",
)
"""What a trained network needs to be built again."""

NETWORK_FILE = "network.json"


def load_weights(network: torch.nn.Module, path: str | Path | None) -> None:
    """Start from the weights of a file, which may be bare or a training checkpoint; `None` leaves the network as it is.

    Raises:
        RuntimeError: if they belong to another architecture.
    """
    if path is not None:
        network.load_state_dict(read_weights(path))
        logger.info("weights from %s", path)


def start_training(
    network: torch.nn.Module,
    trainer: Trainer,
    last_saver: CheckpointSaver,
    output_dir: str | Path,
    resume: CheckpointLoader | None = None,
) -> None:
    """Say what will be trained, write the overlay that inference needs, and go on from a checkpoint where one is given.

    Raises:
        RunError: if the checkpoint has no epoch left to do.

    Args:
        network: what is trained.
        trainer: the engine.
        last_saver: saves what a resumed run needs; referring to the trainer, it cannot be among the trainer's handlers.
        output_dir: gets `network.json`; given after `configs/inference.json` as a second config file it builds
            the same network again.
        resume: loads network, optimiser, schedule and trainer; `None`: from the start.
    """
    parser = current_parser()
    logger.info("%s", describe_run(parser, network))
    output_dir = Path(output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    settings = {key: parser.get_parsed_content(key) for key in SETTINGS if key in parser}
    settings["targets"] = _without_components(settings["targets"])
    (output_dir / NETWORK_FILE).write_text(json.dumps(settings, indent=4) + "\n")
    last_saver.attach(trainer)
    if resume is not None:
        _go_on(trainer, resume)


def _go_on(trainer: Trainer, resume: CheckpointLoader) -> None:
    resume(trainer)
    epoch, last = trainer.state.epoch, trainer.state.max_epochs
    if last is not None and epoch >= last:
        fault = (
            f"checkpoint {resume.load_path} is of epoch {epoch}, and max_epochs is {last}: raise max_epochs to go on"
        )
        raise_faults([fault], "the training")
    logger.info("going on after epoch %d of %s", epoch, last)


def _without_components(targets: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The table without losses that are objects: they train, they do not build the network."""
    return {
        name: {key: value for key, value in row.items() if key != "loss" or isinstance(value, str)}
        for name, row in targets.items()
    }


def describe_run(parser: ConfigParser, network: torch.nn.Module) -> str:
    """The resolved settings that a person edits, the network's plan, and its number of parameters."""
    lines = ["settings:"]
    for key, raw in parser.config.items():  # type: ignore[union-attr]
        if key.startswith("_") or key in _MACHINERY:
            continue
        value = parser.get_parsed_content(key) if isinstance(raw, (str, Mapping, list)) else raw
        if isinstance(value, (str, int, float, bool, list, dict, torch.device)) or value is None:
            lines.append(f"  {key}: {_short(value)}")
    plan = getattr(network, "plan", None)
    if plan is not None:
        lines.append("plan:")
        lines += [f"  {key}: {_short(value)}" for key, value in plan.as_dict().items()]
    lines.append(f"parameters: {sum(p.numel() for p in network.parameters()):,}")
    return "\n".join(lines)


_MACHINERY = (
    "initialize",
    "run",
    "training",
    "inference",
    "finalize",
    "imports",
    "patches",
    "split",
    "chosen",
    "image_statistics",
    "augment",
    "train",
    "validate",
)


def _short(value: Any, limit: int = 200) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= limit else f"{text[:limit]} ..."
