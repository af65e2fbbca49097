"""Bins of each method: fitted, written, read, checked."""

import json
import logging

import numpy as np
import pytest
from tests.workflows.landmark_results.cases import NAN, along_x, case

from scripts.landmarks import QuantileBins
from scripts.workflows.landmark_results.bins import MethodBins, check_bins, fit_bins, read_bins, write_bins


def test_bounds_follow_errors_in_the_unit():
    one = along_x("one", [1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4])
    bins = fit_bins([one], 2)
    assert bins.unit == "mm"
    assert bins.methods["ecpv"].thresholds == pytest.approx((0.25,))
    assert bins.methods["ecpv"].error_bounds == pytest.approx((2.5 * 0.5,))  # voxels are 0.5 mm wide along x
    in_voxels = fit_bins([along_x("one", [1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4], unit=None)], 2)
    assert in_voxels.unit is None
    assert in_voxels.methods["ecpv"].error_bounds == pytest.approx((2.5,))


def test_the_highest_activations_are_in_the_first_bin():
    one = along_x("one", [1, 2, 3, 4], [40, 30, 20, 10], method="smha")
    fitted = fit_bins([one], 2).methods["smha"]
    assert fitted.assign(one.uncertainty("smha")).tolist() == [0, 0, 1, 1]


def test_images_are_taken_together():
    cases = [along_x("one", [1, NAN], [0.1, 9]), along_x("two", [3, np.inf], [0.3, 9])]
    assert fit_bins(cases, 2).methods["ecpv"].thresholds == pytest.approx((0.2,))


def test_a_method_with_too_few_landmarks_has_no_bins(caplog):
    with caplog.at_level(logging.WARNING):
        assert fit_bins([along_x("one", [1, 2, NAN], [1, 2, 3])], 3).methods == {}
    assert "no bins of 'ecpv': 2 landmarks of known error for 3 bins" in caplog.text
    with pytest.raises(ValueError, match="got n_bins = 1 and 3 landmarks"):
        fit_bins([along_x("one", [1, 2, 3], [1, 2, 3])], 1)


def test_bins_are_written_and_read(tmp_path):
    bins = MethodBins("mm", {"ecpv": QuantileBins((0.5, 1.5), (1.0, 2.0)), "smha": QuantileBins((-3.0,), (4.0,))})
    write_bins(tmp_path / "bins.json", bins)
    assert read_bins(tmp_path / "bins.json") == bins
    content = json.loads((tmp_path / "bins.json").read_text())
    assert content["methods"]["ecpv"] == {"thresholds": [0.5, 1.5], "error_bounds": [1.0, 2.0]}


def test_other_files_are_refused(tmp_path):
    (tmp_path / "x.json").write_text('{"unit": null}')
    with pytest.raises(ValueError, match=r"x\.json: expected the bins\.json that a validation .* KeyError 'methods'"):
        read_bins(tmp_path / "x.json")
    with pytest.raises(FileNotFoundError, match="none"):
        read_bins(tmp_path / "none.json")


def test_bins_of_other_methods_or_units_are_refused():
    bins = MethodBins("um", {"smha": QuantileBins((1.0,), (1.0,))})
    with pytest.raises(ValueError, match="image 'one' has points by ecpv, but bins were fitted for smha"):
        check_bins(bins, case())
    bins = MethodBins("um", {"ecpv": QuantileBins((1.0,), (1.0,))})
    with pytest.raises(ValueError, match="image 'one' is measured in mm, but the bins' bounds are in um"):
        check_bins(bins, case())
    with pytest.raises(ValueError, match="measured in voxels"):
        check_bins(bins, case(unit=None))
    check_bins(MethodBins(None, bins.methods), case())
