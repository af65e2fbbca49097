"""CellMap's counts of objects: the published numbers, brute force, and what must not matter."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from scripts.metrics import CELLMAP_INSTANCE_CLASSES, CELLMAP_VERSION, cellmap_instance_counts, match_objects


def _image(*boxes, shape=(20, 20)):
    """Boxes (id, y0, y1, x0, x1) in an image."""
    labels = np.zeros(shape, np.uint64)
    for name, y0, y1, x0, x1 in boxes:
        labels[y0:y1, x0:x1] = name
    return labels


A, B = (1, 2, 6, 2, 6), (2, 10, 16, 10, 16)
CAP = 1.01 ** (-10 / math.sqrt(2))  # of a crop of 20 x 20 voxels of size 1


def _counts(tp, fp, fn, distance_sum, distance_count):
    return pytest.approx(
        {"tp": tp, "fp": fp, "fn": fn, "distance_sum": distance_sum, "distance_count": distance_count}, rel=1e-7
    )


@pytest.mark.parametrize(
    ("pred", "truth", "expected"),
    [
        pytest.param(_image(A, B), _image(A, B), _counts(2, 0, 0, 2.0, 2), id="two objects, prediction identical"),
        pytest.param(
            _image((1, 2, 6, 3, 7)), _image(A), _counts(1, 0, 0, 0.9929887, 1), id="one object shifted by one voxel"
        ),
        pytest.param(
            _image(),
            _image(A, B),
            _counts(0, 0, 2, 2 * CAP, 2),
            id="prediction empty, two truth objects: both entries at the cap",
        ),
        pytest.param(_image(A, B), _image(), _counts(0, 2, 0, 2 * CAP, 2), id="truth empty, two predictions"),
        pytest.param(_image(), _image(), _counts(0, 0, 0, 0, 0), id="empty everywhere"),
    ],
)
def test_numbers_of_the_definition(pred, truth, expected):
    assert cellmap_instance_counts(pred, truth, (1, 1)) == expected


def test_ids_1_and_5_against_1_and_7():
    pred, truth = _image(A, (5, 10, 16, 11, 17)), _image(A, (7, 10, 16, 10, 16))
    matching = match_objects(pred, truth, threshold=1e-9)
    assert list(zip(matching.truth_ids, matching.prediction_ids, strict=True)) == [(1, 1), (7, 5)]
    assert cellmap_instance_counts(pred, truth, (1, 1)) == _counts(2, 0, 0, 1 + 0.9929887, 2)


def _brute_force(pred, truth, size):
    """Components id by id, a dense assignment, distance transforms of the whole array."""
    predicted = []
    for name in np.unique(pred[pred != 0]):
        labels, n = ndimage.label(pred == name, np.ones([3] * pred.ndim))
        predicted += [labels == i for i in range(1, n + 1)]
    true = [truth == name for name in np.unique(truth[truth != 0])]
    iou = np.array([[(p & t).sum() / (p | t).sum() for t in true] for p in predicted])
    rows, columns = linear_sum_assignment(np.where(iou > 0, iou + 1e-6, 0), maximize=True)
    pairs = [(predicted[r], true[c]) for r, c in zip(rows, columns, strict=True) if iou[r, c] > 0]
    cap = min(s * n / 2 for s, n in zip(size, truth.shape, strict=True))
    distances = [cap] * (len(predicted) + len(true) - 2 * len(pairs))
    for p, t in pairs:
        to_p, to_t = (ndimage.distance_transform_edt(~mask, sampling=size) for mask in (p, t))
        distances.append(min(cap, max(to_p[t].max(), to_t[p].max())))
    normalised = [1.01 ** (-d / np.linalg.norm(size)) for d in distances]
    return _counts(len(pairs), len(predicted) - len(pairs), len(true) - len(pairs), sum(normalised), len(normalised))


def _cells(seed, shape, count):
    """Neighbouring regions around random points, with gaps."""
    rng = np.random.default_rng(seed)
    points = rng.random((count, len(shape))) * shape
    voxels = np.indices(shape).reshape(len(shape), -1).T
    near = np.linalg.norm(voxels[:, None] - points, axis=-1)
    return np.where(near.min(1) < 4.5, near.argmin(1) + 1, 0).reshape(shape)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [(8.0, 8.0, 8.0), (40.0, 4.0, 6.0)], ids=["isotropic", "anisotropic"])
def test_equals_brute_force_on_the_whole_array(seed, size):
    truth = _cells(seed, (14, 18, 22), 25)
    pred = np.roll(truth, (1, 2, -1), (0, 1, 2))
    pred[pred % 5 == 0] += 1  # merged
    pred[:, :, 11] = 0  # cut
    assert cellmap_instance_counts(pred, truth, size) == _brute_force(pred, truth, size)


@pytest.mark.parametrize("seed", range(4))
def test_equals_brute_force_in_2d(seed):
    truth, pred = _cells(seed, (40, 50), 20), _cells(seed + 50, (40, 50), 20)
    assert cellmap_instance_counts(pred, truth, (3, 1)) == _brute_force(pred, truth, (3, 1))


def test_the_total_counts_not_the_best_pair():
    # 1-1 overlap most (4/9), but 1-2 and 2-1 together (3/7 + 2/6) more
    truth, pred = np.array([[1] * 6 + [2] * 3]), np.array([[2] * 2 + [1] * 7])
    counts = cellmap_instance_counts(pred, truth, (1, 1))
    assert (counts["tp"], counts["fp"], counts["fn"]) == (2, 0, 0)


@pytest.mark.parametrize(("n", "pairs"), [(150_000, 2), (100_000, 1)], ids=["within 1e-6", "beyond"])
def test_two_pairs_are_worth_1e_minus_6_more_than_one(n, pairs):
    # 1-1 has IoU 1/2; 1-2 and 2-1 have n / (4n + 1) each, together 1 / (8n + 2) less
    truth = np.repeat([[0, 1, 2]], [n + 1, 3 * n, 2 * n + 1], axis=1)
    pred = np.repeat([[2, 1, 0]], [2 * n + 1, 3 * n, n + 1], axis=1)
    assert cellmap_instance_counts(pred, truth, (1, 1))["tp"] == pairs


def test_components_touch_at_corners_and_different_ids_do_not():
    pred = _image((1, 2, 4, 2, 4), (1, 4, 6, 4, 6), (1, 10, 12, 10, 12), (2, 12, 14, 10, 12))
    assert cellmap_instance_counts(pred, _image(), (1, 1))["fp"] == 3


def test_a_far_match_is_capped():
    truth, pred = _image((1, 0, 1, 0, 1)), _image((1, 0, 1, 0, 20))
    assert cellmap_instance_counts(pred, truth, (1, 1)) == _counts(1, 0, 0, CAP, 1)
    assert cellmap_instance_counts(pred[:, :8], truth[:, :8], (4, 1)) == _counts(1, 0, 0, 1.01 ** (-4 / 17**0.5), 1)


def test_an_unmatched_prediction_is_not_the_truth_object_of_its_number():
    pred, truth = _image(A, (2, 0, 1, 15, 18)), _image(A, B)
    expected = _counts(1, 1, 1, 1 + 2 * CAP, 3)
    assert cellmap_instance_counts(pred, truth, (1, 1)) == expected
    swapped = np.array([0, 2, 1])[truth]
    assert cellmap_instance_counts(pred, swapped, (1, 1)) == expected


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 9999),
    names=st.permutations([1, 2, 3, 2**32 - 1, 2**32, 2**53, 2**53 + 1, 2**63, 2**64 - 1]),
    ids=st.integers(1, 9),
)
def test_renaming_either_side_changes_nothing(seed, names, ids):
    """To the last bit, also where several assignments are equally good, and for ids that floats would merge."""
    pred, truth = np.random.default_rng(seed).integers(0, ids + 1, (2, 4, 5))
    new = np.array([0, *names], np.uint64)
    expected = cellmap_instance_counts(pred, truth, (3, 1))
    assert cellmap_instance_counts(pred, new[truth], (3, 1)) == expected
    assert cellmap_instance_counts(new[pred], truth, (3, 1)) == expected


@settings(deadline=None)
@given(seed=st.integers(0, 999), a=st.integers(1, 4), b=st.integers(1, 4))
def test_swapping_two_true_ids_changes_nothing(seed, a, b):
    pred, truth = np.random.default_rng(seed).integers(0, 5, (2, 4, 4, 3))
    swap = np.arange(5)
    swap[[a, b]] = b, a
    counts = cellmap_instance_counts(pred, truth, (4, 4, 4))
    assert cellmap_instance_counts(pred, swap[truth], (4, 4, 4)) == counts


def _scattered(n, shape=(40, 40)):
    """n single voxels that do not touch."""
    pred = np.zeros(shape, int)
    pred[2::2, 2::2].flat[:n] = 1
    return pred


@pytest.mark.parametrize(("n", "failed"), [(50, False), (51, True)], ids=["at most 50.9 times", "more"])
def test_a_crop_in_too_many_pieces_fails(n, failed):
    """One true object: at most 10 + 50 exp(-1 / 5) = 50.9 predictions per object."""
    truth, pred = np.zeros((40, 40), int), _scattered(n)
    truth[2, 2] = 9
    worst = 1.01 ** (-20 / math.sqrt(2))
    counts, lenient = (cellmap_instance_counts(pred, truth, (1, 1), strict=strict) for strict in (True, False))
    if failed:
        assert counts == _counts(0, n, 1, (n + 1) * worst, n + 1)
        assert lenient == _counts(0, 0, 0, 0, 0)
    else:
        assert counts == lenient == _counts(1, n - 1, 0, 1 + (n - 1) * worst, n)


def test_many_pieces_without_truth_do_not_fail():
    assert cellmap_instance_counts(_scattered(200), _scattered(0), (1, 1), strict=False)["fp"] == 200


def test_unknown_voxels_are_background_on_both_sides():
    pred, truth = _image(A, B), _image(A, (7, 0, 20, 8, 9))
    known = np.ones((20, 20), bool)
    known[:, 8:] = False
    assert cellmap_instance_counts(pred, truth, (1, 1), known=known) == _counts(1, 0, 0, 1, 1)
    negative = np.where(known, truth.astype(int), -1)
    assert cellmap_instance_counts(pred, negative, (1, 1), known=known) == _counts(1, 0, 0, 1, 1)


def test_tensors_and_masks_are_labels():
    mask = _image(A, B) > 0
    assert cellmap_instance_counts(torch.from_numpy(mask), _image(A, B), (1, 1)) == _counts(2, 0, 0, 2, 2)


def test_hundreds_of_objects_in_one_component():
    """A chain in which every prediction overlaps two true objects: the assignment is global."""
    n = 600
    truth = np.repeat(np.arange(1, n + 1), 5)[None]
    pred = np.roll(truth, 2, axis=1)
    pred[:, :2] = 0
    assert cellmap_instance_counts(pred, truth, (1, 1))["tp"] == n


def test_names_of_version_and_classes():
    assert CELLMAP_VERSION == "2026-06"
    assert len(CELLMAP_INSTANCE_CLASSES) == 11


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.ones((4, 4)), np.ones((4, 4), int), (1, 1)), TypeError, "prediction has dtype float64"),
        ((np.ones((4, 4), int), np.ones((4, 4), np.float32), (1, 1)), TypeError, "truth has dtype float32"),
        ((np.ones((4, 4), int), np.ones((4, 5), int), (1, 1)), ValueError, r"shape \(4, 4\), but truth has \(4, 5\)"),
        ((np.ones((4, 4), int), np.ones((4, 4), int), None), ValueError, "voxel_size is missing"),
        ((np.ones((4, 4), int), np.ones((4, 4), int), (8, 0)), ValueError, r"voxel_size must be .* got \[8, 0\]"),
        ((np.ones((4, 4), int), np.ones((4, 4), int), (8, 8, 8)), ValueError, r"must be 2 numbers.* got \[8, 8, 8\]"),
        ((-np.ones((4, 4), int), np.ones((4, 4), int), (1, 1)), ValueError, "prediction holds the id -1"),
        ((np.ones((4, 4), int), -np.ones((4, 4), int), (1, 1)), ValueError, "truth holds the id -1"),
    ],
    ids=["float prediction", "float truth", "shapes", "no size", "size 0", "axes", "negative", "negative truth"],
)
def test_bad_input(arguments, error, message):
    with pytest.raises(error, match=message):
        cellmap_instance_counts(*arguments)
