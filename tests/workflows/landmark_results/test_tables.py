"""Rows of images and landmarks."""

import numpy as np
import pytest
from tests.workflows.landmark_results.cases import NAN, TRUTH, along_x, case

from scripts.landmarks import QuantileBins
from scripts.workflows.landmark_results.bins import MethodBins
from scripts.workflows.landmark_results.tables import landmark_rows, sample_rows


def test_a_landmark_has_its_places_and_errors():
    one = case(
        input_shape=(4, 12, 4), translation=(10.0, 20.0, 30.0), members={"m": TRUTH + 1}, columns={"s": TRUTH[:, 2]}
    )
    first, second, third = landmark_rows([one])  # fmt: skip
    assert (second["id"], second["landmark"]) == ("one", "b")
    assert [second[f"truth_{axis}"] for axis in "zyx"] == [1, 2, 3]
    assert [second[f"truth_{axis}_input"] for axis in "zyx"] == [1, 4.5, 1.25]
    assert [second[f"truth_{axis}_mm"] for axis in "zyx"] == [12, 22, 31.5]
    assert [first[f"predicted_{axis}"] for axis in "zyx"] == [first[f"ecpv_{axis}"] for axis in "zyx"] == [0, 3, 4]
    assert [first[f"predicted_{axis}_input"] for axis in "zyx"] == [0, 6.5, 1.75]
    assert first["error"] == first["ecpv_error"] == 5
    assert first["error_mm"] == first["ecpv_error_mm"] == pytest.approx(np.sqrt(13))
    assert (first["ecpv"], second["ecpv"]) == (0.5, 0.25)
    assert [second[f"member_m_{axis}"] for axis in "zyx"] == [2, 3, 4]
    assert second["s"] == 3
    assert np.isnan(third["error"])
    assert np.isnan(third["truth_z"])


def test_places_in_space_need_a_unit():
    assert not any("_mm" in name for name in landmark_rows([case(unit=None)])[0])
    known, unknown = landmark_rows([along_x("one", [1]), along_x("two", [1], unit=None)])
    assert known["error_mm"] == 0.5
    assert np.isnan(unknown["error_mm"])
    assert np.isnan(unknown["predicted_x_mm"])


def test_bins_and_bounds_stand_beside_the_uncertainty():
    bins = MethodBins(None, {"smha": QuantileBins((-5.0,), (2.0,))})
    rows = landmark_rows([along_x("one", [1, 2, 3], [10, 1, NAN], method="smha")], bins)
    assert [row["smha"] for row in rows[:2]] == [10, 1]  # as given
    assert [row["smha_bin"] for row in rows[:2]] == [0, 1]
    assert [row["smha_bin_low"] for row in rows[:2]] == [0, 2]
    assert [row["smha_bin_high"] for row in rows[:2]] == [2, np.inf]
    assert np.isnan([rows[2][name] for name in ("smha_bin", "smha_bin_low", "smha_bin_high")]).all()


def test_a_column_of_a_taken_name_is_refused():
    with pytest.raises(ValueError, match=r"image 'one': the columns \['ecpv_error'\] have names that the table gives"):
        landmark_rows([case(columns={"ecpv_error": np.zeros(3)})])
    with pytest.raises(ValueError, match=r"the columns \['id'\]"):
        landmark_rows([case(columns={"id": np.zeros(3)})])


def test_an_image_has_its_sizes_and_its_worst_landmark():
    one = case(shape=(4, 6, 8), input_shape=(4, 3, 16), extra={"age": 3, "path": "x"})
    two = along_x("two", [1, np.inf, NAN], extra={"sex": "f"})
    first, second = sample_rows([one, two])
    assert [first[f"size_{axis}"] for axis in "zyx"] == [4, 6, 8]
    assert [first[f"input_{axis}"] for axis in "zyx"] == [4, 3, 16]
    assert [first[f"scale_{axis}"] for axis in "zyx"] == [1, 2, 0.5]
    assert (first["annotated"], first["mean_error"], first["worst_landmark"], first["worst_error"]) == (2, 2.5, "a", 5)
    assert first["mean_error_mm"] == pytest.approx(np.sqrt(13) / 2)
    assert (first["path"], first["extra_path"], first["age"]) == ("/one.nii.gz", "x", 3)
    assert (second["mean_error"], second["worst_landmark"], second["worst_error"]) == (1, "b", np.inf)
    assert (second["not_found"], second["sex"]) == (2, "f")  # c as well, which is not annotated


def test_an_image_without_truth_has_no_errors():
    (row,) = sample_rows([case(truth=None)])
    assert (row["annotated"], row["worst_landmark"], row["worst_error"], row["not_found"]) == (0, None, None, 0)
    assert np.isnan(row["mean_error"])
