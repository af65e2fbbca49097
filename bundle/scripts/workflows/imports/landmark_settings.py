"""Keys of LaNNU-Net's files that are read together: sizes, loss, network, paths, and what is predicted."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ...volumes import is_url
from ..import_task import PARAMETERS
from .landmark_file import ARCHITECTURE, LandmarkConfig
from .landmark_keys import PHDNET, UNET, one_of, or_nothing, sizes_xy
from .task_file import Entry, Findings
from .task_keys import choice, flag, number, share, whole

_PATCH = "SAMPLER.PATCH"
_MODES = {"full": False, "patch_bias": True, "patch": True}
"""Whether patches are drawn, by the sampler's mode."""

_WHOLE, _STITCHED = "fully_convolutional", "patchify_and_stitch"

_PATIENCE = {UNET: 150, PHDNET: 250}
_MOMENTUM, _WEIGHT_DECAY = 0.99, 3e-5
_FIRST = "a file of this program; one that theirs wrote holds another network, and is refused"


def import_data(config: LandmarkConfig, findings: Findings, dataset_dir: Path) -> None:
    """Write where the images and landmarks are."""
    file, root, count = (
        config.find("DATASET.SRC_TARGETS"),
        config.get("DATASET.ROOT"),
        config.get("DATASET.TRAINSET_SIZE"),
    )
    for settings in (findings.settings, findings.inference):
        if file is not None:
            settings["landmark_file"] = _placed(file.value, dataset_dir)
        settings["image_root"] = _placed(root.value, dataset_dir)
    if file is None:
        findings.advice.append("the file has no DATASET.SRC_TARGETS: give --landmark_file PATH")
    else:
        findings.say(file, f"landmark_file = {findings.settings['landmark_file']}")
    findings.say(root, f"image_root = {findings.settings['image_root']}")
    if count.read(whole(-1)) != -1:
        findings.drop(count, "every sample of 'training' trains; write a file with a shorter list")


def import_sampling(config: LandmarkConfig, findings: Findings) -> int:
    """Write sizes of images and patches; returns the number of axes."""
    settings, inference = findings.settings, findings.inference
    size, mode = config.get("SAMPLER.INPUT_SIZE"), config.get("SAMPLER.SAMPLER_MODE")
    shape, is_patches = size.read(sizes_xy), mode.read(lambda value: choice(value, _MODES))
    parts = {
        key: config.get(f"{_PATCH}.{key}")
        for key in ("RESOLUTION_TO_SAMPLE_FROM", "SAMPLE_PATCH_SIZE", "SAMPLER_BIAS", "INFERENCE_MODE")
    }
    resized = True
    if is_patches:
        resized = parts["RESOLUTION_TO_SAMPLE_FROM"].read(one_of("full", "input_size")) == "input_size"
    settings["input_size"] = inference["input_size"] = shape if resized else None
    if resized:
        findings.say(size, f"input_size = {shape}", "z, y, x; theirs begins with the width")
    else:
        findings.drop(size, "patches are of the images as they are stored: input_size = null")
    if not is_patches:
        findings.say(mode, "patch_size = input_size, the default", "whole images")
        for entry in parts.values():
            findings.drop(entry, "SAMPLER_MODE is full: there are no patches")
        return len(size.value)
    findings.say(mode, "patch_size, sampler_bias")
    findings.say(parts["RESOLUTION_TO_SAMPLE_FROM"], f"input_size = {settings['input_size']}")
    patch = parts["SAMPLE_PATCH_SIZE"].read(sizes_xy)
    if len(parts["SAMPLE_PATCH_SIZE"].value) != len(size.value):
        raise ValueError(f"{parts['SAMPLE_PATCH_SIZE']} and {size} must have as many numbers")
    findings.put(parts["SAMPLE_PATCH_SIZE"], settings, "patch_size", patch)
    findings.put(parts["SAMPLER_BIAS"], settings, "sampler_bias", parts["SAMPLER_BIAS"].read(share))
    _import_windows(parts["INFERENCE_MODE"], patch, findings)
    return len(size.value)


def import_network(config: LandmarkConfig, findings: Findings, dims: int) -> None:
    """Write what follows from the architecture: sigma, loss, optimiser and patience."""
    settings = findings.settings
    name = config.architecture
    findings.say(config.get(ARCHITECTURE), "configs/phdnet.json" if name == PHDNET else "configs/landmarks.json")
    sigma = config.get("MODEL.GAUSS_SIGMA")
    if name == PHDNET:
        findings.put(sigma, settings, "class_sigma", sigma.read(number), "in patches")
    else:
        findings.put(sigma, settings, "sigma", sigma.read(number), "voxels of what the network gets")
        settings["sigma_unit"] = "voxels"
        _import_loss(config, findings, dims)
        _import_optimizer(findings)
    patience = config.find("SOLVER.EARLY_STOPPING_PATIENCE")
    patience = Entry("early stopping", _PATIENCE[name], is_given=False) if patience is None else patience
    findings.put(patience, settings, "early_stop", patience.read(whole(1)))


def import_training(config: LandmarkConfig, findings: Findings) -> None:
    """Write decay, precision, validation, and what stays."""
    settings = findings.settings
    decay = config.get("SOLVER.DECAY_POLICY")
    if decay.read(or_nothing(one_of("poly"))) is None:
        settings["lr_scheduler"] = {
            "_target_": "torch.optim.lr_scheduler.ConstantLR", "optimizer": "@optimizer", "factor": 1.0
        }  # fmt: skip
        findings.say(decay, "lr_scheduler = ConstantLR", "the learning rate stays")
    else:
        findings.say(decay, "lr_scheduler, the default", "(1 - epoch / max_epochs)^0.9")
    mixed = config.get("SOLVER.AUTO_MIXED_PRECISION")
    precision = "$'fp16' if str(@device).startswith('cuda') else 'fp32'" if mixed.read(flag) else "fp32"
    settings["precision"] = findings.inference["precision"] = precision
    findings.say(mixed, f"precision = {precision}", "bf16 needs no scaling, where the GPU has it")
    validates = config.get("TRAINER.PERFORM_VALIDATION")
    every = config.find("TRAINER.VALIDATE_EVERY")
    if not validates.read(flag):
        findings.put(validates, settings, "val_interval", "@max_epochs", "the last epoch alone is validated")
    elif every is not None:
        findings.put(every, settings, "val_interval", every.read(whole(1)))
    else:
        findings.say(validates, "val_interval, the default", "each epoch is validated")
    if every is not None and not validates.read(flag):
        findings.drop(every, "PERFORM_VALIDATION is false")
    latest = config.get("TRAINER.SAVE_LATEST_ONLY")
    kept = 1 if latest.read(flag) else "@max_epochs"
    findings.put(latest, settings, "keep_last", kept, "and keep_best = 1")
    settings["keep_best"] = 1
    checkpoint = config.find("MODEL.CHECKPOINT")
    if checkpoint is not None:
        path = _placed(checkpoint.value, Path())
        findings.put(checkpoint, settings, "load_model", path, f"{_FIRST}; leave it out to start anew")


def import_outputs(config: LandmarkConfig, findings: Findings) -> None:
    """Write folders and pictures."""
    output, append = config.find("OUTPUT.OUTPUT_DIR"), config.find("OUTPUT.RESULTS_CSV_APPEND")
    for settings in (findings.settings, findings.inference):
        if output is not None:
            folder = _placed(output.value, Path())
            settings |= {"output_dir": folder, "ckpt_dir": f"{folder.rstrip('/')}/models"}
        if append is not None:
            settings["results_dir"] = f"$@output_dir + '/results_{append.value}'"
    if output is not None:
        findings.say(output, f"output_dir = {findings.settings['output_dir']}", "ckpt_dir is 'models' in it")
    if append is not None:
        findings.say(append, f"results_dir = results_{append.value} in output_dir")
    pictures = {key: config.get(f"{key}.DEBUG") for key in ("SAMPLER", "INFERENCE")}
    findings.settings["debug"] = any(entry.read(flag) for entry in pictures.values())
    findings.inference["debug"] = pictures["INFERENCE"].read(flag)
    for key, entry in pictures.items():
        findings.say(entry, "debug", "of the training" if key == "SAMPLER" else "of both")


def import_inference(config: LandmarkConfig, findings: Findings) -> None:
    """Write which weights predict."""
    settings = findings.inference
    together, paths = (config.get(f"INFERENCE.ENSEMBLE_{key}") for key in ("INFERENCE", "CHECKPOINTS"))
    checkpoint, alone = config.find("MODEL.CHECKPOINT"), config.get("TRAINER.INFERENCE_ONLY")
    settings["ensemble"] = together.read(flag)
    findings.say(together, f"ensemble = {'true' if settings['ensemble'] else 'false'}")
    if settings["ensemble"]:
        if not isinstance(paths.value, (list, tuple)) or not paths.value:
            raise ValueError(f"{paths.place}: an ensemble needs a list of checkpoints, got {paths.value!r}")
        findings.put(paths, settings, "weights", [_placed(path, Path()) for path in paths.value], _FIRST)
    else:
        findings.drop(paths, "ENSEMBLE_INFERENCE is false")
        if checkpoint is not None:
            findings.put(checkpoint, settings, "weights", _placed(checkpoint.value, Path()), _FIRST)
        else:
            settings["weights"] = "@ckpt_dir" if alone.read(flag) else "$@ckpt_dir + '/model.pt'"
    if alone.read(flag):
        findings.say(alone, "run the inference alone", "without CHECKPOINT: every checkpoint of ckpt_dir by itself")
    else:
        findings.say(alone, "run the training, then perhaps the inference")


def _import_windows(entry: Entry, patch: list[int], findings: Findings) -> None:
    """How images that are larger than a patch are predicted."""
    mode = entry.read(one_of(_WHOLE, _STITCHED))
    findings.settings["inference_mode"] = findings.inference["inference_mode"] = mode
    if mode == _STITCHED:
        findings.inference |= {"roi_size": patch, "overlap": 0.5}
    findings.say(entry, f"inference_mode = {mode}", "windows of a patch, by half of it" if mode == _STITCHED else "")


def _import_loss(config: LandmarkConfig, findings: Findings, dims: int) -> None:
    settings = findings.settings
    loss, learns, weight = (
        config.get(f"SOLVER.{key}") for key in ("LOSS_FUNCTION", "REGRESS_SIGMA", "REGRESS_SIGMA_LOSS_WEIGHT")
    )
    name = loss.read(lambda value: choice(value, {"mse": "mse", "awl": "adaptive_wing"}))
    if not learns.read(flag):
        why = "as in its paper; theirs had omega and alpha otherwise" if name == "adaptive_wing" else ""
        findings.put(loss, settings, "landmark_loss", name, why)
        findings.say(learns, "landmark_loss, without learnt sigmas")
        findings.drop(weight, "REGRESS_SIGMA is false")
        return
    sigma, height = settings["sigma"], config.get("MODEL.HM_LAMBDA_SCALE").read(number)
    settings["landmark_loss"] = {
        "name": "sigma_regression",
        "penalty": "norm",
        "penalty_weight": weight.read(number),
        "initial": sigma,
        "gamma": round(height * (math.sqrt(2 * math.pi) * sigma) ** dims, 4),
    }
    findings.say(learns, "landmark_loss = sigma_regression", "heatmaps begin as high as HM_LAMBDA_SCALE")
    findings.say(weight, f"landmark_loss.penalty_weight = {weight.value}")
    if name == "mse":
        findings.say(loss, "landmark_loss = sigma_regression, which has the squared error")
    else:
        findings.drop(loss, "sigma_regression has the squared error")


def _import_optimizer(findings: Findings) -> None:
    settings = findings.settings
    settings["weight_decay"] = _WEIGHT_DECAY
    settings["optimizer"] = {
        "_target_": "torch.optim.SGD",
        "momentum": _MOMENTUM,
        "nesterov": True,
        "params": PARAMETERS,
        "lr": "@learning_rate",
        "weight_decay": "@weight_decay",
    }
    findings.defaults.append(f"optimizer = SGD, Nesterov momentum {_MOMENTUM}, weight_decay = {_WEIGHT_DECAY}")


def _placed(path: Any, folder: Path) -> str:
    """A path that means the same wherever a run is started."""
    return str(path) if is_url(str(path)) else str((folder / str(path)).absolute())
