"""`import-task TASK`: train on with the settings of a SheetNorm task file."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..geometry import did_you_mean
from .imports.task_file import Entry, Findings, Task, read_task
from .imports.task_keys import DATASET, INFERENCE, KEYS, MODEL, TRAINING, choice, flag, overlap
from .imports.task_network import NETWORK_KEYS, check_window, import_network
from .imports.task_normals import advise_on_normals
from .imports.task_targets import import_targets, import_volumes

PARAMETERS = {"_target_": "scripts.workflows.trained_parameters", "network": "@network", "loss": "@loss"}

_OPTIMIZERS: dict[str, dict[str, Any]] = {
    "AdamW": {"_target_": "torch.optim.AdamW"},
    "SGD": {"_target_": "torch.optim.SGD", "momentum": 0.9, "nesterov": True},
}
_BESIDE_THE_KEYS: dict[str, tuple[Any, str]] = {
    "lr_scheduler": (
        {
            "_target_": "torch.optim.lr_scheduler.CosineAnnealingLR",
            "optimizer": "@optimizer",
            "T_max": "@max_epochs",
        },
        "the learning rate falls along a cosine",
    ),
    "clip_norm": (3, "longer gradients are shortened to 3"),
    "keep_last": (10, "the 10 newest checkpoints stay"),
}
"""What the old programs did without a key."""

_SHARED = ("targets", "patch_size", "normalization", *NETWORK_KEYS)


def import_task(
    task: str | Path,
    *,
    output_path: str | Path | None = None,
    dry_run: bool = False,
    overwrite: bool = False,
    skip_unknown: bool = False,
) -> str:
    """Turn a task file of SheetNorm (JSON) or of its successor (YAML) into settings that follow configs/train.json.

    Defaults of the old programs are written down, too, so that the training means the same. Where the file has
    parameters of inference, settings for configs/inference.json go beside, as `NAME.inference.json`.

    Args:
        task: the task file.
        output_path: file to write. Default: beside the task file, as `task.overlay.json`.
        dry_run: say what would become of every key, and write nothing.
        overwrite: replace files that exist.
        skip_unknown: leave out keys that are not known, instead of refusing them.

    Returns:
        what became of every key, what to do first, and the commands to run.

    Raises:
        FileExistsError: where an output exists.
        FileNotFoundError: where the task file does not.
        ValueError: for a file that is no task file, or cannot be trained as it stands.
    """
    source = Path(task)
    path = source.with_suffix(".overlay.json") if output_path is None else Path(output_path)
    if path.suffix != ".json":
        raise ValueError(f"output_path: expected a name that ends in .json, got {path}")
    if path.absolute() == source.absolute():
        raise ValueError(f"output_path: {path} is the task file itself; expected another path")
    content, unknown = read_task(source, skip_unknown)
    findings = Findings(dropped=[f"{place}: unknown, left out" for place in unknown])
    findings.dropped += [f"{place} = null: counts as left out" for place in content.empty]
    _import_training(content, findings)
    if content.has(INFERENCE):
        _import_inference(content, findings)
    overlays = {
        path: ("train", findings.settings),
        path.with_suffix(".inference.json"): ("inference", findings.inference),
    }
    overlays = {file: overlay for file, overlay in overlays.items() if overlay[1]}
    for file in overlays:
        if file.exists() and not (overwrite or dry_run):
            raise FileExistsError(f"{file} exists; choose another path, or pass --overwrite to replace it")
    if dry_run:
        return _summary(findings, [file.absolute() for file in overlays], "Not written, this was a dry run")
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    for file, (config, settings) in overlays.items():
        about = f"The {content.layout.name} {source.name}; give this file after configs/{config}.json."
        file.write_text(json.dumps({"_about_": about, **settings}, indent=4) + "\n")
    return _summary(findings, [file.absolute() for file in overlays])


def _import_training(task: Task, findings: Findings) -> None:
    settings = findings.settings
    for role in (TRAINING, DATASET):
        _import_plain(task, role, findings, settings)
    import_targets(task, findings)
    import_volumes(task, findings)
    _import_plain(task, MODEL, findings, settings)
    import_network(task, findings)
    _import_optimizer(task, findings)
    _import_checkpoint(task, findings)
    folder = task.get(DATASET, "cache_folder")
    if folder is not None and "patch_cache" in settings:
        findings.drop(folder, "cache_file names the cache")
    elif folder is not None:
        file = f"{str(folder.value).rstrip('/')}/{settings.get('model_name', 'model')}_patches.json"
        findings.put(folder, settings, "patch_cache", file)
    for key, (value, why) in _BESIDE_THE_KEYS.items():
        settings[key] = value
        shown = value["_target_"].rpartition(".")[2] if isinstance(value, Mapping) else value
        findings.defaults.append(f"{why} -> {key} = {shown}")
    advise_on_normals(findings)
    findings.advice.append(
        "their programs computed in mixed precision (here: precision = fp16 or bf16, on CUDA) and had an augmentation "
        "of their own (here: augment)"
    )
    findings.advice.append(
        "paths stay as they are written; relative ones count from the folder in which a run is started"
    )


def _import_plain(task: Task, role: str, findings: Findings, settings: dict[str, Any]) -> None:
    """The keys that need nothing but another name, and those that have no counterpart."""
    for key, spec in KEYS[role].items():
        entry = task.get(role, key)
        if entry is None or (not entry.is_given and spec.new in settings):
            continue
        if spec.new is not None:
            findings.put(entry, settings, spec.new, entry.read(spec.read), spec.why)
        elif spec.why:
            findings.drop(entry, spec.why)


def _import_optimizer(task: Task, findings: Findings) -> None:
    entry = task.get(TRAINING, "optimizer")
    if entry is None:
        return
    component = entry.read(lambda value: choice(value, _OPTIMIZERS))
    findings.settings["optimizer"] = {
        **component,
        "params": PARAMETERS,
        "lr": "@learning_rate",
        "weight_decay": "@weight_decay",
    }
    options = ", ".join(f"{key} {value}" for key, value in component.items() if key != "_target_")
    findings.say(entry, f"optimizer = {component['_target_']}", options)


def _import_checkpoint(task: Task, findings: Findings) -> None:
    entry, weights_only = task.get(TRAINING, "checkpoint_path"), task.get(TRAINING, "load_weights_only")
    alone = weights_only is not None and weights_only.read(flag)
    if entry is None:
        if weights_only is not None:
            findings.drop(weights_only, "there is no checkpoint_path")
        return
    if _is_theirs(entry.value):
        findings.drop(entry, "it holds the weights of their network, whose layers are others; the training starts anew")
        return
    why = "one that their program wrote holds another network and is refused; null starts anew"
    findings.put(entry, findings.settings, "weights" if alone else "load_model", str(entry.value), why)
    if weights_only is not None:
        findings.say(weights_only, f"the checkpoint is {'weights' if alone else 'load_model, which resumes the run'}")


def _is_theirs(path: Any) -> bool:
    """Whether a file is a checkpoint of the old programs: weights under `model`, beside `optimizer`."""
    if not Path(str(path)).is_file():
        return False
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError):
        return False
    return isinstance(content, Mapping) and {"model", "optimizer"} <= set(content)


def _import_inference(task: Task, findings: Findings) -> None:
    settings, training = findings.inference, findings.settings
    _import_plain(task, INFERENCE, findings, settings)
    batch = Entry("batch_size of inference", training["batch_size"], is_given=False)
    if "sw_batch_size" not in settings:
        findings.put(batch, settings, "sw_batch_size", batch.value)
    if "roi_size" in settings:
        check_window(training, settings["roi_size"])
    shared = task.get(INFERENCE, "overlap")
    if shared is not None:
        why = "a step of the window there, an overlap of windows here" if task.layout.has_resenc else ""
        findings.put(shared, settings, "overlap", shared.read(overlap), why)
    chosen = task.get(INFERENCE, "output_targets")
    if chosen is not None:
        findings.put(chosen, settings, "output_targets", chosen.read(lambda value: _chosen(value, training["targets"])))
    checkpoint = task.get(INFERENCE, "checkpoint_path")
    if checkpoint is not None and not _is_theirs(checkpoint.value):
        findings.put(checkpoint, settings, "weights", str(checkpoint.value), "weights that this program trained")
    else:
        if checkpoint is not None:
            findings.drop(checkpoint, "it holds the weights of their network, whose layers are others")
        settings |= {key: training[key] for key in ("ckpt_dir",) if key in training}
        settings["weights"] = f"$@ckpt_dir + '/{training.get('model_name', 'model')}.pt'"
        findings.defaults.append("weights of inference -> weights = those of the best epoch")
    if "input" not in settings:
        findings.advice.append("the task file has no input_path: give inference --input PATH")
    settings |= {key: training[key] for key in _SHARED if key in training}


def _chosen(value: Any, targets: Mapping[str, Any]) -> list[str] | None:
    """Names of the targets to write; `None` for all."""
    names = [value] if isinstance(value, str) else list(value)
    if names == ["all"]:
        return None
    wrong = [f"'{name}'{did_you_mean(name, targets)}" for name in names if name not in targets]
    if wrong:
        raise ValueError(f"there is no target {', '.join(wrong)}; the targets are {', '.join(targets)}, or 'all'")
    return names


def _summary(findings: Findings, files: list[Path], written: str = "Written") -> str:
    blocks = {
        "The task file says": findings.mapped,
        "It leaves out, and is written as their program had it": findings.defaults,
        "No counterpart": findings.dropped,
        "To do and to know": findings.advice,
        written: [str(file) for file in files],
    }
    lines = [line for title, block in blocks.items() if block for line in (f"{title}:", *(f"  {row}" for row in block))]
    lines.append("Run, in the folder of the bundle:")
    lines.append(f"  {_run('training', ['configs/train.json', str(files[0])])}")
    if len(files) > 1:
        configs = ["configs/inference.json", str(files[1]), "output/network.json"]
        lines.append(f"  {_run('inference', configs)}")
        lines.append("  (output/network.json is what the training leaves in its output_dir)")
    return "\n".join(lines)


def _run(name: str, configs: list[str]) -> str:
    return f'python -m monai.bundle run {name} --config_file "{configs}"'
