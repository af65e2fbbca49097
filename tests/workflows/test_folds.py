"""`folds`: what is done, gone on with, and left alone; two real folds; and pictures of skulls with files of folds."""

import csv
import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.bundle.running import BUNDLE, command
from tests.bundle.skull_projections import MISSING, write_projections
from tests.workflows.landmark_results.cases import along_x
from tests.workflows.sweep_runner import FakeRunner, train

from scripts.__main__ import main
from scripts.blockwise import Threads
from scripts.patches import read_landmark_folds
from scripts.workflows import phantom
from scripts.workflows.cross_validation.plan import FoldPlan
from scripts.workflows.landmark_results.results import LandmarkResults

module = importlib.import_module("scripts.workflows.folds")
original = module.run_folds

CONFIG = {
    "model_name": "model", "max_epochs": 2, "learning_rate": 0.1, "output_dir": "o", "ckpt_dir": "c", "n_folds": 3,
    "fold": 0, "load_model": None, "bundle_root": ".",
}  # fmt: skip


class FoldRunner(FakeRunner):
    """Checkpoints, and a history whose best score is the number of the fold."""

    def __call__(self, arguments, log):
        super().__call__(arguments, log)
        settings = json.loads((log.parent / "settings.json").read_text())
        (log.parent / "history.csv").write_text(f"epoch,iteration,val_score\n1,5,{settings['fold']}\n2,10,-1\n")


@pytest.fixture
def runner(monkeypatch):
    runner = FoldRunner()
    monkeypatch.setattr(module, "run_folds", lambda plan, chosen, workers: original(plan, chosen, Threads(), runner))
    return runner


def config(folder, **changes):
    path = folder / "train.json"
    path.write_text(json.dumps(CONFIG | changes))
    return str(path)


def folds(tmp_path, **options):
    return module.folds(**{"config_file": [config(tmp_path)], "output_dir": tmp_path / "out", **options})


def trained(runner):
    return [Path(call[-1].strip("[]'")).parent.name for call in runner.calls]


def table(tmp_path):
    with (tmp_path / "out" / "folds.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_all_folds_and_the_table(tmp_path, runner):
    said = folds(tmp_path)
    assert trained(runner) == ["fold_0", "fold_1", "fold_2"]
    assert said.splitlines()[:2] == ["3 folds done, 0 were done before, 0 not done", "fold   0  1  2  mean  sd"]
    assert said.endswith(f"written: {tmp_path / 'out' / 'folds.csv'}")
    assert [list(row.values()) for row in table(tmp_path)] == [
        ["0", "1", "0"], ["1", "1", "1"], ["2", "1", "2"], ["mean", "", "1"], ["sd", "", "1"]
    ]  # fmt: skip


def test_what_is_done_is_not_done_again_and_failures_stop_no_other(tmp_path, runner):
    runner.fails = ("fold_1",)
    with pytest.raises(
        ChildProcessError, match=r"2 folds done, 0 were done before, 1 not done\n(.*\n)+fold_1: Runtime"
    ):
        folds(tmp_path)
    assert [row["fold"] for row in table(tmp_path)] == ["0", "2", "mean", "sd"]
    runner.fails, runner.calls = (), []
    assert "1 folds done, 2 were done before, 0 not done" in folds(tmp_path)
    assert trained(runner) == ["fold_1"]
    assert [row["fold"] for row in table(tmp_path)] == ["0", "1", "2", "mean", "sd"]


def test_some_folds_now_and_others_later_share_the_table(tmp_path, runner):
    folds(tmp_path, folds="0,2")
    assert trained(runner) == ["fold_0", "fold_2"]
    assert [row["fold"] for row in table(tmp_path)] == ["0", "2", "mean", "sd"]
    folds(tmp_path, folds=1)
    assert trained(runner) == ["fold_0", "fold_2", "fold_1"]
    assert [row["fold"] for row in table(tmp_path)] == ["0", "1", "2", "mean", "sd"]


def test_what_was_begun_goes_on_from_its_checkpoint(tmp_path, runner):
    run = FoldPlan([config(tmp_path)], tmp_path / "out").runs[1]
    run.write()
    train(run.files["settings.json"], last=1)
    assert run.state == "begun"
    folds(tmp_path, folds=[1])
    assert run.files["settings.json"]["load_model"] == "latest"
    assert run.state == "done"


def test_other_settings_in_the_same_folders_are_an_error_unless_they_are_thrown_away(tmp_path, runner):
    folds(tmp_path)
    with pytest.raises(ValueError, match=r"fold_0 holds a run .*learning_rate: 0.1 -> 0.5\)\n(.*\n)+Choose another"):
        folds(tmp_path, learning_rate=0.5)
    with pytest.raises(ValueError, match=r"fold_0 holds a run .*n_folds: 3 -> 4"):
        folds(tmp_path, n_folds=4)
    with pytest.raises(ValueError, match="Choose another --output_dir"):
        folds(tmp_path, learning_rate=0.5, overwrite=True, dry_run=True)
    runner.calls = []
    folds(tmp_path, learning_rate=0.5, overwrite=True)
    assert len(runner.calls) == 3
    config(tmp_path, max_epochs=4)
    with pytest.raises(ValueError, match="max_epochs: 2 -> 4"):
        module.folds(config_file=[str(tmp_path / "train.json")], output_dir=tmp_path / "out", learning_rate=0.5)


def test_landmarks_of_all_folds_are_scored_together(tmp_path, runner):
    folds(tmp_path)
    for number, errors in enumerate([[1, 2], [3, 6], [4, 8]]):
        results = LandmarkResults(tmp_path / "out" / f"fold_{number}" / "results" / "validation")
        results.add(along_x(f"image {number}", errors))
        results.write()
        said = folds(tmp_path)
        assert ("folds_summary.csv" in said) == (number == 2)
    with (tmp_path / "out" / "validation" / "folds_summary.csv").open(newline="") as file:
        pooled = next(row for row in csv.DictReader(file) if (row["landmark"], row["fold"]) == ("all", "pooled"))
    assert float(pooled["ecpv_mre"]) == 4  # of 6 landmarks
    assert float(pooled["ecpv_mre_median"]) == 3.5
    assert [row["validation_ecpv_mre"] for row in table(tmp_path)] == ["1.5", "4.5", "6", "4", "2.29129"]
    assert not (tmp_path / "out" / "test").exists()


def test_a_fold_that_there_is_not_is_named(tmp_path, runner):
    with pytest.raises(ValueError, match="folds: there is no fold 3, x; there are 0, 1, 2"):
        folds(tmp_path, folds="0,3,x")


def test_the_command_line_takes_settings_of_the_training(tmp_path, monkeypatch, capsys):
    words = ["folds", "--config_file", str([config(tmp_path)]), "--output_dir", str(tmp_path / "out"), "--folds", "0,2"]
    monkeypatch.setattr(sys, "argv", ["scripts", *words, "--learning_rate", "0.25", "--dry_run"])
    main()
    path = tmp_path / "out" / "fold_2" / "settings.json"
    assert capsys.readouterr().out.splitlines()[2:] == [
        "fold_2: to do",
        f"  python -m monai.bundle run training --config_file \"['{path}']\"",
    ]
    assert json.loads(path.read_text())["learning_rate"] == 0.25
    monkeypatch.setattr(sys, "argv", ["scripts", *words, "--learning_rat", "1"])
    with pytest.raises(SystemExit, match=r"error: the configs have no learning_rat \(did you mean 'learning_rate'"):
        main()


def test_two_folds_of_the_shipped_training(tmp_path):
    phantom(tmp_path / "phantom.zarr", size=64, n_blocks=2, block=32)
    small = {
        "patch_size": [16, 16, 16], "features_per_stage": [8, 8], "n_blocks_per_stage": [1, 1], "max_epochs": 1,
        "max_steps_per_epoch": 2, "max_val_steps_per_epoch": 2, "device": "cpu", "previews": False,
        "squeeze_excitation": False, "dataset_dir": str(tmp_path),
    }  # fmt: skip
    plan = FoldPlan([BUNDLE / "configs/train.json"], tmp_path / "out", 2, small)
    said = original(plan, list(plan.runs.values()), Threads(), lambda words, log: log.write_text(command(*words)))
    rows = table(tmp_path)
    assert "2 folds done" in said
    assert [row["fold"] for row in rows] == ["0", "1", "mean", "sd"]
    first, second, mean, sd = (float(row["score"]) for row in rows)
    assert mean == pytest.approx((first + second) / 2, abs=1e-5)
    assert sd == pytest.approx(abs(first - second) / 2**0.5, abs=1e-5)
    assert first != second  # each validates on a part of its own
    assert {"sheet_dice", "normals_angle"} <= set(rows[0])
    again = original(plan, list(plan.runs.values()), Threads(), lambda *_: pytest.fail("ran again"))
    assert "0 folds done, 2 were done before" in again


@pytest.mark.real_data
def test_projected_skulls_have_their_landmarks_on_bone_and_each_validates_once(tmp_path):
    folder = write_projections(tmp_path / "skulls", n=9, size=(32, 48))
    validating = []
    for fold in range(5):
        rows = read_landmark_folds(folder, fold, splits=("train", "val", "test"))
        splits = [row["split"] for row in rows]
        assert len(rows) == 9
        assert splits.count("test") == 2
        validating += [row["id"] for row in rows if row["split"] == "val"]
    assert sorted(validating) == sorted({row["id"] for row in rows if row["split"] != "test"})
    assert rows[0]["extra"] == {"strain": rows[0]["id"].replace("_", "/")}
    assert [row["landmarks"] is None for row in rows] == [False] * 8 + [True]
    missing = [[n for n, point in enumerate(row["landmarks"]) if point is None] for row in rows[:-1]]
    assert sorted(missing) == [[]] * 7 + [[MISSING]]
    values = []
    for row in rows[:-1]:
        picture = np.asarray(Image.open(row["image"]))
        assert picture.shape == (32, 48)
        points = np.round([point for point in row["landmarks"] if point is not None]).astype(int)
        values.append(picture[tuple(points.T)] > 2 * np.median(picture))
    assert np.concatenate(values).mean() > 0.95
