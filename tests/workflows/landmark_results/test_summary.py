"""Scores over images, against numbers by hand."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from tests.workflows.landmark_results.cases import NAN, along_x, case

from scripts.landmarks import QuantileBins
from scripts.workflows.landmark_results.bins import MethodBins
from scripts.workflows.landmark_results.summary import summary_rows

CASES = [along_x("one", [1, 4, NAN], [1, 2, 3]), along_x("two", [3, np.inf, 2], [3, 1, 2])]


def test_all_landmarks_and_each_have_their_errors():
    rows = {row["landmark"]: row for row in summary_rows(CASES, (2, 3), (0.5,))}
    assert list(rows) == ["all", "a", "b", "c"]
    assert [row["annotated"] for row in rows.values()] == [5, 2, 2, 1]
    known = np.array([1, 4, 3, 2])
    whole = rows["all"]
    assert whole["ecpv_mre"] == pytest.approx(known.mean())
    assert whole["ecpv_mre_std"] == pytest.approx(known.std())
    assert whole["ecpv_mre_median"] == 2.5
    assert whole["ecpv_not_found"] == 1
    assert (whole["ecpv_sdr@2"], whole["ecpv_sdr@3"]) == pytest.approx((2 / 5, 3 / 5))
    assert whole["ecpv_mre_mm"] == pytest.approx(known.mean() / 2)
    assert whole["ecpv_mre_median_mm"] == 1.25
    assert whole["ecpv_sdr@0.5mm"] == pytest.approx(1 / 5)
    assert [rows[name]["ecpv_mre"] for name in "abc"] == [2, 4, 2]
    assert [rows[name]["ecpv_not_found"] for name in "abc"] == [0, 1, 0]
    assert rows["b"]["ecpv_sdr@3"] == 0


def test_uncertainty_is_ranked_with_the_errors():
    rows = summary_rows(CASES)
    assert rows[0]["ecpv_spearman"] == pytest.approx(spearmanr([1, 2, 3, 2], [1, 4, 3, 2]).statistic)
    assert rows[1]["ecpv_spearman"] == pytest.approx(1)
    assert np.isnan(rows[2]["ecpv_spearman"])  # one landmark alone
    activation = summary_rows([along_x("one", [1, 2, 3], [30, 20, 10], method="smha")])
    assert activation[0]["smha_spearman"] == pytest.approx(1)


def test_physical_numbers_need_a_unit():
    row = summary_rows([case(unit=None)], (2,), (2,))[0]
    assert not [name for name in row if "mm" in name]
    partly = summary_rows([along_x("one", [2], unit=None), along_x("two", [4])])[0]
    assert partly["ecpv_mre"] == 3
    assert partly["ecpv_mre_mm"] == 2


def test_each_method_has_columns():
    points = np.zeros((3, 3))
    row = summary_rows([case(found={"smha": (points, points[:, 0]), "ecpv": (points, points[:, 0])})])[0]
    assert row["smha_mre"] == row["ecpv_mre"] == pytest.approx(np.sqrt(14) / 2)


def test_bins_have_their_mean_error_and_the_share_within_the_bounds():
    bins = MethodBins(None, {"ecpv": QuantileBins((1.5,), (2.0,))})
    rows = summary_rows([along_x("one", [1, 3, 5, NAN, np.inf], [1, 1, 2, 1, 2])], bins=bins)
    whole = rows[0]
    assert (whole["ecpv_bin0_count"], whole["ecpv_bin0_mre"], whole["ecpv_bin0_within"]) == (2, 2, 0.5)
    assert (whole["ecpv_bin1_count"], whole["ecpv_bin1_mre"], whole["ecpv_bin1_within"]) == (1, 5, 1)
    assert rows[3]["ecpv_bin0_count"] == 0
    assert np.isnan(rows[3]["ecpv_bin0_mre"])
    assert np.isnan(rows[3]["ecpv_bin0_within"])


def test_without_truth_nothing_is_known():
    row = summary_rows([case(truth=None)], (2,))[0]
    assert row["annotated"] == row["ecpv_not_found"] == 0
    assert all(np.isnan(row[name]) for name in ("ecpv_mre", "ecpv_mre_median", "ecpv_sdr@2", "ecpv_spearman"))


def test_negative_radii_are_refused():
    with pytest.raises(ValueError, match=r"radii must be numbers of at least 0; got \[-1\]"):
        summary_rows(CASES, (-1,))
