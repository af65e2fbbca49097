"""Options of train.json reach what they are about."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser
from monai.utils import set_determinism
from tests.bundle.running import BUNDLE, folders

from scripts.workflows import phantom

TRAIN = BUNDLE / "configs" / "train.json"
SMALL = {"patch_size": [16, 16, 16], "features_per_stage": [8, 8], "n_blocks_per_stage": [1, 1], "se_ratio": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    phantom(folder / "phantom.zarr", size=64, n_blocks=2, block=32)
    return folder


@pytest.fixture
def config(data: Path, tmp_path: Path) -> Iterator[Callable[..., ConfigParser]]:
    """A parser of train.json with settings, by id."""

    def make(**changes: Any) -> ConfigParser:
        parser = ConfigParser()
        parser.read_config(TRAIN)
        small = {**folders(tmp_path), "bundle_root": str(BUNDLE), "dataset_dir": str(data), "device": "cpu", **SMALL}
        parser.update(small | changes)
        return parser

    yield make
    set_determinism(None)


WIRED = [
    ("precision", "bf16", "train#step", lambda step: step.precision),
    ("precision", "bf16", "validate#step", lambda step: step.precision),
    ("accumulation_steps", 3, "train#step", lambda step: step.accumulation_steps),
    ("clip_norm", 0.5, "train#step", lambda step: step.clip_norm),
    ("ema", 0.9, "average", lambda average: average.decay),
    ("early_stop", 7, "early_stopping", lambda stop: stop.patience),
    ("model_name", "sheets", "run_checkpoint", lambda saver: saver.name),
    ("model_name", "sheets", "best_model", lambda best: best.path.stem),
    ("keep_last", 4, "run_checkpoint", lambda saver: saver.keep_last),
    ("keep_best", 5, "run_checkpoint", lambda saver: saver.keep_best),
    ("mutual_exclusion", [["sheet"]], "prepare_batch", lambda prepare: prepare.exclusive),
    ("random_seed", 9, "train#sampler", lambda sampler: sampler.seed),
    ("max_steps_per_epoch", 11, "train#sampler", lambda sampler: len(sampler) // 2),
]


@pytest.mark.parametrize(("key", "value", "where", "read"), WIRED, ids=[f"{row[0]} of {row[2]}" for row in WIRED])
def test_an_option_reaches_its_component(config, key, value, where, read):
    assert read(config(**{key: value}).get_parsed_content(where)) == value


@pytest.mark.parametrize(("key", "where"), [("ema", "average"), ("early_stop", "early_stopping")])
def test_what_is_off_is_not_there(config, key, where):
    assert config(**{key: None}).get_parsed_content(where) is None


def test_validation_and_the_best_model_use_the_average_where_there_is_one(config):
    plain = config()
    assert plain.get_parsed_content("best_model").network is plain.get_parsed_content("network")
    averaged = config(ema=0.9)
    network = averaged.get_parsed_content("average").network
    assert averaged.get_parsed_content("best_model").network is network
    assert averaged.get_parsed_content("validate#evaluator").network is network
    assert averaged.get_parsed_content("train#trainer").network is averaged.get_parsed_content("network")


@pytest.mark.parametrize("balance", ["uncertainty", "gradient_norm"])
def test_the_balance_changes_the_loss_and_what_it_learns_is_optimised(config, balance):
    parser = config(loss_balance=balance)
    loss, optimizer = parser.get_parsed_content("loss"), parser.get_parsed_content("optimizer")
    learnt = {id(p) for p in loss.parameters()} & {id(p) for g in optimizer.param_groups for p in g["params"]}
    assert len(learnt) == (1 if balance == "uncertainty" else 0)
    assert set(loss.factors) == {"sheet", "normals"}


def test_balanced_class_weights_are_counted(config):
    """As many voxels outside as inside, times the weight of those inside."""
    parser = config(**{"targets#sheet#class_weights": "balanced"})
    outside, inside = parser.get_parsed_content("chosen")["class_voxels"]["sheet"]
    (part,) = parser.get_parsed_content("loss").losses["sheet"]
    assert part.loss.class_weights.tolist() == pytest.approx([outside / inside])
    assert inside > 0


SCHEDULES = [
    {"_target_": "torch.optim.lr_scheduler.CosineAnnealingLR", "T_max": "@max_epochs"},
    {"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau", "mode": "max"},
    {
        "_target_": "torch.optim.lr_scheduler.OneCycleLR",
        "max_lr": "@learning_rate",
        "total_steps": "$@max_epochs * @max_steps_per_epoch",
    },
    {"_target_": "torch.optim.lr_scheduler.PolynomialLR", "total_iters": "@max_epochs", "power": 0.9},
]
OPTIMIZERS = [
    {"_target_": "torch.optim.SGD", "momentum": 0.99, "nesterov": True, "weight_decay": 3e-5},
    {"_target_": "torch.optim.RAdam", "decoupled_weight_decay": True, "weight_decay": 1e-4},
    {"_target_": "torch.optim.AdamW", "weight_decay": "@weight_decay"},
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=[row["_target_"].split(".")[-1] for row in SCHEDULES])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=[row["_target_"].split(".")[-1] for row in OPTIMIZERS])
def test_optimisers_and_schedules_are_exchanged_in_json(config, optimizer, schedule):
    parser = config(
        optimizer={**optimizer, "params": config().config["optimizer"]["params"], "lr": "@learning_rate"},
        lr_scheduler={**schedule, "optimizer": "@optimizer"},
        max_steps_per_epoch=2,
        max_val_steps_per_epoch=1,
        max_epochs=2,
        previews=False,
    )
    built = parser.get_parsed_content("optimizer")
    assert type(built).__name__ == optimizer["_target_"].split(".")[-1]
    network = parser.get_parsed_content("network")
    before = [p.detach().clone() for p in network.parameters()]
    trainer = parser.get_parsed_content("train#trainer")
    trainer.run()
    assert any(not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    rate = trainer.state.metrics["learning_rate"]
    if "ReduceLROnPlateau" in schedule["_target_"]:
        assert rate == parser.config["learning_rate"]
    else:
        assert rate < parser.config["learning_rate"]


@pytest.mark.long
def test_a_compiled_network_trains_and_keeps_the_names_of_its_weights(config, tmp_path):
    """Without a C++ compiler, so that it runs everywhere: traced, not translated."""
    parser = config(compile={"backend": "aot_eager"}, max_steps_per_epoch=2, max_val_steps_per_epoch=1, max_epochs=1)
    parser.config["initialize"] = parser.config["initialize"][2:]  # the process's path and group are the test's
    parser.get_parsed_content("initialize")
    network = parser.get_parsed_content("network")
    assert network._compiled_call_impl is not None
    parser.get_parsed_content("train#trainer").run()
    weights = torch.load(tmp_path / "models" / "model.pt", weights_only=True)
    assert weights.keys() == config().get_parsed_content("network_def").state_dict().keys()


def test_a_loss_of_all_targets_may_be_any_module(config, tmp_path, monkeypatch):
    (tmp_path / "sum_of_squares.py").write_text(
        "import torch\n\n\nclass Sum(torch.nn.Module):\n    def forward(self, predictions, labels):\n"
        "        known = {name: label.float().nan_to_num() for name, label in labels.items()}\n"
        "        return sum((predictions[name] - label).square().mean() for name, label in known.items())\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    parser = config(max_steps_per_epoch=2, max_val_steps_per_epoch=1, max_epochs=1)
    parser["loss"] = {"_target_": "sum_of_squares.Sum"}
    parser.config["initialize"] = parser.config["initialize"][2:]  # the process's path and group are the test's
    parser.get_parsed_content("initialize")
    trainer = parser.get_parsed_content("train#trainer")
    trainer.run()
    assert trainer.state.metrics["train_total"] > 0
