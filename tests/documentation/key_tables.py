"""Tables of the migration pages: keys of other programs, as the importers read them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from scripts.workflows.imports.landmark_keys import ALIASES, PHDNET
from scripts.workflows.imports.landmark_keys import KEYS as LANDMARK_KEYS
from scripts.workflows.imports.task_keys import (
    DATASET_KEYS,
    INFERENCE_KEYS,
    LOSSES,
    RESENC_KEYS,
    SHEETNORM,
    SUCCESSOR,
    TARGET_KEYS,
    TRAINING_KEYS,
    UNET3D_KEYS,
    VOLUME_KEYS,
    TaskKey,
)
from scripts.workflows.sweeps.param_dict_keys import all_keys

NOTHING = "no counterpart"

_CELLMAP_PAGE = Path(__file__).parents[2] / "bundle" / "docs" / "cellmap.md"

# of keys that an importer reads together with others: what they become, and what else is to be known
TASK_KEYS_READ_TOGETHER: Mapping[str, tuple[str, str]] = {
    "autoconfigure": ("`features_per_stage` and others = `null`", "what the file leaves out is planned"),
    "optimizer": ("`optimizer`", "AdamW or SGD"),
    "checkpoint_path": ("`load_model`, or `weights`", "files of their programs hold another network, and are refused"),
    "load_weights_only": ("`weights` in place of `load_model`", "weights alone; epoch and learning rate begin anew"),
    "ignore_label": ("`ignore_label` of each label target", ""),
    "loss_only_on_label": ("`loss_only_on_label` of the targets", "a label of one channel: use a `mask`"),
    "label_smoothing": ("`label_smoothing` of the targets, doubled", "theirs moves both classes by it"),
    "dilate_label": ("`derive`: `DilateLabeld`", "true is 5 voxels"),
    "cache_folder": ("`patch_cache`", ""),
    "volume_paths": ("[`volumes`](configuration.md#volumes)", "see below"),
    "targets": ("[`targets`](configuration.md#targets)", "see below"),
    "overlap": ("`overlap`", "a share of the window; in YAML, theirs is the step: 1 less it"),
    "output_targets": ("`output_targets`", ""),
    "f_maps": ("`features_per_stage`", "one number per level; each level halves"),
    "num_levels": ("length of `features_per_stage`", ""),
    "n_levels": ("length of `features_per_stage`", ""),
    "basic_module": ("`squeeze_excitation` = `false`, where it has none", "blocks are always residual"),
    "se_module": ("`squeeze_excitation`", "cse: channel, sse: spatial, scse: both"),
    "features_per_stage": ("`features_per_stage`", ""),
    "num_stages": ("length of `features_per_stage`", ""),
    "n_stages": ("length of `features_per_stage`", ""),
    "n_blocks_per_stage": ("`n_blocks_per_stage`", ""),
    "kernel_sizes": ("`kernel_sizes`", ""),
    "strides": ("`strides`", ""),
    "n_conv_per_stage_decoder": ("`n_conv_per_stage_decoder`", ""),
    "squeeze_excitation": ("`squeeze_excitation`", ""),
    "squeeze_excitation_reduction_ratio": ("`se_ratio`", "one divided by it"),
    "stochastic_depth_p": ("`stochastic_depth_p`", ""),
    "nonlin": ("`act`", ""),
    "nonlin_kwargs": ("`act`", "its arguments"),
    "norm_op": ("`norm`", "instance, batch or group"),
    "norm_op_kwargs": ("`norm`", "its arguments"),
    "conv_bias": ("`conv_bias`", ""),
    "basic_encoder_block": ("residual blocks", "`BasicBlockD`; others have no counterpart"),
    "bottleneck_block": ("residual blocks", "`BasicBlockD`; others have no counterpart"),
    "basic_decoder_block": ("convolutions", "`ConvBlock`; others have no counterpart"),
}

TASK_TARGET_KEYS: Mapping[str, tuple[str, str]] = {
    "channels": ("`channels`", ""),
    "out_channels": ("`channels`", "another name of it"),
    "activation": ("`activation`", "corrected where it does not fit the loss"),
    "weight": ("`weight`", ""),
    "loss_fn": ("`loss`", "see below; normals, by their name and 3 channels, get `masked_cosine`, others `dice_bce`"),
    "loss_kwargs": ("options of `loss`", "alpha: `cross_entropy`, beta: `dice`; pos_weight, weight: `class_weights`"),
}

TASK_VOLUME_KEYS: Mapping[str, tuple[str, str]] = {
    "input": ("`image`", ""),
    "ref_label": ("`ref_label`", "left out: `sheet`, where the volume has one"),
}

CELLMAP_DEFAULTS: Mapping[str, str] = {
    "batch_size": "8",
    "classes": "nuc, er",
    "criterion": "BCEWithLogits",
    "criterion_kwargs": "none",
    "datasplit_path": "datasplit.csv",
    "device": "cuda, else mps, else cpu",
    "epochs": "1000",
    "filter_by_scale": "false",
    "force_all_classes": "validate",
    "gradient_accumulation_steps": "1",
    "input_array_info": "1 x 128 x 128 of 8 nm",
    "target_array_info": "the input's",
    "iterations_per_epoch": "1000",
    "learning_rate": "1e-4",
    "load_model": "latest",
    "logs_save_path": "tensorboard",
    "max_grad_norm": "none",
    "model": "2d_unet",
    "model_kwargs": "none",
    "model_name": "2d_unet",
    "model_to_load": "",
    "model_save_path": "checkpoints",
    "optimizer": "RAdam, decoupled decay",
    "random_seed": "42",
    "scheduler": "none",
    "scheduler_kwargs": "",
    "spatial_transforms": "mirror 0.5, transpose, rotate by 180 degrees, in x and y",
    "target_value_transforms": "above 0",
    "train_raw_value_transforms": "0 to 1, NaN to 0",
    "val_raw_value_transforms": "0 to 1, NaN to 0",
    "use_mutual_exclusion": "false",
    "use_s3": "false",
    "validation_batch_limit": "none",
    "validation_time_limit": "none",
    "validation_prob": "0.15",
    "weighted_sampler": "true",
    "weight_loss": "true",
}
"""What the toolbox takes where a config leaves an option out."""

LANDMARK_KEYS_READ_TOGETHER: Mapping[str, tuple[str, str]] = {
    "DATASET.ROOT": ("`image_root`", "absolute"),
    "DATASET.SRC_TARGETS": ("`landmark_file`", ""),
    "DATASET.TRAINSET_SIZE": (NOTHING, "every sample of `training` trains; write a shorter list"),
    "SAMPLER.DEBUG": ("`debug`", "of the training"),
    "SAMPLER.INPUT_SIZE": ("`input_size`", "z, y, x; theirs begins with the width"),
    "SAMPLER.SAMPLER_MODE": ("`patch_size`", "full: that of `input_size`"),
    "SAMPLER.PATCH.RESOLUTION_TO_SAMPLE_FROM": ("`input_size`", "full: `null`"),
    "SAMPLER.PATCH.SAMPLE_PATCH_SIZE": ("`patch_size`", "z, y, x"),
    "SAMPLER.PATCH.SAMPLER_BIAS": ("`sampler_bias`", ""),
    "SAMPLER.PATCH.INFERENCE_MODE": ("`inference_mode`", "stitched: windows of a patch, by half of it"),
    "SOLVER.DECAY_POLICY": ("`lr_scheduler`", "poly is the default; null: `ConstantLR`"),
    "SOLVER.EARLY_STOPPING_PATIENCE": ("`early_stop`", "left out: 150, of PHD-Net 250"),
    "SOLVER.AUTO_MIXED_PRECISION": ("`precision`", "fp16 on a GPU"),
    "SOLVER.LOSS_FUNCTION": ("`landmark_loss`", "awl: `adaptive_wing`"),
    "SOLVER.REGRESS_SIGMA": ("`landmark_loss` = `sigma_regression`", ""),
    "SOLVER.REGRESS_SIGMA_LOSS_WEIGHT": ("`penalty_weight` of `landmark_loss`", ""),
    "TRAINER.PERFORM_VALIDATION": ("`val_interval`", "false: the last epoch alone"),
    "TRAINER.VALIDATE_EVERY": ("`val_interval`", ""),
    "TRAINER.SAVE_LATEST_ONLY": ("`keep_last`, `keep_best`", "the best always stays"),
    "TRAINER.INFERENCE_ONLY": ("run inference alone", "without a checkpoint: `weights` = the folder"),
    "MODEL.ARCHITECTURE": ("`configs/landmarks.json`, or `configs/phdnet.json` after it", ""),
    "MODEL.GAUSS_SIGMA": ("`sigma`; of PHD-Net `class_sigma`", "voxels of what the network gets; patches"),
    "MODEL.CHECKPOINT": ("`load_model`; of inference `weights`", "a file of this program"),
    "INFERENCE.ENSEMBLE_INFERENCE": ("`ensemble`", ""),
    "INFERENCE.ENSEMBLE_CHECKPOINTS": ("`weights`", "a list"),
    "INFERENCE.DEBUG": ("`debug`", "of training and inference"),
    "OUTPUT.OUTPUT_DIR": ("`output_dir`, `ckpt_dir`", ""),
    "OUTPUT.RESULTS_CSV_APPEND": ("`results_dir`", ""),
}

Row = tuple[str, ...]


def markdown_table(titles: Sequence[str], rows: Iterable[Row]) -> str:
    """Rows as Markdown; `|` in a cell is escaped, and empty columns at the end are left out of no row."""
    lines = [titles, ["---"] * len(titles), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def task_table(keys: Mapping[str, TaskKey], role: str | None = None) -> str:
    """Keys of a section of SheetNorm's files, with the defaults of both layouts.

    Raises:
        KeyError: for a key that the importer reads together with others, and that no line here explains.
    """
    rows = []
    for name, key in keys.items():
        if key.new is None and not key.why:
            became, known = TASK_KEYS_READ_TOGETHER[name]
        else:
            became, known = (f"`{key.new}`" if key.new else NOTHING), key.why
        defaults = [layout.defaults.get(role or "", {}).get(name, ...) for layout in (SHEETNORM, SUCCESSOR)]
        shown = [("" if value is ... else f"`{_plain(value)}`") for value in defaults]
        rows.append((f"`{name}`", became, *(shown if role else ()), known))
    titles = ["Key", "Here", *(["Theirs, JSON", "Theirs, YAML"] if role else []), "To be known"]
    return markdown_table(titles, rows)


def explained_table(names: Iterable[str], explained: Mapping[str, tuple[str, str]]) -> str:
    """Keys that are told in words."""
    return markdown_table(["Key", "Here", "To be known"], [(f"`{name}`", *explained[name]) for name in names])


def losses_table() -> str:
    """Losses by their old names."""
    named = {"smoothed_bce": "`bce` with `label_smoothing`"}
    rows = [(f"`{old}`", named.get(new, f"`{new}`")) for old, new in LOSSES.items()]
    return markdown_table(["`loss_fn`", "`loss`"], rows)


def landmark_table(section: str) -> str:
    """Keys of a section of LaNNU-Net's files."""
    rows = []
    for place, key in LANDMARK_KEYS.items():
        if place.partition(".")[0] != section:
            continue
        if key.new is None and not key.why:
            became, known = LANDMARK_KEYS_READ_TOGETHER[place]
        else:
            became, known = (f"`{key.new}`" if key.new else NOTHING), key.why
        network = f"{key.architecture} only" if key.architecture == PHDNET else ""
        default = "" if key.default is ... else f"`{_plain(key.default)}`"
        rows.append((f"`{place}`", became, default, "; ".join(filter(None, (known, network)))))
    return markdown_table(["Key", "Here", "Theirs", "To be known"], rows)


def alias_table() -> str:
    """Other names of the same keys."""
    return markdown_table(["Also called", "Key"], [(f"`{old}`", f"`{key}`") for old, key in ALIASES.items()])


def param_table(prefix: str) -> str:
    """Keys of a table of Contraband's `param_dict.json`; an empty prefix is the top level."""
    rows = []
    for place, key in all_keys().items():
        top = place.partition(".")[0] if "." in place else ""
        in_table = top if top in ("model", "contrastive", "seg") else ""
        if in_table == prefix:
            became = ", ".join(f"`{one}`" for one in key.became) or NOTHING
            rows.append((f"`{place}`", became, key.why))
    return markdown_table(["Key", "Here", "To be known"], rows)


def cellmap_table() -> str:
    """Options of CellMap's toolbox as the page on CellMap lists them, with the defaults of both sides."""
    found = re.search(r"^\| Toolbox \| Here \| Remark \|\n\|[-|]+\n(.*?)\n\n", _CELLMAP_PAGE.read_text(), re.M | re.S)
    if found is None:
        raise ValueError(f"{_CELLMAP_PAGE}: expected a table Toolbox, Here, Remark")
    parser = ConfigParser()
    parser.read_config([_CELLMAP_PAGE.parents[1] / "configs" / f"{name}.json" for name in ("train", "cellmap")])
    rows = []
    for line in found[1].splitlines():
        options, here, remark = (cell.strip() for cell in line.strip("|").split("|"))
        theirs = [CELLMAP_DEFAULTS[name] for name in re.findall(r"`(\w+)`", options)]
        values = [parser[key] for key in re.findall(r"`(\w+)`", here)]
        shown = [json.dumps(value) for value in values if value is None or isinstance(value, (bool, int, float, list))]
        shown = [text for text in shown if len(values) == 1 and len(text) < 40]
        rows.append(
            (
                options,
                here,
                "; ".join(filter(None, theirs)),
                f"`{shown[0]}`" if shown else "",
                remark.replace("](#", "](cellmap.md#"),
            )
        )
    return markdown_table(["Toolbox", "Here", "Theirs", "Default here", "To be known"], rows)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)


KEY_TABLES: Mapping[str, Callable[[], str]] = {
    "task_training": lambda: task_table(TRAINING_KEYS, "training"),
    "task_unet3d": lambda: task_table(UNET3D_KEYS),
    "task_resenc": lambda: task_table(RESENC_KEYS),
    "task_dataset": lambda: task_table(DATASET_KEYS, "dataset"),
    "task_inference": lambda: task_table(INFERENCE_KEYS, "inference"),
    "task_targets": lambda: explained_table(TARGET_KEYS, TASK_TARGET_KEYS),
    "task_volumes": lambda: explained_table(VOLUME_KEYS, TASK_VOLUME_KEYS),
    "task_losses": losses_table,
    "param_top": lambda: param_table(""),
    "param_model": lambda: param_table("model"),
    "param_contrastive": lambda: param_table("contrastive"),
    "param_seg": lambda: param_table("seg"),
    "landmark_aliases": alias_table,
    "cellmap_options": cellmap_table,
    **{
        f"landmark_{name.lower()}": (lambda section: lambda: landmark_table(section))(name)
        for name in dict.fromkeys(place.partition(".")[0] for place in LANDMARK_KEYS)
    },
}
"""What stands between the marks of a page, by name."""
