"""The keys of Contraband's `param_dict.json`: what each one is here, or why it is nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

TOP, MODEL, CONTRASTIVE, SEG = "", "model", "contrastive", "seg"
"""Tables of the file; the first is the file itself."""


@dataclass(frozen=True)
class ParamKey:
    """What becomes of a key.

    Args:
        became: ids of the overlay, or where else it went; empty: there is no counterpart, and `why` says the reason.
        why: the reason, or what else is to be known.
        depth: how many lists one value is nested in; a list that is one deeper holds several values.
        inner: keys of a value that is a table.
    """

    became: tuple[str, ...] = ()
    why: str = ""
    depth: int = 0
    inner: Mapping[str, ParamKey] = field(default_factory=dict)


_VOLUMES = ParamKey(("volumes",), "arrays of data_file")
_PART = ParamKey(("volumes",), inner={"raw": _VOLUMES, "gt": _VOLUMES})

AUGMENTATION = {
    "elastic": ParamKey(("random_space",), "false: null"),
    "elastic_params": ParamKey(
        ("random_space",),
        inner={
            "control_point_spacing": ParamKey(
                ("random_space#elastic_spacing",), "the one along y and x counts for all axes", 1
            ),
            "jitter_sigma": ParamKey(
                ("random_space#elastic_displacement", "random_space#in_plane"),
                "control points move evenly, with the same standard deviation; 0 along z: in_plane",
                1,
            ),
            "rotation_interval": ParamKey(("random_space#rotation",), "degrees about z, to both sides", 1),
        },
    ),
    "blur": ParamKey(("augment",)),
    "blur_params": ParamKey(
        ("augment",), inner={"sigma": ParamKey(("augment",), "RandBlurd, or MONAI's GaussianSmoothd", 1)}
    ),
    "simple": ParamKey(("augment",)),
    "simple_params": ParamKey(
        ("augment",),
        inner={
            "mirror_only": ParamKey(("augment",), "RandMirrord", 1),
            "transpose_only": ParamKey(("augment",), "RandTransposed or RandRotate90d: axes of equal length alone", 1),
        },
    ),
    "noise": ParamKey(("augment",)),
    "noise_params": ParamKey(("augment",), inner={"var": ParamKey(("augment",), "RandNoised, standard deviation")}),
}

TRAINING = {
    "optimizer": ParamKey(("optimizer",), "adam, with a learning rate that stays as it is"),
    "lr": ParamKey(("learning_rate",)),
    "decay": ParamKey(("weight_decay",)),
    "clipnorm": ParamKey(("clip_norm",)),
    "clipvalue": ParamKey(why="gradients are shortened as a whole, by clip_norm"),
    "num_iterations": ParamKey(("max_epochs", "max_steps_per_epoch"), "an epoch ends with each checkpoint"),
    "save_every": ParamKey(("max_steps_per_epoch", "keep_last"), "all checkpoints stay"),
    "epochs": ParamKey(why="it had no effect: num_iterations ends the training"),
    "batch_size": ParamKey(("batch_size",)),
    "norm_factor": ParamKey(
        ("normalization",), "min_max: the volume's own range becomes 0 to 1, whatever the factor was"
    ),
    **AUGMENTATION,
}

KEYS: dict[str, dict[str, ParamKey]] = {
    TOP: {
        "pipeline": ParamKey(("heads",), "which config the heads follow, where seg_head and baseline do not say"),
        "save_embs": ParamKey(
            ("emb",),
            "images that --mode emb embeds",
            inner={
                "datasets": ParamKey(("emb",), "arrays of data_file", 1),
                "data_file": ParamKey(("emb",), "zarr that holds them", 1),
            },
        ),
        "model": ParamKey(("model",), "a list of whole models"),
        "contrastive": ParamKey(("contrastive",), "overlay of configs/contrastive.json"),
        "seg": ParamKey(("heads",), "overlay of seg_head.json, sparse_head.json or sparse_baseline.json"),
    },
    MODEL: {
        "model": ParamKey(("network_def",), "unet: the bundle's residual U-Net with one decoder"),
        "in_shape": ParamKey(
            ("patch_size",),
            "rounded to a multiple of the strides; 2D: slices along z, with a patch of 1 voxel there",
            1,
        ),
        "in_channels": ParamKey(("in_channels",)),
        "num_fmaps": ParamKey(("features_per_stage",)),
        "fmap_inc_factors": ParamKey(("features_per_stage",), "one factor, or one per level", 1),
        "downsample_factors": ParamKey(("strides",), "2D: 1 along z", 2),
        "kernel_size_down": ParamKey(
            ("kernel_sizes", "n_blocks_per_stage"), "the largest kernel of a level; a block has two convolutions", 3
        ),
        "kernel_size_down_repeated": ParamKey(("kernel_sizes", "n_blocks_per_stage")),
        "kernel_size_up": ParamKey(
            ("n_conv_per_stage_decoder",), "how many convolutions; their kernels are those of the way down", 3
        ),
        "kernel_size_up_repeated": ParamKey(("n_conv_per_stage_decoder",)),
        "constant_upsample": ParamKey(("upsampling",), "true: nearest, false: transposed"),
        "h_channels": ParamKey(("h_channels",)),
        "contrastive_out_channels": ParamKey(("projection_channels",)),
        "legacy_no_h": ParamKey(why="the base always has a layer of its own for the embedding"),
    },
    CONTRASTIVE: {
        "data_file": ParamKey(("volumes",), "zarr that holds the datasets"),
        "dataset": ParamKey(("volumes",), "arrays of data_file, all of which train", 1),
        **TRAINING,
        "point_density": ParamKey(("point_density",), "per voxel of the patch, where theirs is per world unit"),
        "temperature": ParamKey(("temperature",)),
        "h_channels": ParamKey(why="it had no effect: the model says it"),
        "out_channels": ParamKey(why="it had no effect: the model says it"),
    },
    SEG: {
        "baseline": ParamKey(
            ("heads",), "sparse_baseline.json, or seg_head.json without base_weights; trained once for each model"
        ),
        "basline": ParamKey(("heads",), "means baseline"),
        "freeze_base": ParamKey(("freeze_base",), "left out: false"),
        "data_file": ParamKey(("volumes",), "zarr that holds the datasets"),
        "dataset": ParamKey(
            ("volumes",),
            "'embs' as raw: the embeddings of the image beside gt",
            inner={"train": _PART, "validate": _PART},
        ),
        **TRAINING,
        "seg_head": ParamKey(("heads",), "Simple or SimpleSegHead: seg_head.json, Sparse: sparse_head.json"),
        "seg_out_channels": ParamKey(("targets",), "Simple: affinities, one channel per axis; Sparse: 2 classes"),
        "thresholds": ParamKey(
            ("thresholds",), "of the validation: agglomeration by the mean boundary; Sparse: of the foreground", 1
        ),
        "has_background": ParamKey(("has_background",), "of the validation"),
        "num_points": ParamKey(("num_points",), "drawn by `python -m scripts points` from the volumes that train"),
        "point_roi": ParamKey(why="patches are chosen to hold all points, see point_patches"),
        "h_channels": ParamKey(why="it had no effect: the model says it"),
        "out_channels": ParamKey(why="it had no effect: seg_out_channels says it"),
    },
}


def all_keys() -> dict[str, ParamKey]:
    """Every key with its place, such as `seg.dataset.train.raw`."""
    found: dict[str, ParamKey] = {}

    def add(prefix: str, keys: Mapping[str, ParamKey]) -> None:
        for name, key in keys.items():
            found[prefix + name] = key
            add(f"{prefix}{name}.", key.inner)

    for table, keys in KEYS.items():
        add(f"{table}." if table else "", keys)
    return found
