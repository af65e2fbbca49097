"""The check that stands before every training: all that is wrong, at once, before anything is computed or written."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from ..engines import find_checkpoint
from ..geometry import parse_targets, target_faults
from ..losses import loss_faults
from ..metrics import metric_faults
from ..networks import check_patch_size
from ..patches import volume_faults
from .components import component_faults
from .faults import raise_faults, root_message, show_run_errors_plainly
from .first_sample import first_sample_faults
from .folders import folder_faults
from .network_size import network_size_faults
from .processes import first_process_finds
from .reference_faults import reference_faults, warn_of_misspelt_keys
from .rehearsal import rehearse
from .setting_rules import setting_faults
from .weight_files import state_dict_faults


def check_config(parser: ConfigParser | None = None) -> None:
    """Check what must be right before anything of a config is built: expressions and references.

    From here on the command line shows faults of the config without tracebacks.

    Args:
        parser: the config; `None`: that of the run in which this is called.

    Raises:
        RunError: with every fault.
    """
    raise_config_faults(parser or current_parser(), "the run", lambda parser: [])


def raise_config_faults(parser: ConfigParser, what: str, faults_of: Callable[[ConfigParser], list[str]]) -> None:
    """Raise `RunError` where a config cannot be built as it is written, or else has faults; warn of misspelt keys.

    Args:
        parser: the config.
        what: what cannot start.
        faults_of: lists the faults of a config of which every reference leads somewhere.
    """
    show_run_errors_plainly()
    raise_faults(written_faults(parser), what)
    warn_of_misspelt_keys(parser)
    raise_faults(faults_of(parser), what)


def check_training(parser: ConfigParser | None = None) -> None:
    """Check the training config that is being run: components, targets, volumes, network, checkpoint, patches.

    Args:
        parser: the config; `None`: that of the run in which this is called.

    Raises:
        RunError: with every fault.
    """
    parser = parser or current_parser()
    show_run_errors_plainly()
    raise_faults(first_process_finds(lambda: _settings_and_data_faults(parser)), "the training")
    # together, since processes meet while their networks are connected
    raise_faults(collect(lambda: value_of(parser, "train#trainer") and []), "the training")


def written_faults(parser: ConfigParser) -> list[str]:
    """Faults of the config as it is written, without which nothing of it can be built."""
    if not parser.ref_resolver.items:
        parser.parse(True)
    return reference_faults(parser)


def _settings_and_data_faults(parser: ConfigParser) -> list[str]:
    if faults := written_faults(parser):
        return faults
    faults = component_faults(parser) + setting_faults(parser, collect)
    faults += collect(lambda: folder_faults({key: value_of(parser, key) for key in ("output_dir", "ckpt_dir")}))
    bad_targets = target_table_faults(parser)
    faults += bad_targets
    if not bad_targets:
        faults += collect(
            lambda: volume_faults(value_of(parser, "volumes"), value_of(parser, "targets"), channels_of_input(parser))
        )
    # the network is planned for the volumes' spacing, and patches are cut from them
    if not faults:
        faults += collect(lambda: network_faults(parser, {"patch_size": value_of(parser, "patch_size")}))
    if not faults:
        faults += collect(lambda: _fitting_loss_faults(parser))
    if not faults:
        faults += rehearse(parser, collect)
    if not faults:
        faults += collect(lambda: value_of(parser, "split") and [])
    if not faults:
        faults += collect(lambda: first_sample_faults(parser))
    return faults


def current_parser() -> ConfigParser:
    """The config that is being evaluated when this is called from within it.

    A config cannot refer to itself as a whole, so its parser is looked up among the callers.

    Raises:
        RuntimeError: if no config is being evaluated.
    """
    frame = sys._getframe(1)
    while frame is not None:
        candidate = frame.f_locals.get("self")
        if isinstance(candidate, ConfigParser):
            return candidate
        frame = frame.f_back  # type: ignore[assignment]
    raise RuntimeError("no config is being evaluated here; give the parser")


def value_of(parser: ConfigParser, key: str) -> Any:
    return parser.get_parsed_content(key)


def collect(faults: Callable[[], list[str]]) -> list[str]:
    """Faults from a function that lists them, or the message of the error that it raises."""
    try:
        return faults()
    except Exception as error:  # whatever a user's own component raises is a fault of the run
        return [root_message(error)]


def channels_of_input(parser: ConfigParser) -> int | None:
    return value_of(parser, "in_channels") if "in_channels" in parser else None


def target_table_faults(parser: ConfigParser) -> list[str]:
    def find() -> list[str]:
        targets = value_of(parser, "targets")
        return target_faults(targets) or loss_faults(targets) + metric_faults(targets)

    return collect(find)


def network_faults(parser: ConfigParser, sizes: Mapping[str, Any]) -> list[str]:
    """Whether inputs of these sizes, by their names, pass through the network, and its weights fit."""

    def find() -> list[str]:
        if too_large := network_size_faults(parser):
            return too_large
        network = value_of(parser, "network_def")
        plan = getattr(network, "plan", None)
        faults: list[str] = []
        if plan is not None:
            for name, size in sizes.items():
                try:
                    check_patch_size(size, plan)
                except ValueError as error:
                    faults.append(f"{name}: {error}")
        if faults:
            return faults
        for key, path in _weight_files(parser):
            partial = key == "weights" and "partial_weights" in parser and value_of(parser, "partial_weights")
            faults += [f"{key}: {fault}" for fault in state_dict_faults(network, path, partial)]
        return faults

    return collect(find)


def _fitting_loss_faults(parser: ConfigParser) -> list[str]:
    """Losses of targets that cannot read the output of a network that has a loss of its own, such as PHD-Net."""
    name = getattr(value_of(parser, "network_def"), "loss_name", None)
    return [
        f"targets: {target.name}: this network's output is for loss '{name}'; got {given!r}"
        for target in parse_targets(value_of(parser, "targets")).values()
        if name is not None and not _has_loss(given := target.loss, name)
    ]


def _has_loss(given: Any, name: str) -> bool:
    """Whether a target's loss is the named one, has it among its parts, or is a user's own."""
    parts = given if isinstance(given, (list, tuple)) else [given]
    return any(callable(one) or (one.get("name") if isinstance(one, Mapping) else one) == name for one in parts)


def _weight_files(parser: ConfigParser) -> list[tuple[str, str]]:
    """Files that the network's weights come from, each with the key that names it."""
    files = []
    if "weights" in parser and value_of(parser, "weights") is not None:
        weights = value_of(parser, "weights")
        several = weights if isinstance(weights, list) else [weights]
        for path in several:
            is_folder = isinstance(path, str | Path) and Path(path).is_dir()
            held = sorted(Path(path).glob("*.pt")) if is_folder else []
            files += [("weights", str(one)) for one in held or [path]]
    if "load_model" in parser:
        ckpt_dir, name = value_of(parser, "ckpt_dir"), value_of(parser, "model_name")
        found = find_checkpoint(value_of(parser, "load_model"), ckpt_dir, name)
        files += [("load_model", found)] if found is not None else []
    return files
