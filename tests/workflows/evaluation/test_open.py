"""Truth and predictions on one grid: placed by position, resampled, unknown voxels left out."""

import numpy as np
import pytest
from tests.workflows.evaluation_stores import PROBABILITY, blocky, opened, store

from scripts.workflows.evaluation.cases import Case
from scripts.workflows.evaluation.open import ReadOptions, middle_offset, open_cases
from scripts.workflows.submissions.grid import to_truth_grid

LINE = np.arange(1, 9).reshape(1, 1, 8)


@pytest.fixture
def write(tmp_path):
    def write_one(name, array, **options):
        return store(tmp_path / f"{name}.zarr", array, **options)

    return write_one


def labels(case, n=0):
    return case.labels_of(n, case.predicted_values(n, case.low, case.size))


def along_x(array):
    return array[0, 0].tolist()


def test_a_prediction_is_where_its_translation_says(write):
    truth = write("t", LINE, translation=(0, 0, 100), spacing=(1, 1, 2))
    later = write("p", LINE, translation=(0, 0, 104), spacing=(1, 1, 2))
    case = opened(truth, later, metrics="voi")
    assert along_x(labels(case)) == [0, 0, 1, 2, 3, 4, 5, 6]
    assert case.covered(0) == 6 / 8


def test_ids_are_resampled_to_the_nearest_and_keep_every_bit(write):
    big = np.array([2**64 - 1, 2**53 + 1], np.uint64)
    truth = write("t", LINE, spacing=(1, 1, 1), translation=(0, 0, 0.5))
    coarse = write("p", big.reshape(1, 1, 2), spacing=(1, 1, 4), translation=(0, 0, 2))
    assert along_x(labels(opened(truth, coarse, metrics="voi"))) == [2**64 - 1] * 4 + [2**53 + 1] * 4


def test_a_mask_is_resampled_linearly_and_is_what_is_above_one_half(write):
    """Voxels of 3 at 1.5, 4.5, 7.5 hold 0, 255, 0: above one half from 3 to 6."""
    truth = write("t", np.ones((1, 1, 9), np.uint8), translation=(0, 0, 0.5))
    coarse = write("p", np.array([0, 255, 0], np.uint8).reshape(1, 1, 3), spacing=(1, 1, 3), translation=(0, 0, 1.5))
    assert along_x(labels(opened(truth, coarse))) == [False] * 3 + [True] * 3 + [False] * 3


def test_probabilities_are_decoded_and_cut_at_the_threshold(write):
    truth = write("t", np.ones((1, 1, 4), np.uint8))
    stored = write("p", np.array([0, 127, 128, 204], np.uint8).reshape(1, 1, 4), encoding=PROBABILITY)
    assert along_x(labels(opened(truth, stored))) == [False, False, True, True]
    assert along_x(labels(opened(truth, stored, threshold=0.79))) == [False, False, False, True]


def test_the_class_of_highest_probability_counts(write):
    truth = write("t", np.ones((1, 1, 2), np.uint8))
    shares = np.array([[0.5, 0.2], [0.3, 0.3], [0.2, 0.5]], np.float32).reshape(3, 1, 1, 2)
    assert along_x(labels(opened(truth, write("p", shares)))) == [0, 2]


def test_unknown_voxels_are_negative_ignored_or_masked(write):
    truth = write("t", np.array([-1, 0, 5, 100, 7, 7], np.int16).reshape(1, 1, 6))
    mask = write("m", np.array([1, 1, 1, 1, 0, 2], np.uint8).reshape(1, 1, 6))
    prediction = write("p", np.ones((1, 1, 6), np.uint8))
    case = opened(truth, prediction, metrics="voi", ignore_label=100, mask=mask)
    true, known = case.true_labels(case.low, case.size)
    assert along_x(known) == [False, True, True, False, False, True]
    assert along_x(true) == [0, 0, 5, 0, 0, 7]


def test_unknown_numbers_are_nan(write):
    truth = write("t", np.array([1, np.nan, 3], np.float32).reshape(1, 1, 3))
    mask = write("m", np.array([0, 1, 1], np.uint8).reshape(1, 1, 3))
    case = opened(truth, write("p", np.ones((1, 1, 3), np.float32)), metrics="mae", mask=mask)
    np.testing.assert_array_equal(case.true_numbers(case.low, case.size)[0, 0, 0], [np.nan, np.nan, 3])


def test_a_zero_vector_is_no_normal(write):
    truth = np.zeros((3, 1, 1, 3), np.float32)
    truth[0, ..., 1:] = 1
    case = opened(write("t", truth), write("p", truth), kind="normal", metrics="epe")
    assert np.isnan(case.true_numbers(case.low, case.size)[:, 0, 0]).tolist() == [[True, False, False]] * 3
    vectors = opened(write("v", truth), write("q", truth), kind="vector", metrics="epe")
    assert np.isfinite(vectors.true_numbers(vectors.low, vectors.size)).all()


def test_a_level_of_the_truth_is_picked_by_its_spacing(write):
    truth = write("t", blocky(0, (8, 8, 8)), spacing=(4, 4, 4), levels=2, downsample="nearest")
    case = opened(truth, truth, metrics="voi", spacing=(8, 8, 8))
    assert case.truth.spatial_shape == (4, 4, 4)
    np.testing.assert_array_equal(labels(case), case.true_labels(case.low, case.size)[0])


def test_of_a_pyramid_the_level_that_fits_the_truth_is_read(write):
    coarse = write("t", np.ones((4, 4, 4), np.uint8), spacing=(2, 2, 2), translation=(0.5, 0.5, 0.5))
    pyramid = write("p", blocky(1, (8, 8, 8)), levels=2, downsample="mode")
    case = opened(coarse, pyramid, metrics="voi")
    assert case.predictions[0].spacing == (2, 2, 2)
    assert case.predictions[0].decoded_bytes == 0
    labels(case)
    assert case.predictions[0].decoded_bytes == 4**3 * 4  # of the coarse level, uint32


def test_without_resampling_voxels_are_compared_one_by_one(write):
    truth = write("t", LINE)
    shifted = write("p", LINE, translation=(0, 0, 3))
    assert along_x(labels(opened(truth, shifted, metrics="voi", resample=False))) == LINE[0, 0].tolist()
    with pytest.raises(ValueError, match=r"p2.zarr has shape \(1, 1, 7\).*has \(1, 1, 8\) .* and resample is off"):
        opened(truth, write("p2", LINE[..., :7]), metrics="voi", resample=False)


def test_stores_without_voxel_size_must_have_one_shape(write, tmp_path):
    np.save(tmp_path / "a.npy", LINE)
    np.save(tmp_path / "b.npy", LINE[..., :5])
    assert along_x(labels(opened(str(tmp_path / "a.npy"), write("p", LINE), metrics="voi"))) == LINE[0, 0].tolist()
    with pytest.raises(ValueError, match=r"b.npy has shape \(1, 1, 5\).*one of them states no voxel size.*convert"):
        opened(write("t", LINE), str(tmp_path / "b.npy"), metrics="voi")


@pytest.mark.parametrize(("extent", "wanted"), [(3, 8), (4, 8), (8, 3), (9, 4), (5, 5)])
def test_middles_are_laid_as_the_challenge_lays_them(extent, wanted):
    laid = to_truth_grid(np.arange(1, extent + 1).reshape(1, 1, -1), None, None, (1, 1, wanted), *[(1, 1, 1)] * 2, True)
    first = middle_offset(extent, wanted)
    inside = max(first, 0)
    assert laid[0, 0, inside] == inside - first + 1


def test_what_does_not_overlap_is_an_error(write):
    truth, far = write("t", LINE), write("p", LINE, translation=(0, 0, 50))
    with pytest.raises(ValueError, match=r"p.zarr lies at .* x 49.5 to 57.5 nm, wholly outside .* x -0.5 to 7.5 nm"):
        opened(truth, far, metrics="voi")
    half = write("h", LINE, translation=(0, 0, 4))
    with pytest.raises(ValueError, match=r"h.zarr has no voxel in the region from \[0, 0, 0\] of size \[1, 1, 4\]"):
        opened(truth, half, metrics="voi", region=((0, 0, 0), (1, 1, 4)))


def test_numbers_need_a_prediction_everywhere(write):
    truth = write("t", LINE.astype(np.float32))
    half = write("p", LINE.astype(np.float32), translation=(0, 0, 4))
    with pytest.raises(ValueError, match=r"covers 50.0% of the truth .*t.zarr; numbers need a prediction for every"):
        opened(truth, half, metrics="mae")
    assert opened(truth, half, metrics="mae", region=((0, 0, 4), (1, 1, 8))).covered(0) == 1


def test_a_region_must_lie_in_the_truth(write):
    truth = write("t", LINE)
    with pytest.raises(ValueError, match=r"got \[0, 0, 4\] to \[1, 1, 9\]; expected a box with voxels inside"):
        opened(truth, truth, metrics="voi", region=((0, 0, 4), (1, 1, 9)))


def test_different_units_are_an_error(write):
    truth, other = write("t", LINE, unit="nm"), write("p", LINE, unit="um", translation=(0, 0, 1))
    with pytest.raises(ValueError, match=r"p.zarr is in um, .*t.zarr in nm"):
        opened(truth, other, metrics="voi")


def test_faults_of_all_cases_come_at_once(write):
    good, floats = write("t", LINE), write("f", LINE.astype(np.float32))
    cases = [Case("a", good, ("nowhere.zarr",)), Case("b", good, (floats,)), Case("c", good, (good,))]
    with pytest.raises(ValueError, match=r"nowhere.zarr does not exist.*\n.*f.zarr holds float32"):
        open_cases(cases, ReadOptions("instance"))
