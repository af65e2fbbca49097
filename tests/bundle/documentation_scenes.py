"""Folders in which commands of the pages are run as they stand, on small data and with short trainings."""

import json
import shutil

import numpy as np
import tifffile
from tests.bundle.running import BUNDLE
from tests.documentation.commands import commands
from tests.documentation.executed import HERE

from scripts.volumes import create_ome_zarr
from scripts.workflows import phantom

SHORT = "--max_epochs 1 --max_steps_per_epoch 2 --max_val_steps_per_epoch 1 --previews False --device cpu"

PHANTOM = "--size 96 --n_blocks 4 --block 48"

_WRITE_AGAIN = ("convert", "evaluate", "import-task")
"""Verbs whose output another command of a scene has made already."""

TASK = {
    "tr_params": {"model_name": "first", "patch_size": [16, 16, 16], "num_dataloader_workers": 0},
    "model_config": {"f_maps": [8, 16]},
    "dataset_config": {
        "volume_paths": [{"input": "scan.zarr", "sheet": "sheet.zarr", "ref_label": "sheet"}],
        "targets": {"sheet": {"channels": 1, "activation": "sigmoid"}},
    },
    "inference_params": {"input_path": "scan.zarr", "output_dir": "imported.zarr", "batch_size": 4},
}

LANDMARK_CONFIG = """
DATASET: {SRC_TARGETS: data/skulls/fold0.json, ROOT: data/skulls}
SAMPLER: {INPUT_SIZE: [48, 32], DATA_AUG: AffineSimple}
"""

SWEEP = {
    "model": {"features_per_stage": [8, 16], "n_blocks_per_stage": [1, 1], "h_channels": 8, "patch_size": [16, 16, 16]},
    "contrastive": {"volumes": [{"image": "scan.zarr"}], "learning_rate": {"grid": [0.001, 0.0001]}},
    "heads": [{
        "config": "seg_head",
        "volumes": [
            {"image": "scan.zarr", "labels": "sheet.zarr", "region": [[0, 0, 0], [32, 64, 64]], "split": "train"},
            {"image": "scan.zarr", "labels": "sheet.zarr", "region": [[32, 0, 0], [64, 64, 64]], "split": "val"},
        ],
    }],
}  # fmt: skip

SCENES = {
    "bundle": ("README.md", "configuration.md", "index.md", "inference.md", "security.md", "training.md"),
    "SheetNorm": ("from_sheetnorm.md",),
    "others": (
        "command_line.md",
        "process.md",
        "evaluation.md",
        "embeddings.md",
        "from_contraband.md",
        "from_lannunet.md",
    ),
}
"""Pages whose commands are run in one folder, one after the other."""


def scene_commands(name):
    """Commands of a scene that no other test runs; each once."""
    found = [
        command.text
        for page in SCENES[name]
        for command in commands()
        if command.page == f"bundle/docs/{page}" and command.executed_by == HERE
    ]
    return list(dict.fromkeys(found))


def make_folder(root, scene):
    """What the commands of a scene read: configs, code, weights, volumes, settings."""
    for name in ("configs", "scripts"):
        (root / name).symlink_to(BUNDLE / name)
    (root / "models").mkdir()
    shutil.copy(BUNDLE / "models" / "model.pt", root / "models")
    z = np.indices((64, 64, 64))[0]
    sheet = (z % 3 < 2).astype(np.uint8)
    scan = (sheet * 120 + np.random.default_rng(0).integers(1, 60, sheet.shape)).astype(np.uint8)
    probability = np.where(sheet, 230, 10).astype(np.uint8)
    volumes = {
        "scan": scan,
        "sheet": sheet,
        "truth": sheet,
        "a": probability,
        "b": sheet * 255,
    }
    if scene == "others":  # elsewhere the commands make a prediction
        volumes["prediction/nuclei"] = probability
    for name, array in volumes.items():
        path = root / name.replace("/", ".zarr/") if "/" in name else root / f"{name}.zarr"
        create_ome_zarr(path, (1, *array.shape), "uint8", spacing=(8,) * 3, unit="um").write((0, 0, 0), array[None])
    phantom(root / "data" / "phantom.zarr", size=96, n_blocks=4, block=48)
    tifffile.imwrite(root / "scan.tif", scan)
    settings = {"targets": {"sheet": {"channels": 1}}, "volumes": [{"image": "scan.zarr", "sheet": "sheet.zarr"}]}
    files = {"my_settings.json": settings, "task.json": TASK, "param_dict.json": SWEEP}
    for name, content in files.items():
        (root / name).write_text(json.dumps(content))
    (root / "lannunet.yaml").write_text(LANDMARK_CONFIG)
    return root


def shrunk(line):
    """A command with options that make it short, and without those that name large sizes."""
    line = line.replace("[[0,0,0],[64,512,512]]", "[[0,0,0],[32,64,64]]").replace("[96, 96, 96]", "[32, 32, 32]")
    for epochs in ("20", "50"):
        line = line.replace(f" --max_epochs {epochs}", "")
    if "scripts phantom" in line:
        return f"{line} {PHANTOM} --overwrite"
    if "run training" in line:
        return f"{line} {SHORT.replace('epochs 1', 'epochs 2')}" if "latest" in line else f"{line} {SHORT}"
    if "run evaluating" in line:
        return f"{line} --max_val_steps_per_epoch 1 --device cpu"
    if "run inference" in line:
        own = "network.json" in line
        return f"{line} --device cpu" + (
            "" if own or "--weights" in line else f" --weights {BUNDLE / 'models/model.pt'}"
        )
    if "--metrics voi" in line:  # of ids, which the prediction of the other command is not
        return line.replace("prediction.zarr", "sheet.zarr") + " --overwrite"
    return f"{line} --overwrite" if any(f"scripts {verb} " in line for verb in _WRITE_AGAIN) else line
