"""What happens between the check of a training and its first batch."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.engines import Evaluator, Trainer

from ..engines import BestModel, EarlyStop, RunCheckpoint, WeightAverage, begin_record
from ..networks import match_weights
from ..viewers.dashboard_files import RECORD_FILE, replace_text
from .faults import raise_faults
from .start_checks import current_parser
from .weight_files import read_weights

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
    "strides",
    "kernel_sizes",
    "n_conv_per_stage_decoder",
    "squeeze_excitation",
    "se_ratio",
    "stochastic_depth_p",
    "dropout",
    "norm",
    "act",
    "conv_bias",
    "upsampling",
    "activation_checkpointing",
    "decoder",
    "deep_supervision",
    *("input_size", "landmark_names", "pairs", "decoding", "image_spacing", "image_unit", "landmark_indices"),
)
"""What a trained network needs to be built again."""

NETWORK_FILE = "network.json"


def load_weights(network: torch.nn.Module, path: str | Path | None, partial: bool = False) -> None:
    """Start from the weights of a file, which may be bare or a training checkpoint; `None` leaves the network as it is.

    Args:
        network: gets the weights.
        path: the file.
        partial: whether targets may have come or gone since: their decoders and heads then start anew, or are left
            out, and the log says which.

    Raises:
        RuntimeError: if they belong to another architecture.
    """
    if path is None:
        return
    stored = read_weights(path)
    if not partial:
        network.load_state_dict(stored)
        logger.info("weights from %s", path)
        return
    match = match_weights(network, stored)
    if match.faults:
        raise RuntimeError(f"{path} belongs to another architecture: it {'; '.join(match.faults)}")
    network.load_state_dict(match.weights, strict=False)
    logger.info("weights from %s: %s", path, match)


def start_training(
    network: torch.nn.Module,
    trainer: Trainer,
    evaluator: Evaluator,
    run_checkpoint: RunCheckpoint,
    output_dir: str | Path,
    checkpoint: str | Path | None = None,
    average: WeightAverage | None = None,
    early_stopping: EarlyStop | None = None,
    best_model: BestModel | None = None,
    compile: bool | Mapping[str, Any] = False,
    rank: int = 0,
) -> None:
    """Say what will be trained, write the overlay that inference needs, and go on from a checkpoint where one is given.

    Args:
        network: what is trained.
        trainer: the engine.
        evaluator: the engine that validates.
        run_checkpoint: saves what a resumed run needs; referring to the trainer, it cannot be among its handlers.
        output_dir: gets `run.json`, for those who watch the run, and `network.json`: given after
            `configs/inference.json` as a second config file it builds the same network again.
        checkpoint: file to go on from; `None`: from the start.
        average: of the weights; follows the trainer.
        early_stopping: ends the training when validations no longer get better.
        best_model: writes the last weights where no validation has scored any.
        compile: whether `torch.compile` translates the network; a dictionary holds its options.
        rank: number of this process; the first one writes.

    Raises:
        RunError: if the checkpoint has no epoch left to do, or is none.
    """
    parser = current_parser()
    if rank == 0:
        logger.info("%s", describe_run(parser, network))
        output_dir = Path(output_dir)
        output_dir.mkdir(parents=True, exist_ok=True)
        settings = {key: parser.get_parsed_content(key) for key in SETTINGS if key in parser}
        settings["targets"] = _without_components(settings["targets"])
        settings["network_def"] = _with_own_settings(parser, parser.config["network_def"])  # type: ignore[index]
        replace_text(output_dir / NETWORK_FILE, json.dumps(settings, indent=4) + "\n")
        run_checkpoint.config = json.dumps(parser.config, default=str)
    run_checkpoint.attach(trainer)
    for engine in (trainer, evaluator):
        engine.logger.addFilter(_is_no_echo)
    if average is not None:
        average.attach(trainer)
    if early_stopping is not None:
        early_stopping.attach(evaluator)
    if best_model is not None:
        best_model.follow(trainer)
    if checkpoint is not None:
        _go_on(parser, trainer, run_checkpoint, checkpoint)
    if compile is not False:
        # in place, so that names of parameters stay as they are
        network.compile(**({} if compile is True else compile))
    if rank == 0:  # last: what cannot go on leaves the record of the run before
        record = Path(output_dir) / RECORD_FILE
        begin_record(record, _as_recorded(parser), _plan(network), _parameters(network))


def _go_on(parser: ConfigParser, trainer: Trainer, run_checkpoint: RunCheckpoint, checkpoint: str | Path) -> None:
    last = trainer.state.max_epochs
    try:
        found = run_checkpoint.load(checkpoint, trainer, parser.get_parsed_content("device"))
    except ValueError as error:
        raise_faults([str(error)], "the training")
    place = f"epoch {found['epoch']} of {last}"
    if found["iteration"] != found["epoch"] * (trainer.state.epoch_length or 0):
        place += f" and iteration {found['iteration']}"
    logger.info("going on after %s from %s", place, checkpoint)
    changed = changed_settings(json.loads(found["config"]), parser.config)
    if changed:
        logger.info("settings that have changed since:\n%s", "\n".join(f"  {line}" for line in changed))


def _is_no_echo(record: logging.LogRecord) -> bool:
    """Whether a line of ignite's log is more than an error's message, which is shown when the run ends."""
    return "is terminating due to exception" not in record.getMessage()


def changed_settings(before: Mapping[str, Any], now: Any) -> list[str]:
    """Top-level entries of a config that differ from those of another, as text `key: before -> now`."""
    keys = dict.fromkeys([*before, *now])
    return [
        f"{key}: {_short(before.get(key))} -> {_short(now.get(key))}"
        for key in keys
        if key != "load_model" and before.get(key) != json.loads(json.dumps(now.get(key), default=str))
    ]


def _without_components(targets: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The table without losses that are objects: they train, they do not build the network."""
    return {
        name: {key: value for key, value in row.items() if key != "loss" or _is_json(value)}
        for name, row in targets.items()
    }


def _with_own_settings(parser: ConfigParser, component: Any) -> Any:
    """A component as the config has it, with the values of settings that inference does not know put in."""
    if isinstance(component, Mapping):
        return {key: _with_own_settings(parser, value) for key, value in component.items()}
    if isinstance(component, list):
        return [_with_own_settings(parser, value) for value in component]
    if isinstance(component, str) and component.startswith("@") and component[1:].split("#")[0] not in SETTINGS:
        value = parser.get_parsed_content(component[1:])
        return value if _is_json(value) else component
    return component


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except TypeError:
        return False
    return True


def describe_run(parser: ConfigParser, network: torch.nn.Module) -> str:
    """The resolved settings that a person edits, the network's plan, and its number of parameters."""
    lines = ["settings:"]
    lines += [f"  {key}: {_short(value)}" for key, value in resolved_settings(parser).items()]
    if (plan := _plan(network)) is not None:
        lines.append("plan:")
        lines += [f"  {key}: {_short(value)}" for key, value in plan.items()]
    lines.append(f"parameters: {_parameters(network):,}")
    return "\n".join(lines)


def resolved_settings(parser: ConfigParser) -> dict[str, Any]:
    """The settings that a person edits, as they are after every reference and expression."""
    settings = {}
    for key, raw in parser.config.items():  # type: ignore[union-attr]
        if key.startswith("_") or key in _MACHINERY:
            continue
        value = parser.get_parsed_content(key) if isinstance(raw, (str, Mapping, list)) else raw
        if isinstance(value, (str, int, float, bool, list, dict, torch.device)) or value is None:
            settings[key] = value
    return settings


def _as_recorded(parser: ConfigParser) -> dict[str, Any]:
    """The same for a file: components that JSON does not know as the config has them."""
    raw: Any = parser.config
    return {
        key: value if _is_json(value) else str(value) if isinstance(value, torch.device) else raw[key]
        for key, value in resolved_settings(parser).items()
    }


def _plan(network: torch.nn.Module) -> dict[str, Any] | None:
    plan = getattr(network, "plan", None)
    return None if plan is None else dict(plan.as_dict())


def _parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


_MACHINERY = (
    "initialize",
    "run",
    "training",
    "inference",
    "finalize",
    "imports",
    "sliced_volumes",
    "patches",
    "split",
    "chosen",
    "image_statistics",
    "augment",
    "train",
    "validate",
    "predict",
    "rows",
    "stages",
    "fitted_volumes",
    "samples",
    "reorient",
    "average",
    "early_stopping",
    "resume",
)


def _short(value: Any, limit: int = 200) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= limit else f"{text[:limit]} ..."
