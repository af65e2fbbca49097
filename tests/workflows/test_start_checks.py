"""The check before a training: each kind of bad input gives one clear message, all at once, and writes nothing."""

import json
import subprocess
from copy import deepcopy

import numpy as np
import pytest
import torch
import zarr
from monai.bundle import ConfigParser
from tests.bundle.prepared_python import prepared_python
from tests.workflows.checked_arrays import BUNDLE, TARGETS, make_arrays, store

from scripts.volumes import create_ome_zarr
from scripts.workflows import RunError, check_config, check_training, current_parser
from scripts.workflows.start_checks import _fitting_loss_faults


@pytest.fixture
def folder(tmp_path):
    return make_arrays(tmp_path)


@pytest.fixture
def training(folder):
    parser = ConfigParser()
    parser.read_config(BUNDLE / "configs" / "train.json")
    arrays = {key: str(folder / f"{name}.zarr") for key, name in (("image", "raw"), ("sheet",) * 2, ("depth",) * 2)}
    parser.update(
        {
            "bundle_root": str(BUNDLE),
            "output_dir": str(folder / "out"),
            "ckpt_dir": str(folder / "ckpt"),
            "targets": deepcopy(TARGETS),
            "volumes": [arrays],
            "patch_size": [16, 16, 16],
            "features_per_stage": [16, 16],
            "n_blocks_per_stage": [1, 1],
            "val_fraction": 0.3,
        }
    )
    return parser


def faults(parser, **changes):
    parser.update(changes)
    parser.parse(True)
    with pytest.raises(RunError) as caught:
        check_training(parser)
    return str(caught.value)


def test_a_good_config_passes(training):
    check_training(training)


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"volumes#0#image": "/no/raw.zarr"}, ["volumes[0]: image: /no/raw.zarr does not exist; the nearest folder"]),
        ({"volumes#0#sheet": "{folder}/raw.zarr::4"}, ["volumes[0]: sheet", "level 4 does not exist; levels are 0"]),
        (
            {"volumes#0#sheet": "{folder}/small.zarr"},
            ["has shape (8, 32, 32), the image", "(32, 32, 32)", "PATH::LEVEL"],
        ),
        ({"volumes#0#sheet": "{folder}/two.zarr"}, ["has 2 channels, expected 1: a label holds one class per voxel"]),
        ({"in_channels": 3}, ["has 1 channels, the network takes in_channels = 3"]),
        (
            {"targets#normals": {"channels": 3, "kind": "normal"}},
            ["no volume carries 'normals'; the volumes carry: depth"],
        ),
        ({"volumes#0#shet": "x"}, ["'shet' is no target", "did you mean 'sheet'", "targets read: sheet, depth"]),
        ({"targets#sheet#chanels": 1}, ["unknown option 'chanels' (did you mean 'channels'?)"]),
        ({"targets#sheet#loss": "smooth_l1"}, ["sheet", "smooth_l1"]),
        ({"targets#sheet#metric": "dise"}, ["dise", "did you mean 'dice'"]),
        ({"network_def#decodr": "shared"}, ["takes no argument 'decodr' (did you mean 'decoder'?)"]),
        ({"optimizer#_target_": "torch.optim.AdmW"}, ["'torch.optim.AdmW' cannot be imported"]),
        ({"patch_size": [18, 16, 17]}, ["axis x has 17 voxels, which 2 does not divide (nearest: 16 or 18)"]),
        (
            {"min_labeled_ratio": 1.0, "volumes#0#sheet": "{folder}/half.zarr"},
            ["no patch of [16, 16, 16]", "0.500 of the box"],
        ),
        ({"weights": "/no/model.pt"}, ["weights: weights /no/model.pt do not exist"]),
        ({"load_model": "/no/such.pt"}, ["checkpoint /no/such.pt does not exist; give a path, 'latest', 'best' or"]),
        ({"precision": "fp16", "device": "cpu"}, ["precision 'fp16' needs CUDA, but the device is 'cpu'"]),
        ({"clip_norm": 0}, ["clip_norm must be a positive number, or null for none; got 0"]),
        ({"loss_balance": "gradnorm"}, ["balance must be one of fixed, uncertainty, gradient_norm; got 'gradnorm'"]),
        ({"mutual_exclusion": [["sheet", "depth"]]}, ["mutual_exclusion: depth cannot exclude others"]),
        (
            {"lr_scheduler": {"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau", "optimizer": "@optimizer"}},
            ["ReduceLROnPlateau needs mode = 'max', got 'min'"],
        ),
        ({"learning_rate": "fast"}, ["learning_rate must be a number of at least 0; got 'fast'"]),
        ({"optimizer#lr": "fast"}, ["optimizer: torch.optim.AdamW: 'lr' must be", "got 'fast'"]),
        ({"val_fraction": 2}, ["val_fraction must be at least 0 and below 1; got 2"]),
    ],
)
def test_bad_input(training, folder, changes, parts):
    store(folder / "small.zarr", (1, 8, 32, 32))
    store(folder / "two.zarr", (2, 32, 32, 32))
    half = np.indices((32, 32, 32)).sum(axis=0) % 2
    create_ome_zarr(folder / "half.zarr", (1, 32, 32, 32), "uint8", spacing=(2, 1, 1)).write(
        (0, 0, 0), half[None].astype(np.uint8)
    )
    changes = {k: v.format(folder=folder) if isinstance(v, str) else v for k, v in changes.items()}
    said = faults(training, **changes)
    assert said.startswith("the training cannot start, 1 fault:")
    for part in parts:
        assert part in said


def test_a_group_where_an_array_is_meant(training, folder):
    (folder / "group").mkdir()
    store(folder / "group" / "inner.zarr", (1, 8, 8, 8))
    zarr.create_group(str(folder / "group"))
    said = faults(training, **{"volumes#0#sheet": str(folder / "group")})
    assert "expected an array or an image; name one of the things inside" in said
    assert "inner.zarr" in said


def test_every_fault_is_listed_at_once(training):
    said = faults(
        training,
        **{
            "volumes#0#shet": "x",
            "network_def#decodr": "shared",
            "volumes#0#depth": "/no/depth.zarr",
            "loss#wieghts": 1,
        },
    )
    assert "4 faults" in said
    for part in ("'shet'", "'decodr'", "/no/depth.zarr", "'wieghts'"):
        assert part in said


def test_weights_of_another_architecture_name_the_keys(training, folder):
    torch.save({"encoder.stem.weight": torch.zeros(3), "other": torch.zeros(1)}, folder / "other.pt")
    said = faults(training, weights=str(folder / "other.pt"))
    assert "belongs to another architecture than network_def" in said
    assert "has unknown encoder.stem.weight, other" in said
    assert "lacks encoder." in said


@pytest.mark.parametrize(
    ("loss", "fits"),
    [
        ("phdnet", True),
        ({"name": "phdnet", "class_sigma": 2}, True),
        (["mse", {"name": "phdnet"}], True),
        (torch.nn.MSELoss(), True),
        ("mse", False),
        ([{"name": "mse"}, "l1"], False),
    ],
)
def test_a_network_with_a_loss_of_its_own_needs_it(loss, fits):
    targets = {"tips": {"channels": 2, "kind": "points", "loss": loss}}
    network = {"_target_": "scripts.networks.PHDNet", "spatial_dims": 2, "in_channels": 1, "patch_size": [16, 16]}
    parser = ConfigParser({"targets": targets, "network_def": {**network, "max_pool_factor": 2, "targets": targets}})
    parser.parse(True)
    said = [f"targets: tips: this network's output is for loss 'phdnet'; got {loss!r}"]
    assert _fitting_loss_faults(parser) == ([] if fits else said)
    parser.update({"network_def": {"_target_": "torch.nn.Identity"}})
    parser.parse(True)
    assert _fitting_loss_faults(parser) == []


def test_nothing_is_written_when_the_check_fails(training, folder):
    faults(training, **{"network_def#decodr": "shared"})
    assert not (folder / "out").exists()
    assert not (folder / "ckpt").exists()


def test_the_parser_of_the_run_is_found_from_within_it_only():
    with pytest.raises(RuntimeError, match="no config is being evaluated here"):
        current_parser()
    parser = ConfigParser({"mark": 7, "who": {"_target_": "scripts.workflows.current_parser"}})
    assert parser.get_parsed_content("who") is parser


def test_the_command_line_shows_the_message_alone_and_ends_with_status_1(folder):
    command = [prepared_python(), "-m", "monai.bundle", "run", "training", "--config_file", "configs/train.json"]
    changes = {"output_dir": str(folder / "out"), "ckpt_dir": str(folder / "ckpt"), "targets": json.dumps(TARGETS)}
    changes["volumes"] = json.dumps([{"image": str(folder / "raw.zarr"), "sheet": "/no/sheet.zarr"}])
    options = [word for key, value in changes.items() for word in (f"--{key}", value)]
    done = subprocess.run([*command, *options], cwd=BUNDLE, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "error: the training cannot start, 2 faults:" in done.stderr
    assert "/no/sheet.zarr does not exist" in done.stderr
    assert "targets: depth: no volume carries 'depth'" in done.stderr
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"output_dir": "@nothing"}, "'nothing' is missing: output_dir refer to it as @nothing"),
        ({"patch_size": "$[16, 16"}, "patch_size: '$[16, 16' is no Python expression: '[' was never closed"),
        (
            {"batch_size": "@in_channels", "in_channels": "@batch_size"},
            "in a circle: in_channels -> batch_size -> in_",
        ),
        ({"train#dataset": None}, "train#dataset: expected a component, a table with '_target_'; got None"),
        (
            {"optimizer": {"_targt_": "torch.optim.AdamW"}},
            "optimizer: unknown key '_targt_' (did you mean '_target_'?)",
        ),
        ({"optimizer": {"lr": 1}}, "optimizer: has no '_target_', and is a mere table; its keys: lr"),
        ({"augment#2#sigma": [1.0, 0.5]}, "augment#2: sigma must hold two numbers"),
        ({"augment": [3]}, "train#preprocessing: expected transforms; got 3"),
        (
            {"network_def#targets": [1]},
            "network_def: scripts.networks.MultiTaskUNet: 'targets' must be Mapping[str, Any]",
        ),
        ({"features_per_stage": [16, 10**9]}, "more parameters than any memory holds; give fewer feat"),
        ({"features_per_stage": [16, 10**6]}, "of memory; give fewer features_per_stage"),
        ({"n_blocks_per_stage": [1, 10**9]}, "n_blocks_per_stage must hold numbers up to 1000"),
        ({"lr_scheduler#power": -1.0}, "0.0 cannot be raised to a negative power"),
        ({"targets#sheet#weight": float("nan")}, "'weight' must be a number >= 0, got nan"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value[:30],
)
def test_a_fault_names_its_key_before_patches_are_searched(training, folder, changes, part):
    said = faults(training, **changes)
    assert part in said
    assert not (folder / "out").exists()
    assert not (folder / "ckpt").exists()


def test_a_key_without_effect_is_told(training, caplog):
    training.update({"lerning_rate": 1, "something_of_mine": 2})
    training.parse(True)
    check_config(training)
    assert [one for one in caplog.messages if "no effect" in one] == [
        "'lerning_rate' has no effect: nothing in the config refers to it; did you mean 'learning_rate'?"
    ]


def test_a_missing_key_is_named_with_those_who_need_it_and_with_what_was_meant(training):
    training.config["max_epoch"] = training.config.pop("max_epochs")
    said = faults(training)
    assert (
        "'max_epochs' is missing (did you mean 'max_epoch'?): lr_scheduler#total_iters, train#trainer#max_epochs"
        in said
    )


def test_many_faults_fit_on_a_screen(training):
    training.config["augment"] = [{"_target_": f"no.such.Thing{n}", "x": "y" * 500} for n in range(40)]
    lines = faults(training).splitlines()
    assert len(lines) == 20
    assert lines[-1] == "  ... and 22 more"
