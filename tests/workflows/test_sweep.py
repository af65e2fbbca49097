"""`sweep`: every option of it, with commands that are done in no time, and the table of results."""

import csv
import importlib
import json
import sys

import pytest
from tests.workflows.sweep_files import OWN, PARAM_DICT
from tests.workflows.sweep_runner import FakeRunner, train

from scripts.__main__ import main
from scripts.blockwise import Threads
from scripts.workflows.sweeps.plan import Plan

module = importlib.import_module("scripts.workflows.sweep")


@pytest.fixture
def runner(monkeypatch):
    runner = FakeRunner()
    monkeypatch.setattr(module, "run_plan", lambda plan, chosen, workers: original(plan, chosen, Threads(), runner))
    return runner


original = module.run_plan


def sweep(tmp_path, content=OWN, **options):
    path = tmp_path / "param_dict.json"
    path.write_text(json.dumps(content))
    return module.sweep(path, **{"output": tmp_path / "experiments", "dataset": "cells", "name": "first", **options})


def kinds(runner):
    return [call[2] if call[0] == "monai.bundle" else call[1] for call in runner.calls]


def test_all_steps_in_order_and_the_table(tmp_path, runner):
    said = sweep(tmp_path)
    root = tmp_path / "experiments/cells/first"
    assert "2 settings x 2 models, 4 heads; 46 runs, of which 0 are done" in said
    assert "46 runs done, 0 were done before, 0 not done" in said
    first_of = {kind: kinds(runner).index(kind) for kind in ("training", "inference", "points", "validation")}
    assert first_of["training"] < first_of["inference"] < first_of["validation"]
    assert (root / "param_dict.json").is_file()
    with (root / "best_metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    index = ["contrastive_combination", "head_combination", "contrastive_checkpoint", "head_checkpoint", "threshold"]
    assert list(rows[0])[:5] == index
    expected = [
        [str(i), str(j), str(10 if j < 2 else 0), str(m), "0.6"]
        for i in range(4)
        for j in ((0, 1, 2, 3) if i < 2 else (0, 1))
        for m in (8, 12)
    ]
    assert [[row[key] for key in index] for row in rows] == expected
    assert {(row["head"], row["pretrained"], row["num_points"]) for row in rows} == {
        ("sparse_head", "True", "8"), ("sparse_head", "True", "16"),
        ("sparse_baseline", "False", "8"), ("sparse_baseline", "False", "16"),
    }  # fmt: skip
    assert {row["voi_sum"] for row in rows} == {"1.5"}
    assert (root / "best_metrics.png").read_bytes()[:4] == b"\x89PNG"


def test_what_is_done_is_skipped_and_what_failed_is_done_again(tmp_path, runner):
    runner.fails = ("combination-1/seg/combination-0",)
    with pytest.raises(ChildProcessError, match="43 runs done, 0 were done before, 3 not done") as error:
        sweep(tmp_path)
    name = "combination-1/seg/combination-0/contrastive_ckpt10"
    assert f"{name}: RuntimeError: FAILS" in str(error.value)
    assert f"{name}/val_8: it needs {name}" in str(error.value)
    runner.fails, runner.calls = (), []
    assert "3 runs done, 43 were done before, 0 not done" in sweep(tmp_path)
    assert kinds(runner) == ["training", *["inference", "validation"] * 2]


def test_a_step_at_a_time(tmp_path, runner):
    with pytest.raises(
        ValueError,
        match=r"these runs are needed first: combination-0/contrastive, .*; do them by --mode contrastive, or",
    ):
        sweep(tmp_path, mode="emb")
    counts = {}
    for mode in ("contrastive", "emb", "seg", "val"):
        runner.calls = []
        sweep(tmp_path, mode=mode)
        counts[mode] = len(runner.calls)
    assert counts == {"contrastive": 4, "emb": 4, "seg": 2 + 12, "val": 2 * 24}


def test_one_combination_and_one_head(tmp_path, runner):
    sweep(tmp_path, index=2, head_index=1)
    trained = [call[-1] for call in runner.calls if call[2] == "training"]
    assert ["combination-2/contrastive" in trained[0], "combination-2/seg/combination-1" in trained[1]] == [True, True]
    assert len(trained) == 2
    assert [call[call.index("--k") + 1] for call in runner.calls if call[0] == "scripts"] == ["16"]


def test_checkpoints_by_number(tmp_path, runner):
    sweep(tmp_path, PARAM_DICT, mode="contrastive")
    sweep(tmp_path, PARAM_DICT, mode="emb", checkpoints="5000,10000")
    folders = sorted(path.name for path in (tmp_path / "experiments/cells/first/combination-0/embs").iterdir())
    assert folders == ["contrastive_ckpt10000", "contrastive_ckpt5000"]


def test_a_dry_run_writes_the_files_and_runs_nothing(tmp_path, runner):
    said = sweep(tmp_path, PARAM_DICT, dry_run=True, mode="contrastive")
    root = tmp_path / "experiments/cells/first/combination-0/contrastive"
    configs = ["configs/train.json", "configs/contrastive.json", f"{root}/overlay.json"]
    assert runner.calls == []
    assert said.splitlines()[-2:] == [
        "combination-0/contrastive: to do",
        f'  python -m monai.bundle run training --config_file "{configs}"',
    ]
    assert "seg.norm_factor = 0.25: the image is stored embeddings" in said
    assert json.loads((root / "overlay.json").read_text())["max_epochs"] == 2
    assert "contrastive.lr = 1e-05 -> learning_rate = 1e-05" in (root / "notes.txt").read_text()
    assert "1 runs done" in sweep(tmp_path, PARAM_DICT, mode="contrastive")


def test_what_was_begun_goes_on(tmp_path, runner):
    plan = Plan(module.read_experiment(_written(tmp_path, OWN)), tmp_path / "experiments/cells/first")
    run = plan.runs["combination-0/contrastive"]
    run.write()
    train(run.files["overlay.json"], last=1)
    assert run.state == "begun"
    sweep(tmp_path, mode="contrastive", index=0)
    assert run.files["overlay.json"]["load_model"] == "latest"
    assert run.state == "done"


def test_other_settings_in_the_same_folders_are_an_error_unless_they_are_thrown_away(tmp_path, runner):
    sweep(tmp_path, mode="contrastive")
    changed = {**OWN, "contrastive": {**OWN["contrastive"], "max_epochs": 1}}
    with pytest.raises(
        ValueError, match=r"combination-0/contrastive holds a run .*max_epochs: 2 -> 1.*\n(.*\n)+Choose"
    ):
        sweep(tmp_path, changed, mode="contrastive")
    with pytest.raises(ValueError, match="Choose another --name"):
        sweep(tmp_path, changed, mode="contrastive", overwrite=True, dry_run=True)
    sweep(tmp_path, changed, mode="contrastive", overwrite=True)
    folder = tmp_path / "experiments/cells/first/combination-0/contrastive/checkpoints"
    assert [path.name for path in folder.iterdir()] == ["model_epoch=1_score=0.5000.pt"]


def test_names_of_data_and_experiment_from_the_file(tmp_path, runner):
    sweep(tmp_path, mode="contrastive", dataset=None, name=None)
    assert (tmp_path / "experiments/cells" / tmp_path.name / "param_dict.json").is_file()
    volumes = {**OWN, "contrastive": {"volumes": "$list_of_volumes"}}
    with pytest.raises(ValueError, match="give a word for the data as --dataset; the first image is null"):
        sweep(tmp_path, volumes, dataset=None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "embs"}, "mode: expected one of contrastive, emb, seg, val; got 'embs'.*mean 'emb'"),
        ({"index": 4}, "index: expected a number from 0 to 3, got 4"),
        ({"head_index": -1}, "head_index: expected a number from 0 to 3, got -1"),
        ({"checkpoints": "best"}, "checkpoints: expected numbers such as 5000,10000, or latest; got 'best'"),
        ({"mode": "seg", "index": 3, "head_index": 3}, "nothing to do for mode = seg, index = 3, head_index = 3"),
    ],
)
def test_options_that_cannot_be_are_named(tmp_path, runner, options, message):
    with pytest.raises(ValueError, match=message):
        sweep(tmp_path, **options)


def test_the_command_line_ends_with_one_line(tmp_path, monkeypatch):
    path = _written(tmp_path, {"contrastiv": {}})
    monkeypatch.setattr(sys, "argv", ["scripts", "sweep", str(path)])
    with pytest.raises(SystemExit, match=r"error: .*file.json: unknown key contrastiv.*mean 'contrastive'"):
        main()


def _written(tmp_path, content):
    path = tmp_path / "file.json"
    path.write_text(json.dumps(content))
    return path
