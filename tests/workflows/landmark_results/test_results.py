"""The folder of results: what is written, added and refused."""

import csv
import json
import logging

import numpy as np
import pytest
from tests.workflows.landmark_results.cases import NAN, along_x, case

from scripts.landmarks import QuantileBins
from scripts.workflows.landmark_results.bins import MethodBins, read_bins, write_bins
from scripts.workflows.landmark_results.results import LandmarkResults, worth_showing

IMAGE = np.random.default_rng(0).random((4, 6, 8), dtype=np.float32)


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(folder, *cases, **options):
    results = LandmarkResults(folder, **options)
    for one in cases:
        results.add(one)
    return results.write()


def test_everything_is_written(tmp_path):
    results = LandmarkResults(tmp_path / "out", radii=(2, 5), radii_physical=(1.5,))
    results.add(case("one"), IMAGE)
    results.add(case("two/x", truth=None))
    summary = results.write()
    written = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")}
    assert written - {"results.xlsx"} == {
        "samples.csv", "landmarks.csv", "summary.csv", "predictions.json", "report.html", "error_histogram.png",
        "uncertainty.png", "pictures/one.png",
    }  # fmt: skip
    assert summary["ecpv_mre"] == 2.5
    assert (summary["ecpv_sdr@2"], summary["ecpv_sdr@5"], summary["ecpv_sdr@1.5mm"]) == (0.5, 1, 0.5)
    assert [row["id"] for row in rows(tmp_path / "out" / "samples.csv")] == ["one", "two/x"]
    assert [row["landmark"] for row in rows(tmp_path / "out" / "landmarks.csv")] == ["a", "b", "c"] * 2
    assert float(rows(tmp_path / "out" / "summary.csv")[0]["ecpv_mre"]) == 2.5
    assert 'alt="one"' in (tmp_path / "out" / "report.html").read_text()


def test_sheets_are_written_where_they_can_be(tmp_path):
    pytest.importorskip("xlsxwriter")
    write(tmp_path, case())
    assert (tmp_path / "results.xlsx").read_bytes().startswith(b"PK")


def test_images_of_an_earlier_call_stay_where_they_are_asked_for(tmp_path):
    first = LandmarkResults(tmp_path)
    first.add(along_x("one", [1, 2]), IMAGE)
    first.write()
    whole = write(tmp_path, along_x("two", [3, 4]), append=True)
    assert whole["ecpv_mre"] == 2.5
    assert [row["id"] for row in rows(tmp_path / "samples.csv")] == ["one", "two"]
    assert len(rows(tmp_path / "landmarks.csv")) == 4
    assert 'alt="one"' in (tmp_path / "report.html").read_text()
    with pytest.raises(ValueError, match=r"image 'two' .* has the same id.*append = True keeps those of earlier calls"):
        write(tmp_path, along_x("two", [3, 4]), append=True)
    with pytest.raises(ValueError, match="image 'three' has 3 landmarks, but 'one' has 2"):
        write(tmp_path, along_x("three", [3, 4, 5]), append=True)
    assert write(tmp_path, along_x("two", [3, 4]))["ecpv_mre"] == 3.5
    assert not list((tmp_path / "pictures").iterdir())


def test_two_images_with_one_id_are_refused(tmp_path):
    results = LandmarkResults(tmp_path)
    results.add(case("one", path="/a.png"))
    with pytest.raises(ValueError, match=r"image 'one' of /b\.png: /a\.png has the same id; each image needs its own$"):
        results.add(case("one", path="/b.png"))


def test_results_of_nothing_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no image was added"):
        LandmarkResults(tmp_path).write()


def test_bins_are_fitted_on_one_set_and_applied_to_another(tmp_path):
    write(tmp_path / "val", along_x("one", [1, 2, 3, 4], [1, 2, 3, 4]), fit_bins=True, n_bins=2)
    assert read_bins(tmp_path / "val" / "bins.json").methods["ecpv"].error_bounds == pytest.approx((1.25,))
    summary = write(tmp_path / "test", along_x("two", [2, 4], [1, 9]), bins=tmp_path / "val" / "bins.json")
    assert (summary["ecpv_bin0_mre"], summary["ecpv_bin0_within"]) == (1, 1)
    assert (summary["ecpv_bin1_mre"], summary["ecpv_bin1_within"]) == (2, 1)
    assert [row["ecpv_bin"] for row in rows(tmp_path / "test" / "landmarks.csv")] == ["0.0", "1.0"]
    assert not (tmp_path / "test" / "bins.json").exists()


def test_too_few_landmarks_leave_no_bins_behind(tmp_path, caplog):
    write_bins(tmp_path / "bins.json", MethodBins(None, {}))
    with caplog.at_level(logging.WARNING):
        summary = write(tmp_path, along_x("one", [1, 2]), fit_bins=True)
    assert "2 landmarks of known error for 5 bins" in caplog.text
    assert not (tmp_path / "bins.json").exists()
    assert not any("bin" in name for name in summary)


def test_bins_that_do_not_fit_are_refused_with_the_first_image(tmp_path):
    write_bins(tmp_path / "bins.json", MethodBins("um", {"ecpv": QuantileBins((1.0,), (1.0,))}))
    with pytest.raises(ValueError, match="image 'one' is measured in mm, but the bins' bounds are in um"):
        LandmarkResults(tmp_path, bins=tmp_path / "bins.json").add(case())
    with pytest.raises(FileNotFoundError, match="none"):
        LandmarkResults(tmp_path, bins=tmp_path / "none.json").add(case())
    with pytest.raises(ValueError, match=r"bins are either read or fitted; got bins = 'x\.json' and fit_bins = True"):
        LandmarkResults(tmp_path, bins="x.json", fit_bins=True)


def test_ids_become_file_names_that_differ(tmp_path):
    results = LandmarkResults(tmp_path)
    for name in ("a/b", "a:b", "ä b"):
        results.add(case(name), IMAGE)
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["a_b.png", "a_b_2.png", "ä_b.png"]


def test_pictures_of_images_that_are_no_longer_worth_it_make_room(tmp_path):
    results = LandmarkResults(tmp_path, n_pictures=2)
    for n, error in enumerate([1, 2, 5, 3, 2.5]):
        results.add(along_x(str(n), [error]), IMAGE)
    assert sorted(path.stem for path in (tmp_path / "pictures").iterdir()) == ["2", "4"]  # the worst and the median
    none = LandmarkResults(tmp_path / "none", n_pictures=0)
    none.add(case(), IMAGE)
    assert not (tmp_path / "none" / "pictures").exists()


def test_half_of_the_shown_images_are_the_worst():
    errors = dict(zip("abcdefg", [1.0, np.inf, 3.0, 4.0, 5.0, np.inf, NAN], strict=True))
    assert worth_showing(errors, "abcdefg", 4) == {"b", "f", "e", "d"}  # the median is 5
    assert worth_showing(errors, "acg", 2) == {"c", "a"}
    assert worth_showing({"a": NAN, "b": NAN, "c": NAN}, "abc", 2) == {"a", "b"}
    assert worth_showing(errors, "abc", 0) == set()


def test_physical_radii_without_a_unit_are_told(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        assert "ecpv_sdr@2" in write(tmp_path, case(unit=None), radii_physical=(1,))
    assert "radii_physical = [1.0] have no effect: no image states a unit" in caplog.text


def test_predictions_are_kept_as_json(tmp_path):
    write(tmp_path, case(), radii=(1,))
    content = json.loads((tmp_path / "predictions.json").read_text())
    assert content["landmarks"] == ["a", "b", "c"]
    assert content["radii"] == [1]
    assert content["images"]["one"]["found"]["ecpv"]["points"][0] == [0, 3, 4]
