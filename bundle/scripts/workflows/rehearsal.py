"""A training built for one made-up patch, so that faults show before volumes are searched and anything is written."""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.bundle import ConfigParser, ReferenceResolver
from monai.handlers import TensorBoardHandler
from torch import distributed
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from ..geometry import Kind, parse_targets
from ..patches import ClassCounts, open_images, volume_box
from .config_files import iter_leaves
from .random_numbers import same_random_numbers

_DATA = ("sliced_volumes", "read_shape", "chosen")
"""What a config needs so that its patches can be made up."""

_ENGINES = ("train#trainer", "validate#evaluator")
_BUILT = (*_ENGINES, "run_checkpoint", "average", "early_stopping")
_PREPROCESSING = ("train#preprocessing", "validate#preprocessing")
_CALLED = ("network", "inferer", "loss_function", "prepare_batch")
_MOST_EPOCHS = 200


def rehearse(parser: ConfigParser, faults_of: Callable[[Callable[[], list[str]]], list[str]]) -> list[str]:
    """Build a training without its patches; nothing of it is run, and no patch is loaded.

    What is built from a config's values alone is taken over from the config. Everything else is built a second time,
    with outputs in a folder that is removed, patches and statistics that are made up, and random numbers that are put
    back; so a fault in any component is found without reading volumes for it.

    Args:
        parser: the config, of which volumes, targets and network are known to be right.
        faults_of: calls a function and returns the faults that it lists, or that its error tells.

    Returns:
        a line for each fault; none where the config has patches of another kind, which cannot be made up, and none
        where several processes train.
    """
    if any(name not in parser for name in _DATA):
        return []
    if distributed.is_available() and distributed.is_initialized():
        return []  # the first process checks while the others wait, and components that meet them would wait, too
    with tempfile.TemporaryDirectory() as folder, same_random_numbers():
        trials: list[ConfigParser] = []

        def build() -> list[str]:
            trials.append(_made_up(parser, folder))
            for name in _BUILT:
                if name in parser:
                    trials[0].get_parsed_content(name)
            _build_run_arguments(trials[0])
            faults = [
                fault
                for name in _ENGINES
                if name in parser
                for fault in engine_faults(trials[0].get_parsed_content(name), name)
            ]
            faults += _part_faults(trials[0])
            if not faults:
                _step_learning_rate(trials[0])
            return faults

        try:
            return faults_of(build)
        finally:
            for trial in trials:
                _close(trial)


def _made_up(parser: ConfigParser, folder: str) -> ConfigParser:
    rows: Sequence[Mapping[str, Any]] = parser.get_parsed_content("sliced_volumes")
    size = parser.get_parsed_content("read_shape")
    if not isinstance(size, Sequence) or not all(isinstance(n, int) for n in size):
        raise ValueError(f"read_shape: expected the patch's voxels z, y, x; got {size!r}")
    first = next((n for n, row in enumerate(rows) if row.get("split") != "val"), 0)
    low, _ = volume_box(rows[first], open_images(rows[first])[0])
    patch = {"volume": first, "start": list(low), "size": list(size)}
    targets = parse_targets(parser.get_parsed_content("targets"))
    labels = {name: target for name, target in targets.items() if target.kind is Kind.LABEL}
    values: dict[str, Any] = {
        "output_dir": folder,
        "patches": [patch],
        "split": [[patch], []],
        "chosen": {
            "train": [patch],
            "validate": [],
            "counts": ClassCounts(["any"], np.ones((1, 1), int)),
            "class_voxels": {name: [1] * max(target.channels, 2) for name, target in labels.items()},
        },
        "image_statistics": _statistics(rows),
    }
    trial = ConfigParser(copy.deepcopy(parser.config), globals=parser.globals)
    trial.locator = parser.locator
    for name in values:
        if name in trial:
            trial[name] = None
    trial.parse(True)
    resolved = trial.ref_resolver.resolved_content
    resolved.update({
        key: value
        for key, value in parser.ref_resolver.resolved_content.items()
        if key.partition(ReferenceResolver.sep)[0] not in (*values, "initialize", "patch_cache", "chosen")
    })  # fmt: skip
    for name, value in values.items():
        if name in trial:
            resolved[name] = value
    return trial


def _statistics(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    def of(row: Mapping[str, Any]) -> dict[str, list[Any]]:
        images = open_images(row)
        numbers = {"mean": 0.0, "std": 1.0, "minimum": 0.0, "maximum": 1.0, "low": 0.0, "high": 1.0}
        kinds = [str(image.dtype) for image in images for _ in range(image.channels)]
        return {**{name: [value] * len(kinds) for name, value in numbers.items()}, "dtype": kinds}

    volumes = [of(row) for row in rows]
    return {"volumes": volumes, "foreground": volumes[0]}


def _build_run_arguments(trial: ConfigParser) -> None:
    """Build what the components need that run when all is built; themselves they are not called."""
    for _, text in iter_leaves(trial.get("run")):
        if isinstance(text, str):
            for name in ReferenceResolver.match_refs_pattern(text):
                trial.get_parsed_content(name)


def engine_faults(engine: Any, name: str) -> list[str]:
    """Parts of an engine that cannot do what it will ask of them: tables and texts in place of components."""
    faults = [
        f"{name}: its {part} must be something that can be called, a component; got {getattr(engine, part)!r}"
        for part in _CALLED
        if hasattr(engine, part) and not callable(getattr(engine, part))
    ]
    loader = getattr(engine, "data_loader", None)
    if isinstance(loader, (str, Mapping)) or (isinstance(loader, (list, tuple)) and not _are_tables(loader)):
        part = "train_data_loader" if name.endswith("trainer") else "val_data_loader"
        faults.append(f"{name}: its {part} must give batches; got {loader!r}")
    return faults


def _are_tables(batches: Sequence[Any]) -> bool:
    return len(batches) > 0 and all(isinstance(batch, Mapping) for batch in batches)


def _part_faults(trial: ConfigParser) -> list[str]:
    """Parts that are used after the first batch only: transforms of validation, its score, objects of checkpoints."""
    faults = []
    for name in _PREPROCESSING:
        if name in trial:
            transforms = getattr(trial.get_parsed_content(name), "transforms", ())
            faults += [f"{name}: expected transforms; got {one!r}" for one in transforms if not callable(one)]
    if "validate#evaluator" in trial:
        state = trial.get_parsed_content("validate#evaluator").state
        if getattr(state, "key_metric_name", None) is None:
            faults.append("validate#evaluator: has no key_val_metric, by whose score the best model is chosen")
    objects = trial.get_parsed_content("run_checkpoint#objects") if "run_checkpoint#objects" in trial else {}
    return faults + [
        f"run_checkpoint#objects#{name}: expected an object with state_dict and load_state_dict; got {value!r}"
        for name, value in objects.items()
        if value is not None and not (hasattr(value, "state_dict") and hasattr(value, "load_state_dict"))
    ]


def _step_learning_rate(trial: ConfigParser) -> None:
    """Go through the schedule of the learning rate: some schedules fail only at their end."""
    schedule = trial.get_parsed_content("lr_scheduler") if "lr_scheduler" in trial else None
    if not isinstance(schedule, LRScheduler) or isinstance(schedule, ReduceLROnPlateau):
        return
    for _ in range(min(int(trial.get_parsed_content("max_epochs")), _MOST_EPOCHS)):
        schedule.optimizer.step()  # there are no gradients
        schedule.step()
    rates = [group["lr"] for group in schedule.optimizer.param_groups]
    if not all(math.isfinite(rate) and rate >= 0 for rate in rates):
        raise ValueError(f"lr_scheduler: ends with a learning rate of {rates[0]}; expected one of at least 0")


def _close(trial: ConfigParser) -> None:
    """Close the files that TensorBoard's handlers have opened."""
    for value in trial.ref_resolver.resolved_content.values():
        if isinstance(value, TensorBoardHandler):
            value.close()
