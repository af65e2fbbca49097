"""The table over folds, against numbers worked out by hand."""

import csv

import pytest

from scripts.workflows.cross_validation.table import fold_row, show_table, with_summary, write_table

HISTORY = """epoch,iteration,train_loss,val_score,val_points_mre
1,5,0.9,-3.5,3.5
2,10,0.5,-1.25,1.25
3,15,0.4,,
4,20,0.3,-2,2
"""
SUMMARY = """landmark,annotated,smha_mre,smha_sdr@2,smha_spearman,smha_bin0_mre
nose,4,9,0,0.5,1
all,8,1.5,0.75,nan,1
ear,4,2,1,,1
"""


def files(folder, history=HISTORY, **summaries):
    (folder / "history.csv").write_text(history)
    for name, text in summaries.items():
        (folder / "results" / name).mkdir(parents=True)
        (folder / "results" / name / "summary.csv").write_text(text)
    return folder


def test_the_best_epoch_and_the_rows_of_all_landmarks(tmp_path):
    files(tmp_path, test=SUMMARY, validation="landmark,smha_mre\nall,1.25\n")
    assert fold_row(3, tmp_path, tmp_path / "results") == {
        "fold": 3, "epoch": 2, "score": -1.25, "points_mre": 1.25,
        "test_annotated": 8.0, "test_smha_mre": 1.5, "test_smha_sdr@2": 0.75, "validation_smha_mre": 1.25,
    }  # fmt: skip


def test_a_fold_without_validation_or_scores_has_its_number_alone(tmp_path):
    assert fold_row(0, tmp_path, tmp_path / "results") == {"fold": 0}
    files(tmp_path, "epoch,iteration,train_loss\n1,5,0.9\n")
    assert fold_row(0, tmp_path, tmp_path / "results") == {"fold": 0}


def test_mean_and_deviation_of_what_is_known():
    rows = [
        {"fold": 0, "epoch": 4, "score": 1.0, "dice": 0.5, "test_mre": 2.0},
        {"fold": 1, "epoch": 9, "score": 2.0, "dice": None},
        {"fold": 2, "epoch": 2, "score": 6.0, "dice": 0.7},
    ]
    *folds, mean, sd = with_summary(rows)
    assert folds == rows
    assert mean == pytest.approx({"fold": "mean", "score": 3.0, "dice": 0.6, "test_mre": 2.0})
    # score: (4 + 1 + 9) / 2 = 7; dice: 0.02 / 1
    assert sd == pytest.approx({"fold": "sd", "score": 7**0.5, "dice": 0.02**0.5})


def test_the_table_as_csv_and_as_text(tmp_path):
    rows = with_summary([{"fold": 0, "epoch": 2, "score": 0.123456789}, {"fold": 1, "epoch": 12, "score": None}])
    with write_table(rows, tmp_path / "folds.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"fold": "0", "epoch": "2", "score": "0.123457"},
            {"fold": "1", "epoch": "12", "score": ""},
            {"fold": "mean", "epoch": "", "score": "0.123457"},
            {"fold": "sd", "epoch": "", "score": ""},
        ]
    assert [path.name for path in tmp_path.iterdir()] == ["folds.csv"]
    assert show_table(rows).splitlines() == [
        "fold        0   1    mean  sd",
        "epoch       2  12            ",
        "score  0.1235      0.1235    ",
    ]
