"""The keys of SheetNorm's task files: what each one is called here, or why it is called nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...geometry import did_you_mean

TRAINING, MODEL, DATASET, INFERENCE = "training", "model", "dataset", "inference"
"""Roles of a task file's sections, which have other names in each layout."""

VOLUMES, TARGETS = "volume_paths", "targets"
"""Tables that stand in the dataset's section, or beside the sections."""


def whole(least: float = -math.inf) -> Callable[[Any], int]:
    """Reader of whole numbers."""

    def read(value: Any) -> int:
        if not math.isfinite(given := number(value)) or given != int(given) or given < least:
            bound = f" of at least {least}" if math.isfinite(least) else ""
            raise ValueError(f"expected a whole number{bound}, got {value!r}")
        return int(given)

    return read


def number(value: Any) -> float:
    """A number, which may be text: YAML takes 1e-3, without a point, for text."""
    try:
        if not isinstance(value, bool):
            return float(value)
    except (TypeError, ValueError):
        pass
    raise ValueError(f"expected a number, got {value!r}")


def share(value: Any) -> float:
    """A number from 0 to 1."""
    if not 0 <= (given := number(value)) <= 1:
        raise ValueError(f"expected a share from 0 to 1, got {value!r}")
    return given


def overlap(value: Any) -> float:
    """A share below 1."""
    if share(value) == 1:
        raise ValueError(f"expected a share below 1, got {value!r}")
    return share(value)


def flag(value: Any) -> bool:
    """True or false."""
    if value not in (True, False):
        raise ValueError(f"expected true or false, got {value!r}")
    return bool(value)


def sizes(value: Any) -> list[int]:
    """Voxels z, y, x."""
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        raise ValueError(f"expected three numbers of voxels z, y, x, got {value!r}")
    return [whole(1)(size) for size in value]


def choice(value: Any, known: Mapping[str, Any]) -> Any:
    """What a word stands for, whatever its case."""
    words = {word.lower(): meaning for word, meaning in known.items()}
    if str(value).lower() not in words:
        raise ValueError(f"expected one of {', '.join(known)}; got {value!r}{did_you_mean(str(value), known)}")
    return words[str(value).lower()]


def _prediction(folder: Any) -> str:
    return str(folder) if str(folder).endswith(".zarr") else f"{str(folder).rstrip('/')}/{{name}}_prediction.zarr"


@dataclass(frozen=True)
class TaskKey:
    """What becomes of a key of a task file.

    Args:
        new: the key here; `None`: there is none, and `why` says the reason, or a function of its own reads it.
        read: from the old value to the new one.
        why: the reason, or what else is to be known.
    """

    new: str | None = None
    read: Callable[[Any], Any] = str
    why: str = ""


_OWN = TaskKey()

TRAINING_KEYS = {
    "model_name": TaskKey("model_name"),
    "patch_size": TaskKey("patch_size", sizes),
    "batch_size": TaskKey("batch_size", whole(1)),
    "tr_val_split": TaskKey(
        "val_fraction",
        lambda value: round(1 - share(value), 6),
        "validates apart in space; split_method = random divides as their programs did",
    ),
    "initial_lr": TaskKey("learning_rate", number),
    "weight_decay": TaskKey("weight_decay", number),
    "max_epoch": TaskKey("max_epochs", whole(1)),
    "max_steps_per_epoch": TaskKey("max_steps_per_epoch", whole(1)),
    "max_val_steps_per_epoch": TaskKey("max_val_steps_per_epoch", whole(1), "batches of batch_size, not of 1"),
    "gradient_accumulation": TaskKey("accumulation_steps", whole(1)),
    "num_dataloader_workers": TaskKey("num_workers", whole(0)),
    "ckpt_out_base": TaskKey("ckpt_dir"),
    "tensorboard_log_dir": TaskKey(why="curves go to <output_dir>/tensorboard; set output_dir"),
    "vram_max": TaskKey(why="it had no effect; 'python -m scripts plan --memory_gb' fits patch and batch to a memory"),
    "autoconfigure": _OWN,
    "optimizer": _OWN,
    "checkpoint_path": _OWN,
    "load_weights_only": _OWN,
    "ignore_label": _OWN,
    "loss_only_on_label": _OWN,
    "label_smoothing": _OWN,
    "dilate_label": _OWN,
}

DATASET_KEYS = {
    "min_bbox_percent": TaskKey("min_bbox_percent", share),
    "min_labeled_ratio": TaskKey(
        "min_labeled_ratio",
        share,
        "a share of the box around the labels, where their programs took it of the patch; "
        "min_ratios = {<ref_label>: share} asks for a share of the patch",
    ),
    "use_cache": TaskKey("use_cache", flag),
    "cache_file": TaskKey("patch_cache", why="a cache of their programs there is replaced"),
    "cache_folder": _OWN,
    "in_channels": TaskKey("in_channels", whole(1)),
    "normalization": TaskKey(
        "normalization",
        lambda value: "zscore",
        "each patch by itself, whatever their files said; 'ct' and others are there to choose",
    ),
    VOLUMES: _OWN,
    TARGETS: _OWN,
}

INFERENCE_KEYS = {
    "input_path": TaskKey("input"),
    "output_dir": TaskKey("output", _prediction),
    "output_path": TaskKey("output", _prediction),
    "patch_size": TaskKey("roi_size", sizes),
    "batch_size": TaskKey("sw_batch_size", whole(1)),
    "overlap": _OWN,
    "output_targets": _OWN,
    "checkpoint_path": _OWN,
    "input_format": TaskKey(why="seen from the input itself"),
    "output_format": TaskKey(why="always OME-Zarr"),
    "output_type": TaskKey(why="follows from the target's kind: uint8 for labels, int8 for normals"),
    "type": TaskKey(why="follows from the target's kind: uint8 for labels, int8 for normals"),
    "load_all": TaskKey(why="windows are read as they are needed; memory_limit bounds what is held"),
    "load_strict": TaskKey(why="weights must fit the network; a training may start from a part of them"),
    "num_dataloader_workers": TaskKey(why="the windows are read by the inferer"),
    TARGETS: TaskKey(why="the network predicts the targets that it was trained on; output_targets selects"),
}

UNET3D_KEYS = dict.fromkeys(("f_maps", "num_levels", "n_levels", "basic_module", "se_module"), _OWN)

_NO_DROPOUT = TaskKey(why="the network has no dropout; stochastic_depth_p regularises")

RESENC_KEYS = {
    **dict.fromkeys(
        (
            *("features_per_stage", "num_stages", "n_stages", "n_blocks_per_stage", "kernel_sizes", "strides"),
            *("n_conv_per_stage_decoder", "squeeze_excitation", "squeeze_excitation_reduction_ratio"),
            *("stochastic_depth_p", "nonlin", "nonlin_kwargs", "norm_op", "norm_op_kwargs", "conv_bias"),
            *("basic_encoder_block", "bottleneck_block", "basic_decoder_block"),
        ),
        _OWN,
    ),
    "conv_op": TaskKey(why="follows from the length of patch_size"),
    "conv_op_kwargs": TaskKey(why="conv_bias says whether convolutions have a bias"),
    "pool_op": TaskKey(why="the skip of a residual block always pools by the mean"),
    "pool_op_kernel_sizes": TaskKey(why="pooling goes by the strides"),
    "dropout_op": _NO_DROPOUT,
    "dropout_op_kwargs": _NO_DROPOUT,
    "do_stem": TaskKey(why="the network always has a stem"),
    "stem_channels": TaskKey(why="the stem has as many channels as the first stage"),
    "bottleneck_channels": TaskKey(why="blocks have no bottleneck of their own"),
}

KEYS = {
    TRAINING: TRAINING_KEYS,
    MODEL: UNET3D_KEYS | RESENC_KEYS,
    DATASET: DATASET_KEYS,
    INFERENCE: INFERENCE_KEYS,
}

LOSSES = {
    "BCEDiceLoss": "dice_bce",
    "MaskedCosineLoss": "masked_cosine",
    "masked_cosine_loss": "masked_cosine",
    "BCEWithLogitsLossLabelSmoothing": "smoothed_bce",
    "BCEWithLogitsLoss": "bce",
    "BCELoss": "bce",
    "BCE": "bce",
    "CrossEntropyLoss": "ce",
    "CE": "ce",
    "MSELoss": "mse",
    "MSE": "mse",
}
"""Losses of the old programs; `smoothed_bce` is `bce` with label smoothing."""

LOSS_OPTIONS = {
    "dice_bce": ("alpha", "beta"),
    "smoothed_bce": ("smoothing",),
    "bce": ("pos_weight",),
    "ce": ("weight", "label_smoothing", "ignore_index"),
    "masked_cosine": (),
    "mse": (),
}

REDUCTION = "reduction"

TARGET_KEYS = ("channels", "out_channels", "activation", "weight", "loss_fn", "loss_kwargs")

VOLUME_KEYS = ("input", "ref_label")


@dataclass(frozen=True)
class Layout:
    """One form of the task files.

    Args:
        name: in messages.
        sections: section -> role.
        defaults: role -> key -> value that the program took where the file left the key out.
        has_resenc: whether its network is nnU-Net's residual encoder, and not a 3D U-Net of pytorch-3dunet.
    """

    name: str
    sections: Mapping[str, str]
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    has_resenc: bool = False


_COMMON = {
    "patch_size": [192, 192, 192],
    "batch_size": 2,
    "initial_lr": 1e-3,
    "max_epoch": 500,
    "max_steps_per_epoch": 500,
    "max_val_steps_per_epoch": 25,
    "gradient_accumulation": 1,
    "num_dataloader_workers": 4,
    "optimizer": "AdamW",
    "dilate_label": False,
    "load_weights_only": False,
    "loss_only_on_label": False,
}
_SEARCH = {"min_bbox_percent": 0.95, "use_cache": True, "in_channels": 1, "normalization": "z-score"}

SHEETNORM = Layout(
    "SheetNorm task",
    {"tr_params": TRAINING, "model_config": MODEL, "dataset_config": DATASET, "inference_params": INFERENCE},
    {
        TRAINING: {**_COMMON, "tr_val_split": 0.80, "weight_decay": 1e-4, "label_smoothing": 0.1},
        DATASET: {**_SEARCH, "min_labeled_ratio": 0.07},
        INFERENCE: {"overlap": 0.25, "output_targets": "all"},
    },
)

SUCCESSOR = Layout(
    "task of SheetNorm's successor",
    {
        "tr_setup": TRAINING,
        "tr_config": TRAINING,
        "model_config": MODEL,
        "dataset_config": DATASET,
        "inference_config": INFERENCE,
    },
    {
        TRAINING: {
            **_COMMON,
            "model_name": "Model",
            "tr_val_split": 0.95,
            "weight_decay": 0,
            "autoconfigure": True,
            "ckpt_out_base": "./checkpoints/",
        },
        DATASET: {**_SEARCH, "min_labeled_ratio": 0.1, "cache_folder": "patch_cache"},
        INFERENCE: {"overlap": 0.25, "output_targets": "all", "output_path": "./outputs"},
    },
    has_resenc=True,
)

LAYOUTS = (SHEETNORM, SUCCESSOR)
