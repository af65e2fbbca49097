"""The check that stands before every run: all that is wrong, at once, before anything is computed or written."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, load

from ..engines import find_checkpoint
from ..geometry import IMAGE_KEY, Kind, check_precision, parse_targets, target_faults
from ..inferers import dropout_layers, slice_sizes
from ..losses import loss_faults
from ..metrics import metric_faults
from ..networks import check_patch_size
from ..patches import ID_KEY, row_landmarks, volume_faults
from ..volumes import open_volume
from .components import component_faults
from .faults import raise_faults, root_message, show_run_errors_plainly
from .processes import first_process_finds
from .weight_files import state_dict_faults


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
    raise_faults(_collect(lambda: _value(parser, "train#trainer") and []), "the training")


def _settings_and_data_faults(parser: ConfigParser) -> list[str]:
    faults = component_faults(parser)
    bad_targets = _target_faults(parser)
    faults += bad_targets
    if not bad_targets:
        faults += _collect(
            lambda: volume_faults(_value(parser, "volumes"), _value(parser, "targets"), _in_channels(parser))
        )
    # the network is planned for the volumes' spacing, and patches are cut from them
    if not faults:
        faults += _network_faults(parser, {"patch_size": _value(parser, "patch_size")})
        faults += _collect(lambda: _value(parser, "split") and [])
    return faults


def check_inference(parser: ConfigParser | None = None) -> None:
    """Check the inference config that is being run: components, targets, network, weights, input.

    Args:
        parser: the config; `None`: that of the run in which this is called.

    Raises:
        RunError: with every fault.
    """
    parser = parser or current_parser()
    show_run_errors_plainly()
    faults = component_faults(parser) + _target_faults(parser)
    if not faults:
        faults += _ensemble_faults(parser)
        faults += _collect(lambda: _precision_faults(parser))
        faults += _collect(lambda: _network_faults(parser, _window_sizes(parser)))
        if not _is_only_loaded():
            faults += _collect(lambda: _input_faults(_value(parser, "input_data"), _in_channels(parser)))
        faults += _collect(lambda: _landmark_faults(parser))
    if not faults:
        faults += _collect(lambda: _value(parser, "evaluator") and [])
    raise_faults(faults, "the inference")


def _is_only_loaded() -> bool:
    """Whether `monai.bundle.load` asks for the network alone, which needs no input; it says so by nothing else."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code is inspect.unwrap(load).__code__:
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


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


def _value(parser: ConfigParser, key: str) -> Any:
    return parser.get_parsed_content(key)


def _collect(faults: Callable[[], list[str]]) -> list[str]:
    """Faults from a function that lists them, or the message of the error that it raises."""
    try:
        return faults()
    except Exception as error:  # whatever a user's own component raises is a fault of the run
        return [root_message(error)]


def _in_channels(parser: ConfigParser) -> int | None:
    return _value(parser, "in_channels") if "in_channels" in parser else None


def _target_faults(parser: ConfigParser) -> list[str]:
    def find() -> list[str]:
        targets = _value(parser, "targets")
        return target_faults(targets) or loss_faults(targets) + metric_faults(targets)

    return _collect(find)


def _window_sizes(parser: ConfigParser) -> dict[str, Any]:
    """What the network is given at inference, each size with its name in messages."""
    roi_size, axes = _value(parser, "roi_size"), _value(parser, "slice_axes") if "slice_axes" in parser else None
    if axes is None:
        return {"roi_size": roi_size}
    if (patch_size := list(_value(parser, "patch_size")))[0] != 1:
        raise ValueError(
            f"slice_axes = {axes} is for networks that were trained on slices, with a patch_size of [1, H, W]; got "
            f"patch_size = {patch_size}. Leave slice_axes null, or give the network.json of such a training"
        )
    return {
        f"slices along {axis} of windows with roi_size = {list(roi_size)}": size
        for axis, size in slice_sizes(roi_size, axes).items()
    }


def _network_faults(parser: ConfigParser, sizes: Mapping[str, Any]) -> list[str]:
    """Whether inputs of these sizes, by their names, pass through the network, and its weights fit."""

    def find() -> list[str]:
        network = _value(parser, "network_def")
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
            partial = key == "weights" and "partial_weights" in parser and _value(parser, "partial_weights")
            faults += [f"{key}: {fault}" for fault in state_dict_faults(network, path, partial)]
        return faults

    return _collect(find)


def _precision_faults(parser: ConfigParser) -> list[str]:
    check_precision(_value(parser, "precision"), _value(parser, "device"))
    return []


def _ensemble_faults(parser: ConfigParser) -> list[str]:
    """Disagreement is that of several networks."""
    if "disagreement" not in parser or not _value(parser, "disagreement"):
        return []
    weights = _value(parser, "weights")
    if isinstance(weights, list) and len(weights) > 1:
        return []
    return [f"disagreement: true needs a list of at least two files as weights, an ensemble; got weights = {weights!r}"]


def _weight_files(parser: ConfigParser) -> list[tuple[str, str]]:
    """Files that the network's weights come from, each with the key that names it."""
    files = []
    if "weights" in parser and _value(parser, "weights") is not None:
        weights = _value(parser, "weights")
        several = weights if isinstance(weights, list) else [weights]
        for path in several:
            is_folder = isinstance(path, str | Path) and Path(path).is_dir()
            held = sorted(Path(path).glob("*.pt")) if is_folder else []
            files += [("weights", str(one)) for one in held or [path]]
    if "load_model" in parser:
        ckpt_dir, name = _value(parser, "ckpt_dir"), _value(parser, "model_name")
        found = find_checkpoint(_value(parser, "load_model"), ckpt_dir, name)
        files += [("load_model", found)] if found is not None else []
    return files


def _landmark_faults(parser: ConfigParser) -> list[str]:
    """Faults of an inference of landmarks: annotations of other landmarks, dropout that the network does not have."""
    if "mc_dropout" not in parser:
        return []
    targets = parse_targets(_value(parser, "targets"))
    points = [target for target in targets.values() if target.kind is Kind.POINTS]
    if len(points) != 1:
        names = ", ".join(target.name for target in points)
        return [f"targets: expected one of kind points, whose landmarks are to be found; got {names or 'none'}"]
    count = points[0].channels
    faults = []
    for row in _value(parser, "input_data"):
        given = row_landmarks(row)
        if given is not None and len(given.names) != count:
            name = row.get(ID_KEY, row[IMAGE_KEY])
            faults.append(f"{name}: has {len(given.names)} landmarks; the network finds {count}")
    if _value(parser, "mc_dropout") and not dropout_layers(_value(parser, "network_def")):
        faults.append(
            "mc_dropout: the network has no dropout; train it with a 'dropout' above 0, or set mc_dropout to 0"
        )
    return faults


def _input_faults(data: Sequence[Mapping[str, Any]], in_channels: int | None) -> list[str]:
    faults = []
    for datum in data:
        given = datum[IMAGE_KEY]
        volumes = [open_volume(path) for path in ([given] if isinstance(given, str | Path) else given)]
        channels = sum(volume.channels for volume in volumes)
        if in_channels is not None and channels != in_channels:
            faults.append(
                f"input {volumes[0].path} has {channels} channels, the network takes in_channels = {in_channels}"
            )
    return faults
