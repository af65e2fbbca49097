"""The checks that stand before every prediction, and before every processing of predictions."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ReferenceResolver, load
from monai.handlers import CheckpointLoader

from ..geometry import IMAGE_KEY, MASK_KEY, Kind, check_precision, parse_targets
from ..inferers import dropout_layers, slice_sizes
from ..patches import ID_KEY, row_landmarks, volume_box
from ..volumes import open_volume
from .components import component_faults
from .each_prediction import find_sets
from .faults import root_message
from .landmark_results.results import LandmarkResults
from .rehearsal import engine_faults
from .setting_rules import setting_faults
from .start_checks import (
    channels_of_input,
    collect,
    current_parser,
    network_faults,
    raise_config_faults,
    target_table_faults,
    value_of,
)

_OF_RESULTS = ("radii", "radii_physical", "bins", "fit_bins", "n_bins", "append", "n_pictures")


def check_inference(parser: ConfigParser | None = None) -> None:
    """Check the inference config that is being run: components, targets, network, weights, input.

    Args:
        parser: the config; `None`: that of the run in which this is called.

    Raises:
        RunError: with every fault.
    """
    raise_config_faults(parser or current_parser(), "the inference", _inference_faults)


def _inference_faults(parser: ConfigParser) -> list[str]:
    faults = component_faults(parser) + setting_faults(parser, collect) + target_table_faults(parser)
    if not faults:
        faults += _ensemble_faults(parser)
        faults += _named("precision, device", collect(lambda: _precision_faults(parser)))
        faults += collect(lambda: network_faults(parser, _window_sizes(parser)))
        if not _is_only_loaded():
            faults += _named(
                "input_data",
                collect(lambda: _input_faults(value_of(parser, "input_data"), channels_of_input(parser))),
            )
        faults += collect(lambda: _landmark_faults(parser))
    if not faults:
        faults += collect(lambda: _evaluator_faults(parser))
    return faults


def check_processing(parser: ConfigParser | None = None) -> None:
    """Check the processing config that is being run: components, settings, inputs.

    Args:
        parser: the config; `None`: that of the run in which this is called.

    Raises:
        RunError: with every fault.
    """
    raise_config_faults(parser or current_parser(), "the processing", _processing_faults)


def _processing_faults(parser: ConfigParser) -> list[str]:
    faults = component_faults(parser) + setting_faults(parser, collect)
    return faults or collect(lambda: _segmentation_faults(parser))


def _segmentation_faults(parser: ConfigParser) -> list[str]:
    segmentation = value_of(parser, "segmentation")
    sets = find_sets(*(value_of(parser, key) for key in ("inputs", "output", "keep")))
    target, paths = next(iter(sets.items()))
    try:
        segmentation(inputs=paths, output=target)
    except Exception as error:  # a segmenter may be a user's own
        return [f"segmentation: {root_message(error)}"]
    return []


def _evaluator_faults(parser: ConfigParser) -> list[str]:
    evaluator = value_of(parser, "evaluator")
    faults = engine_faults(evaluator, "evaluator") + _loader_faults(parser)
    dataset = value_of(parser, "dataset") if "dataset" in parser else None
    rows = getattr(dataset, "data", None)
    if isinstance(rows, list) and (wrong := [row for row in rows if not isinstance(row, Mapping)]):
        faults.append(f'dataset: data must be rows such as {{"{IMAGE_KEY}": PATH}}; got {wrong[0]!r}')
    elif dataset is not None and not _is_only_loaded() and "streaming" in parser and value_of(parser, "streaming"):
        for number in range(len(dataset)):
            dataset[number]  # opens it, and reads nothing
    loader = evaluator.data_loader
    if hasattr(loader, "collate_fn") and not callable(loader.collate_fn):
        faults.append(f"dataloader: collate_fn must be something that can be called; got {loader.collate_fn!r}")
    return faults


def _loader_faults(parser: ConfigParser) -> list[str]:
    return [
        f"{key.replace(ReferenceResolver.sep, '#')}#load_dict#{name}: expected an object with load_state_dict; "
        f"got {value!r}"
        for key, loader in parser.ref_resolver.resolved_content.items()
        if isinstance(loader, CheckpointLoader)
        for name, value in loader.load_dict.items()
        if not hasattr(value, "load_state_dict")
    ]


def _is_only_loaded() -> bool:
    """Whether `monai.bundle.load` asks for the network alone, which needs no input; it says so by nothing else."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code is inspect.unwrap(load).__code__:
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def _window_sizes(parser: ConfigParser) -> dict[str, Any]:
    """What the network is given at inference, each size with its name in messages."""
    roi_size, axes = value_of(parser, "roi_size"), value_of(parser, "slice_axes") if "slice_axes" in parser else None
    if roi_size is None:
        raise ValueError("roi_size: expected the window's voxels along z, y, x; got None")
    if axes is None:
        return {"roi_size": roi_size}
    if (patch_size := list(value_of(parser, "patch_size")))[0] != 1:
        raise ValueError(
            f"slice_axes = {axes} is for networks that were trained on slices, with a patch_size of [1, H, W]; got "
            f"patch_size = {patch_size}. Leave slice_axes null, or give the network.json of such a training"
        )
    return {
        f"slices along {axis} of windows with roi_size = {list(roi_size)}": size
        for axis, size in slice_sizes(roi_size, axes).items()
    }


def _precision_faults(parser: ConfigParser) -> list[str]:
    check_precision(value_of(parser, "precision"), value_of(parser, "device"))
    return []


def _ensemble_faults(parser: ConfigParser) -> list[str]:
    """Disagreement is that of several networks."""
    if "disagreement" not in parser or not value_of(parser, "disagreement"):
        return []
    weights = value_of(parser, "weights")
    if isinstance(weights, list) and len(weights) > 1:
        return []
    return [f"disagreement: true needs a list of at least two files as weights, an ensemble; got weights = {weights!r}"]


def _landmark_faults(parser: ConfigParser) -> list[str]:
    """Faults of an inference of landmarks: annotations of other landmarks, dropout that the network does not have."""
    if "mc_dropout" not in parser:
        return []
    targets = parse_targets(value_of(parser, "targets"))
    points = [target for target in targets.values() if target.kind is Kind.POINTS]
    if len(points) != 1:
        names = ", ".join(target.name for target in points)
        return [f"targets: expected one of kind points, whose landmarks are to be found; got {names or 'none'}"]
    count = points[0].channels
    faults = []
    for row in value_of(parser, "input_data"):
        given = row_landmarks(row)
        if given is not None and len(given.names) != count:
            name = row.get(ID_KEY, row[IMAGE_KEY])
            faults.append(f"{name}: has {len(given.names)} landmarks; the network finds {count}")
    LandmarkResults(
        value_of(parser, "results_dir"),
        **{key: value_of(parser, key) for key in _OF_RESULTS if key in parser},
    )
    if value_of(parser, "mc_dropout") and not dropout_layers(value_of(parser, "network_def")):
        faults.append(
            "mc_dropout: the network has no dropout; train it with a 'dropout' above 0, or set mc_dropout to 0"
        )
    return faults


def _named(setting: str, faults: list[str]) -> list[str]:
    """Faults with the setting that they are about in front, unless they name it."""
    return [fault if setting in fault else f"{setting}: {fault}" for fault in faults]


def _opened(path: str) -> list[str]:
    open_volume(path)
    return []


def _input_faults(data: Sequence[Mapping[str, Any]], in_channels: int | None) -> list[str]:
    if not isinstance(data, Sequence) or not all(isinstance(row, Mapping) and row.get(IMAGE_KEY) for row in data):
        return [f'input_data: expected a list such as [{{"{IMAGE_KEY}": PATH}}]; got {data!r}']
    faults = []
    for datum in data:
        given = datum[IMAGE_KEY]
        volumes = [open_volume(path) for path in ([given] if isinstance(given, str | Path) else given)]
        channels = sum(volume.channels for volume in volumes)
        if in_channels is not None and channels != in_channels:
            faults.append(
                f"input {volumes[0].path} has {channels} channels, the network takes in_channels = {in_channels}"
            )
        volume_box(datum, volumes[0])
        if datum.get(MASK_KEY) is not None:
            faults += [f"{MASK_KEY}: {fault}" for fault in collect(partial(_opened, datum[MASK_KEY]))]
    return faults
