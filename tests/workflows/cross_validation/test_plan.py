"""Which folds there are, and the settings with which each of them trains."""

import json

import pytest

from scripts.workflows.cross_validation.plan import FoldPlan, fold_files

SETTINGS = {
    "bundle_root": ".", "output_dir": "$@bundle_root + '/output'", "ckpt_dir": "$@bundle_root + '/models'",
    "model_name": "skull", "max_epochs": "$2 * @half", "half": 3, "n_folds": None, "fold": 0, "load_model": None,
    "optimizer": {"lr": 0.1},
}  # fmt: skip


def write(folder, **changes):
    path = folder / "train.json"
    path.write_text(json.dumps(SETTINGS | changes))
    return path


def fold_folder(folder, *numbers):
    for number in numbers:
        (folder / f"fold{number}.json").write_text("{}")
    (folder / "notes.json").write_text("{}")
    return folder


def test_each_fold_has_its_folder_and_number(tmp_path):
    plan = FoldPlan([write(tmp_path)], tmp_path / "out", 3, {"half": 4, "optimizer#lr": 0.2})
    assert list(plan.runs) == [0, 1, 2]
    folder = tmp_path / "out" / "fold_2"
    run = plan.runs[2]
    assert run.name == "fold_2"
    assert run.folder == str(folder)
    settings = run.files["settings.json"]
    assert settings == SETTINGS | {
        "output_dir": str(folder), "ckpt_dir": str(folder / "models"), "load_model": "latest",
        "fold": 2, "n_folds": 3, "half": 4, "optimizer": {"lr": 0.2},
    }  # fmt: skip
    assert run.training.last_epoch == 8
    assert run.training.name == "skull"
    path = str(folder / "settings.json")
    assert run.commands == (("monai.bundle", "run", "training", "--config_file", str([path])),)


def test_later_configs_and_the_number_of_folds_in_them(tmp_path):
    later = tmp_path / "later.json"
    later.write_text(json.dumps({"half": 10, "n_folds": "$@half - 6"}))
    plan = FoldPlan([write(tmp_path), later], tmp_path / "out")
    assert plan.numbers == [0, 1, 2, 3]
    assert plan.runs[0].training.last_epoch == 20
    assert plan.runs[0].files["settings.json"]["n_folds"] == 4


def test_files_of_folds_are_not_divided_again(tmp_path):
    config = write(tmp_path, landmark_file="$@bundle_root + '/folds'", bundle_root=str(tmp_path))
    (tmp_path / "folds").mkdir()
    fold_folder(tmp_path / "folds", 0, 1, 2, 10)
    plan = FoldPlan([config], tmp_path / "out")
    assert plan.numbers == [0, 1, 2, 10]
    assert plan.runs[10].files["settings.json"]["fold"] == 10
    assert plan.runs[10].files["settings.json"]["n_folds"] is None
    assert FoldPlan([config], tmp_path / "out", 2).numbers == [0, 1]


def test_a_missing_file_of_a_fold_is_named(tmp_path):
    fold_folder(tmp_path, 0, 2)
    with pytest.raises(FileNotFoundError, match=r"has no fold1.json, fold3.json; it has fold0.json, fold2.json"):
        fold_files(tmp_path, 4)
    with pytest.raises(FileNotFoundError, match=r"fold0.json: expected a folder with fold0.json, .*; it has no JSON"):
        fold_files(tmp_path / "fold0.json")


def test_where_a_fold_writes_its_scores(tmp_path):
    plan = FoldPlan([write(tmp_path, results_dir="$@output_dir + '/scores'")], tmp_path / "out", 2)
    assert plan.results_dir(1) == tmp_path / "out" / "fold_1" / "scores"
    assert FoldPlan([write(tmp_path)], tmp_path, 2).results_dir(0) == tmp_path / "fold_0" / "results"


@pytest.mark.parametrize("n_folds", [None, 1, 2.5, True], ids=str)
def test_a_number_of_folds_that_cannot_be_is_shown(tmp_path, n_folds):
    with pytest.raises(ValueError, match=f"n_folds: expected a whole number of at least 2, got {n_folds}"):
        FoldPlan([write(tmp_path)], tmp_path, n_folds)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fold": 1, "ckpt_dir": "x"}, "fold, ckpt_dir: set for each fold; give --output_dir, --folds"),
        ({"max_epoch": 1}, r"the configs have no max_epoch \(did you mean 'max_epochs'\?\)"),
        ({"optimizer#groups#lr": 1}, "the configs have no optimizer#groups#lr"),
    ],
)
def test_settings_that_do_not_belong_there_are_named(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        FoldPlan([write(tmp_path)], tmp_path, 2, settings)


def test_a_config_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config .*nothing.json does not exist"):
        FoldPlan([write(tmp_path), tmp_path / "nothing.json"], tmp_path, 2)
