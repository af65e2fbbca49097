"""Scores over folds."""

import csv

import numpy as np
import pytest
from tests.workflows.landmark_results.cases import NAN, along_x

from scripts.workflows.landmark_results.folds import pool_summaries
from scripts.workflows.landmark_results.results import LandmarkResults


def fold(folder, *cases, **options):
    results = LandmarkResults(folder, **options)
    for one in cases:
        results.add(one)
    results.write()
    return folder


@pytest.fixture
def folders(tmp_path):
    """Two folds, the second of which has two images."""
    first = fold(tmp_path / "fold_0" / "test", along_x("one", [1, NAN]), radii=(2,))
    second = fold(tmp_path / "fold_1" / "test", along_x("two", [3, 5]), along_x("three", [2, 4]), radii=(2,))
    return [first, second]


def test_folds_count_alike_and_images_count_alike(folders, tmp_path):
    rows = {(row["landmark"], row["fold"]): row for row in pool_summaries(folders, tmp_path / "all")}
    assert [name for landmark, name in rows if landmark == "all"] == ["fold_0", "fold_1", "mean", "sd", "pooled"]
    assert {name: rows["all", name]["ecpv_mre"] for name in ("fold_0", "fold_1", "mean", "pooled")} == (
        {"fold_0": 1, "fold_1": 3.5, "mean": 2.25, "pooled": 3}
    )
    assert rows["all", "mean"]["ecpv_sdr@2"] == pytest.approx((1 + 1 / 4) / 2)
    assert rows["all", "pooled"]["ecpv_sdr@2"] == pytest.approx(2 / 5)
    assert rows["all", "sd"]["ecpv_mre"] == pytest.approx(1.25 * np.sqrt(2))
    assert rows["b", "mean"]["ecpv_mre"] == 4.5  # unknown in the first fold
    assert "ecpv_mre" not in rows["b", "sd"]
    assert np.isnan(rows["b", "fold_0"]["ecpv_mre"])
    with (tmp_path / "all" / "folds_summary.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert len(written) == 3 * 5
    assert (written[4]["landmark"], written[4]["fold"], written[4]["ecpv_mre"]) == ("all", "pooled", "3.0")


def test_folders_of_different_depth_are_named_in_full(folders, tmp_path):
    other = fold(tmp_path / "other", along_x("four", [1, 1]), radii=(2,))
    names = [row["fold"] for row in pool_summaries([folders[0], other])][:2]
    assert names == [str(folders[0]), str(other)]


def test_folds_that_do_not_fit_are_refused(folders, tmp_path):
    with pytest.raises(ValueError, match="expected different folders, one per fold; got"):
        pool_summaries([folders[0], folders[0]])
    with pytest.raises(ValueError, match=r"expected different folders, one per fold; got \[\]"):
        pool_summaries([])
    with pytest.raises(FileNotFoundError, match="none"):
        pool_summaries([tmp_path / "none"])
    radii = fold(tmp_path / "radii", along_x("five", [1, 1]), radii=(3,))
    with pytest.raises(ValueError, match=r"has \{'radii': \[3\.0\].*write both with the same radii"):
        pool_summaries([folders[0], radii])
    three = fold(tmp_path / "three", along_x("six", [1, 1, 1]), radii=(2,))
    with pytest.raises(ValueError, match="image 'six' has 3 landmarks, but 'one' has 2"):
        pool_summaries([folders[0], three])
