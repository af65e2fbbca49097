"""From a task file of SheetNorm or its successor to configs that bind and train."""

import json
import shlex

import pytest
import torch
from monai.bundle import ConfigParser
from tests.bundle.running import folders, options, read_history, run
from tests.workflows.task_files import (
    CONFIGS,
    MINIMAL,
    SHEETNORM,
    SUCCESSOR,
    changed,
    imported,
    parsed,
)

from scripts.__main__ import VERBS
from scripts.geometry import target_faults
from scripts.losses import loss_faults
from scripts.volumes import open_volume
from scripts.workflows import phantom
from scripts.workflows.components import component_faults
from scripts.workflows.import_task import import_task


def test_a_full_json_task_becomes_settings(tmp_path):
    said, train, inference = imported(tmp_path, SHEETNORM)
    expected = {
        "model_name": "SheetNorm",
        "patch_size": [32, 64, 64],
        "batch_size": 3,
        "val_fraction": 0.1,
        "learning_rate": 0.01,
        "weight_decay": 0.0003,
        "max_steps_per_epoch": 400,
        "max_val_steps_per_epoch": 20,
        "max_epochs": 300,
        "accumulation_steps": 2,
        "weights": "/c/SheetNorm_12.pth",
        "ckpt_dir": "/c",
        "num_workers": 6,
        "in_channels": 1,
        "features_per_stage": [16, 24, 32],
        "n_blocks_per_stage": [1, 1, 1],
        "n_conv_per_stage_decoder": [2, 2],
        "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
        "squeeze_excitation": "channel",
        "decoder": "separate",
        "min_bbox_percent": 0.9,
        "min_labeled_ratio": 0.05,
        "use_cache": False,
        "patch_cache": "/d/cache.json",
        "normalization": "zscore",
        "volumes": [
            {"image": "/d/raw.zarr", "sheet": "/d/sheet.zarr", "normals": "/d/normals.zarr", "ref_label": "normals"},
            {"image": "/d/raw2.zarr", "sheet": "/d/sheet2.zarr", "normals": "/d/normals2.zarr", "ref_label": "sheet"},
        ],
        "derive": [{"_target_": "scripts.transforms.DilateLabeld", "keys": ["sheet"], "radius": "$5 * min(@spacing)"}],
        "targets": {
            "sheet": {
                "channels": 1,
                "kind": "label",
                "activation": "sigmoid",
                "weight": 2.0,
                "loss": {"name": "dice_bce", "dice": 0.5, "cross_entropy": 0.5, "batch_dice": True},
                "label_smoothing": 0.3,
                "ignore_label": 2,
            },
            "normals": {
                "channels": 3,
                "kind": "normal",
                "activation": "none",
                "weight": 1.0,
                "loss": "masked_cosine",
                "loss_only_on_label": True,
            },
        },
    }
    assert {key: train[key] for key in expected} == expected
    assert "load_model" not in train
    expected = {
        "roi_size": [64, 64, 64],
        "sw_batch_size": 4,
        "weights": "/c/SheetNorm_final.pth",
        "input": "/d/other.zarr",
        "output": "/d/out/{name}_prediction.zarr",
        "output_targets": ["normals"],
        "overlap": 0.5,
    }
    assert {key: inference[key] for key in expected} == expected
    places = [f"{section}.{key}" for section, keys in SHEETNORM.items() if section != "volume_paths" for key in keys]
    assert [place for place in [*places, "volume_paths[1]"] if f"  {place} = " not in said] == []
    for place, why in (
        ("tr_params.tensorboard_log_dir = /logs", "curves go to <output_dir>/tensorboard"),
        ("tr_params.loss_only_on_label = true", "for sheet: a label with 1 channel has nothing but foreground"),
        ("inference_params.load_all = false", "windows are read as they are needed"),
    ):
        assert f"{place}: {why}" in said[said.index("No counterpart:") :]


def test_a_full_yaml_task_becomes_settings(tmp_path):
    said, train, inference = imported(tmp_path, SUCCESSOR)
    expected = {
        "model_name": "Sheets",
        "val_fraction": 0.25,
        "load_model": "/c/Sheets_12.pth",
        "ckpt_dir": "/c",
        "learning_rate": 0.0001,
        "weight_decay": 0.00001,
        "patch_size": [16, 32, 32],
        "batch_size": 4,
        "accumulation_steps": 3,
        "max_steps_per_epoch": 200,
        "max_val_steps_per_epoch": 10,
        "num_workers": 2,
        "max_epochs": 100,
        "features_per_stage": [16, 24, 32],
        "n_blocks_per_stage": [1, 2, 2],
        "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
        "n_conv_per_stage_decoder": [1, 2],
        "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
        "squeeze_excitation": True,
        "se_ratio": 16,
        "stochastic_depth_p": 0.1,
        "act": "relu",
        "norm": ["instance", {"affine": True, "eps": 0.001}],
        "min_labeled_ratio": 0.2,
        "min_bbox_percent": 0.8,
        "use_cache": False,
        "patch_cache": "/d/cache/Sheets_patches.json",
        "in_channels": 2,
        "normalization": "zscore",
    }
    assert {key: train[key] for key in expected} == expected
    assert train["volumes"] == [
        {
            "image": ["/d/a.zarr", "/d/b.zarr"],
            "ink": "/d/ink.zarr",
            "depth": "/d/depth.zarr",
            "normals": "/d/n.zarr",
            "ref_label": "ink",
        }
    ]
    common = {"activation": "none", "loss_only_on_label": True}
    assert train["targets"] == {
        "ink": {
            "channels": 1,
            "kind": "label",
            "activation": "sigmoid",
            "weight": 3.0,
            "loss": {"name": "dice_bce", "dice": 0.75, "cross_entropy": 0.25, "batch_dice": True},
            "ignore_label": 3,
        },
        "depth": {"channels": 1, "kind": "scalar", "weight": 1.0, "loss": "mse", **common},
        "normals": {"channels": 3, "kind": "normal", "weight": 0.5, "loss": "masked_cosine", **common},
    }
    expected = {
        "roi_size": [32, 32, 32],
        "sw_batch_size": 5,
        "weights": "/c/Sheets_final.pth",
        "output": "/d/out.zarr",
        "output_targets": None,
        "overlap": 0.1,
        "in_channels": 2,
    }
    assert {key: inference[key] for key in expected} == expected
    assert "input" not in inference
    assert "no input_path: give inference --input PATH" in said
    assert "overlap = 0.1 -> overlap = 0.1 (a step of the window there, an overlap of windows here)" in said
    assert "tr_config.ignore_label = 3 -> targets.ink.ignore_label = 3 (their program did not act on it)" in said
    sections = ConfigParser.load_config_file(tmp_path / "task.yaml")
    places = [f"{section}.{key}" for section, keys in sections.items() for key in keys]
    places = [place for place in places if place not in ("dataset_config.volume_paths", "dataset_config.targets")]
    assert [place for place in places if f"  {place} = " not in said] == []
    dropped = said[said.index("No counterpart:") :]
    assert "tr_setup.vram_max = 24: it had no effect" in dropped
    assert "model_config.bottleneck_block = BottleneckD: the network has blocks such as BasicBlockD there" in dropped


def test_what_a_json_task_leaves_out_is_written_as_its_program_had_it(tmp_path):
    said, train, inference = imported(tmp_path, MINIMAL)
    expected = {
        "patch_size": [192, 192, 192],
        "batch_size": 2,
        "val_fraction": 0.2,
        "learning_rate": 0.001,
        "weight_decay": 0.0001,
        "max_steps_per_epoch": 500,
        "max_val_steps_per_epoch": 25,
        "max_epochs": 500,
        "accumulation_steps": 1,
        "num_workers": 4,
        "features_per_stage": [32, 64, 128, 256, 320, 528],
        "n_blocks_per_stage": [1] * 6,
        "squeeze_excitation": "both",
        "se_ratio": 1,
        "decoder": "separate",
        "min_bbox_percent": 0.95,
        "min_labeled_ratio": 0.07,
        "use_cache": True,
        "clip_norm": 3,
        "keep_last": 10,
        "volumes": [{"image": "/d/raw.zarr", "sheet": "/d/sheet.zarr", "ref_label": "sheet"}],
    }
    assert {key: train[key] for key in expected} == expected
    assert train["optimizer"]["_target_"] == "torch.optim.AdamW"
    assert train["targets"]["sheet"]["label_smoothing"] == 0.2
    assert not {"derive", "load_model", "weights", "patch_cache", "model_name"} & train.keys()
    assert inference is None
    assert "  weight_decay left out, 0.0001 in their program -> weight_decay = 0.0001" in said
    assert "No counterpart" not in said


def test_what_a_yaml_task_leaves_out_is_planned_or_written_as_its_program_had_it(tmp_path):
    task = """
    tr_setup: {checkpoint_path: null}
    tr_config: {patch_size: [16, 64, 64]}
    model_config:
    dataset_config: {targets: {ink: {channels: 1}}, volume_paths: [{input: /d/raw.zarr, ink: /d/ink.zarr}]}
    inference_config: {input_path: /d/raw.zarr}
    """
    said, train, inference = imported(tmp_path, task)
    assert "No counterpart:\n  tr_setup.checkpoint_path = null: counts as left out" in said
    expected = {
        "model_name": "Model",
        "ckpt_dir": "./checkpoints/",
        "val_fraction": 0.05,
        "weight_decay": 0.0,
        "min_labeled_ratio": 0.1,
        "patch_cache": "patch_cache/Model_patches.json",
        "features_per_stage": None,
        "n_blocks_per_stage": None,
        "strides": None,
        "squeeze_excitation": False,
        "stochastic_depth_p": 0.0,
        "volumes": [{"image": "/d/raw.zarr", "ink": "/d/ink.zarr"}],
    }
    assert {key: train[key] for key in expected} == expected
    assert "label_smoothing" not in train["targets"]["ink"]
    assert {key: inference[key] for key in ("input", "output", "weights", "sw_batch_size", "overlap")} == {
        "input": "/d/raw.zarr",
        "output": "./outputs/{name}_prediction.zarr",
        "weights": "$@ckpt_dir + '/Model.pt'",
        "sw_batch_size": 2,
        "overlap": 0.25,
    }
    network = parsed("train", train, tmp_path).get_parsed_content("network_def")
    assert network.plan.features_per_stage == (32, 64, 128, 256, 320)
    assert network.plan.n_blocks_per_stage == (1, 3, 4, 6, 6)


@pytest.mark.parametrize("task", [SHEETNORM, SUCCESSOR, MINIMAL], ids=["json", "yaml", "minimal"])
def test_the_overlays_bind_and_have_known_keys_alone(tmp_path, task):
    _, train, inference = imported(tmp_path, task)
    for name, overlay in (("train", train), ("inference", inference or {})):
        known = json.loads((CONFIGS / f"{name}.json").read_text())
        assert [key for key in overlay if key not in known] == []
        parser = parsed(name, overlay, tmp_path)
        assert component_faults(parser) == []
        assert target_faults(parser["targets"]) == loss_faults(parser["targets"]) == []


def test_checkpoints_of_the_old_programs_are_not_taken_for_ours(tmp_path):
    path = tmp_path / "SheetNorm_3.pth"
    torch.save({"model": {"a": torch.zeros(1)}, "optimizer": {}, "scheduler": {}, "epoch": 2}, path)
    checkpoint = {"checkpoint_path": str(path)}
    task = changed(MINIMAL, tr_params={**checkpoint, "load_weights_only": True}, inference_params=checkpoint)
    said, train, inference = imported(tmp_path, task)
    assert not {"weights", "load_model"} & train.keys()
    assert inference["weights"] == "$@ckpt_dir + '/model.pt'"
    assert f"tr_params.checkpoint_path = {path}: it holds the weights of their network" in said
    torch.save({"network": {}}, path)
    _, train, inference = imported(tmp_path, task)
    assert train["weights"] == inference["weights"] == str(path)


def test_files_are_not_replaced_unasked(tmp_path):
    task = tmp_path / "task.json"
    task.write_text(json.dumps(SHEETNORM))
    said = import_task(task)
    assert said.count(str(tmp_path / "task.overlay.json")) == 2
    inference = tmp_path / "task.overlay.inference.json"
    assert inference.is_file()
    (tmp_path / "task.overlay.json").unlink()
    with pytest.raises(FileExistsError, match=f"{inference} exists"):
        import_task(task)
    for output, message in ((task, "is the task file itself"), (tmp_path / "a.yaml", "a name that ends in .json")):
        with pytest.raises(ValueError, match=message):
            import_task(task, output_path=output, overwrite=True)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        import_task(tmp_path / "missing.json")


def test_from_a_task_file_to_a_trained_network_and_its_predictions(tmp_path):
    phantom(tmp_path / "phantom.zarr", size=64, n_blocks=2, block=32)
    paths = {name: str(tmp_path / "phantom.zarr" / name) for name in ("raw", "sheet", "normals")}
    task = {
        "tr_params": {
            "model_name": "small",
            "patch_size": [16, 16, 16],
            "batch_size": 2,
            "max_epoch": 1,
            "max_steps_per_epoch": 2,
            "max_val_steps_per_epoch": 1,
            "num_dataloader_workers": 0,
            "optimizer": "SGD",
            "ckpt_out_base": str(tmp_path / "models"),
        },
        "model_config": {"f_maps": [8, 16], "num_levels": 2},
        "dataset_config": {},
        "volume_paths": [{"input": paths["raw"], "sheet": paths["sheet"], "normals": paths["normals"]}],
        "targets": {"sheet": {"channels": 1, "activation": "sigmoid"}, "normals": {"channels": 3, "weight": 0.5}},
        "inference_params": {"input_path": paths["raw"], "output_dir": str(tmp_path), "output_targets": ["normals"]},
    }
    (tmp_path / "task.json").write_text(json.dumps(task))
    overlay = tmp_path / "overlay.json"
    said = VERBS["import-task"](tmp_path / "task.json", output_path=overlay)
    lines = [shlex.split(line) for line in said.splitlines() if "monai.bundle run" in line]
    assert [line[4] for line in lines] == ["training", "inference"]
    assert str(overlay) in lines[0][-1]

    settings = {key: value for key, value in folders(tmp_path).items() if key != "ckpt_dir"}
    run("training", *options(**settings, device="cpu"), configs=["configs/train.json", overlay])
    (row,) = read_history(tmp_path)
    assert row["iteration"] == "2"
    assert float(row["train_total"]) == pytest.approx(
        float(row["train_sheet"]) + 0.5 * float(row["train_normals"]), rel=1e-4
    )
    assert (tmp_path / "models" / "small.pt").is_file()
    configs = ["configs/inference.json", tmp_path / "overlay.inference.json", tmp_path / "output" / "network.json"]
    run("inference", *options(device="cpu"), configs=configs)
    written = tmp_path / "phantom" / "raw_prediction.zarr"
    assert sorted(path.name for path in written.iterdir() if path.is_dir()) == ["normals"]
    assert open_volume(written / "normals").shape == (3, 64, 64, 64)


def test_a_dry_run_says_the_same_and_writes_nothing(tmp_path):
    task = tmp_path / "task.json"
    task.write_text(json.dumps(SHEETNORM))
    before = sorted(tmp_path.rglob("*"))
    said = import_task(task, dry_run=True)
    assert sorted(tmp_path.rglob("*")) == before
    assert said == import_task(task).replace("\nWritten:", "\nNot written, this was a dry run:")
