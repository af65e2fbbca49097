"""Files that tell a sweep what to do: every key of Contraband's, and a small one of the bundle's own keys."""

import copy

from scripts.workflows.sweeps.param_dict import import_param_dict

AUGMENTATION = {
    "elastic": [True],
    "elastic_params": [
        {"control_point_spacing": [1, 10, 10], "jitter_sigma": [0, 0.1, 0.1], "rotation_interval": [0, "pi / 2"]}
    ],
    "blur": [True],
    "blur_params": [{"sigma": [0, 1, 1]}],
    "simple": [True],
    "simple_params": [{"mirror_only": [1, 2], "transpose_only": [1, 2]}],
    "noise": [True],
    "noise_params": [{"var": 1e-6}],
}

MODEL = {
    "model": "unet", "in_shape": [260, 260], "in_channels": 1, "num_fmaps": 12, "fmap_inc_factors": 6,
    "downsample_factors": [[2, 2], [2, 2], [2, 2]],
    "kernel_size_down": [[[3, 3], [3, 3]]], "kernel_size_down_repeated": 4,
    "kernel_size_up": [[[3, 3], [3, 3]]], "kernel_size_up_repeated": 3,
    "constant_upsample": True, "h_channels": 12, "contrastive_out_channels": 12,
}  # fmt: skip

# the example of Contraband's documentation
PARAM_DICT = {
    "pipeline": "sparse_sh",
    "save_embs": {"datasets": ["validate/raw"], "data_file": ["data/cells.zarr"]},
    "model": [MODEL],
    "contrastive": {
        "data_file": ["data/cells.zarr"], "dataset": [["train/raw"]],
        "optimizer": ["adam"], "lr": [1e-5], "num_iterations": [10000], **AUGMENTATION,
        "norm_factor": [0.25], "save_every": [5000], "point_density": [0.01], "temperature": [0.05],
    },
    "seg": {
        "basline": [False], "freeze_base": [True], "data_file": ["data/cells.zarr"],
        "dataset": [
            {"train": {"raw": "train/raw", "gt": "train/gt"}, "validate": {"raw": "embs", "gt": "validate/gt"}}
        ],
        "batch_size": [4], "optimizer": ["adam"], "lr": [1e-5], "num_iterations": [10000], **AUGMENTATION,
        "seg_head": ["Sparse"], "thresholds": [[0.5, 0.75]], "norm_factor": [0.25], "save_every": [5000],
        "seg_out_channels": [2], "has_background": [True], "num_points": [16, 32],
    },
}  # fmt: skip

OWN = {
    "model": [{"features_per_stage": [4, 8], "h_channels": 3}, {"features_per_stage": [8, 16], "h_channels": 3}],
    "contrastive": {
        "volumes": [{"image": "data/cells.zarr/raw"}],
        "learning_rate": {"grid": [0.001, 0.01]},
        "max_epochs": 2,
        "max_steps_per_epoch": 5,
    },
    "heads": [
        {
            "config": {"grid": ["sparse_head", "sparse_baseline"]},
            "num_points": {"grid": [8, 16]},
            "volumes": [
                {"image": "data/cells.zarr/raw", "labels": "data/cells.zarr/gt", "split": "train",
                 "region": [[0, 0, 0], [8, 16, 16]]},
                {"image": "data/cells.zarr/raw", "labels": "data/cells.zarr/gt", "split": "val",
                 "region": [[8, 0, 0], [16, 16, 16]]},
            ],
            "max_epochs": 3, "max_steps_per_epoch": 4, "keep_last": 2, "thresholds": [0.3, 0.6],
        }
    ],
}  # fmt: skip


def param_dict(**changes):
    """The example with some keys changed, `seg__lr=[0.1]` for a key of a table."""
    content = copy.deepcopy(PARAM_DICT)
    for name, value in changes.items():
        table, _, key = name.rpartition("__")
        (content[table] if table else content)[key] = value
    return content


def imported(**changes):
    return import_param_dict(param_dict(**changes))
