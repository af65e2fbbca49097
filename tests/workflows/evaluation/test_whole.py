"""What needs a whole crop: surface distances, and counts of the CellMap challenge through stores."""

import math

import numpy as np
import pytest
from tests.workflows.evaluation_stores import PROBABILITY, blocky, opened, store

from scripts.metrics import cellmap_instance_counts, cellmap_semantic_counts
from scripts.workflows.evaluation.measures import parse_measures
from scripts.workflows.evaluation.whole import challenge_counts, check_memory, measure_surfaces
from scripts.workflows.submissions.grid import to_truth_grid

SHAPE = (9, 10, 11)


@pytest.fixture
def write(tmp_path):
    def write_one(name, array, **options):
        return store(tmp_path / f"{name}.zarr", array, **options)

    return write_one


def boxes(*corners, shape=(8, 8, 8), dtype=np.uint16):
    """An object of 3 x 3 x 3 voxels at each corner, numbered from 1."""
    array = np.zeros(shape, dtype)
    for n, (z, y, x) in enumerate(corners, start=1):
        array[z : z + 3, y : y + 3, x : x + 3] = n
    return array


def challenge(case, strict=True):
    (counts,) = challenge_counts(case, strict)
    return counts


def test_a_prediction_that_is_the_truth(write):
    truth = write("t", boxes((0, 0, 0), (4, 4, 4)))
    assert challenge(opened(truth, truth, metrics="cellmap", label="nuc")) == {
        "tp": 2, "fp": 0, "fn": 0, "distance_sum": 2.0, "distance_count": 2,
    }  # fmt: skip


def test_an_object_that_is_shifted_by_a_voxel(write):
    """The distance is 1 nm, the diagonal of a voxel of 2 x 1 x 1 nm sqrt 6 nm."""
    truth = write("t", boxes((2, 2, 2)), spacing=(2, 1, 1))
    prediction = write("p", boxes((2, 2, 3)), spacing=(2, 1, 1))
    counts = challenge(opened(truth, prediction, metrics="cellmap", label="nuc"))
    assert counts["tp"] == 1
    assert counts["distance_sum"] == pytest.approx(1.01 ** (-1 / math.sqrt(6)), abs=1e-12)


def test_objects_without_prediction_are_at_the_cap(write):
    """The shortest side is 8 x 1 nm; half of it is 4 nm."""
    truth = write("t", boxes((0, 0, 0), (4, 4, 4)), spacing=(2, 1, 1))
    empty = write("p", boxes(), spacing=(2, 1, 1))
    counts = challenge(opened(truth, empty, metrics="cellmap", label="nuc"))
    assert (counts["tp"], counts["fn"], counts["distance_count"]) == (0, 2, 2)
    assert counts["distance_sum"] == pytest.approx(2 * 1.01 ** (-4 / math.sqrt(6)))


@pytest.mark.parametrize(("label", "expected"), [("nuc", 2), ("er", 54)])
def test_a_class_that_is_missing_counts_as_false(write, label, expected):
    truth = write("t", boxes((0, 0, 0), (4, 4, 4)))
    (counts,) = challenge_counts(opened(truth, None, metrics="cellmap", label=label), True)
    assert (counts["tp"], counts["fp"], counts["fn"]) == (0, 0, expected)
    assert counts.get("distance_sum", 0) == 0


def test_a_crop_in_pieces_is_all_false_or_left_out(write):
    truth, pieces = np.zeros((16, 16, 16), np.uint8), np.zeros((16, 16, 16), np.uint8)
    truth[:8, :8, :8] = 1
    pieces[::2, ::2, ::2] = 1  # 512 components; one true object allows 10 + 50 exp(-1 / 5) = 50.9
    case = opened(write("t", truth), write("p", pieces), metrics="cellmap", label="nuc")
    assert (challenge(case)["fp"], challenge(case)["fn"]) == (512, 1)
    assert challenge(case, strict=False)["distance_count"] == 0


def test_unknown_voxels_count_nowhere(write):
    truth = boxes((0, 0, 0), (4, 4, 4), dtype=np.int16)
    truth[4:] = -1
    prediction = boxes((0, 0, 0), (5, 0, 0))
    counts = challenge(opened(write("t", truth), write("p", prediction), metrics="cellmap", label="nuc"))
    assert (counts["tp"], counts["fp"], counts["fn"]) == (1, 0, 0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("label", ["nuc", "er"])
@pytest.mark.parametrize("spacing", [(4, 4, 4), (8, 4, 2), (6, 6, 6)])
def test_a_region_of_a_large_store_counts_as_the_rule_says_on_the_whole(write, seed, label, spacing):
    random = np.random.default_rng(seed)
    true, predicted = blocky(seed, SHAPE), blocky(seed + 50, (24, 25, 26))
    at, truth_at = random.uniform(-30, 0, 3).tolist(), random.uniform(0, 12, 3).tolist()
    truth = write("t", true, spacing=(4, 4, 4), translation=truth_at)
    prediction = write("p", predicted, spacing=spacing, translation=at)
    low, size = (1, 0, 2), (8, 9, 7)
    region = (low, tuple(a + n for a, n in zip(low, size, strict=True)))
    case = opened(truth, prediction, metrics="cellmap", region=region, label=label)
    on_grid = to_truth_grid(predicted, spacing, at, SHAPE, (4, 4, 4), truth_at, label == "nuc")
    inside = tuple(slice(a, b) for a, b in zip(*region, strict=True))
    if label == "nuc":
        assert challenge(case) == cellmap_instance_counts(on_grid[inside], true[inside], (4, 4, 4))
    else:
        assert challenge(case) == cellmap_semantic_counts(on_grid[inside], true[inside] != 0)


def test_voxels_of_the_same_size_are_read_around_the_region_only(write):
    truth = write("t", np.ones((4, 4, 4), np.uint8), translation=(40, 40, 40))
    prediction = write("p", np.ones((64, 64, 64), np.uint8), chunks=(8, 8, 8))
    case = opened(truth, prediction, metrics="cellmap", label="er")
    assert challenge(case) == {"tp": 64, "fp": 0, "fn": 0}
    assert case.predictions[0].base.decoded_bytes <= 8 * 8**3


def test_without_voxel_size_the_middles_are_laid_on_each_other(write, tmp_path):
    np.save(tmp_path / "p.npy", np.ones((2, 4, 10), np.uint8))
    case = opened(write("t", np.ones((4, 4, 4), np.uint8)), str(tmp_path / "p.npy"), metrics="cellmap")
    assert challenge(case) == {"tp": 2 * 4 * 4, "fp": 0, "fn": 2 * 4 * 4}
    assert case.labels_of(0, case.predicted_values(0, (0, 0, 0), (4, 4, 4)))[:, 0, 0].tolist() == [0, 1, 1, 0]
    assert case.covered(0) == 1 / 2


def test_probabilities_of_masks_count_above_one_half(write):
    truth = write("t", np.ones((1, 1, 4), np.uint8))
    stored = write("p", np.array([0, 127, 128, 255], np.uint8).reshape(1, 1, 4), encoding=PROBABILITY)
    case = opened(truth, stored, metrics="cellmap", threshold=0.9, label="er")
    assert challenge(case) == {"tp": 2, "fp": 0, "fn": 2}


def test_micrometres_are_nanometres_for_the_challenge(write):
    found = []
    for unit, factor in (("nm", 1), ("um", 0.001)):
        spacing = tuple(factor * s for s in (3, 2, 1))
        truth = write(f"t{unit}", boxes((2, 2, 2)), spacing=spacing, unit=unit)
        prediction = write(f"p{unit}", boxes((2, 3, 3)), spacing=spacing, unit=unit)
        found.append(challenge(opened(truth, prediction, metrics="cellmap", label="nuc"))["distance_sum"])
    assert found[0] == pytest.approx(found[1])


def slab(first, shape=(6, 6, 12)):
    array = np.zeros(shape, np.uint8)
    array[..., first:] = 1
    return array


def test_surfaces_of_two_planes_are_as_far_apart_as_they_are(write):
    """Everything from x = 4 on against everything from x = 7 on; voxels of 2 nm along x, so 6 nm everywhere."""
    truth, prediction = write("t", slab(4), spacing=(5, 3, 2)), write("p", slab(7), spacing=(5, 3, 2))
    measures = parse_measures(["assd", "hausdorff95", "surface_dice@5.9", "surface_dice@6"])
    ((surfaces,),) = [found.values() for found in measure_surfaces(opened(truth, prediction), measures)]
    assert (surfaces.average, surfaces.hausdorff95) == (6, 6)
    assert surfaces.near == {5.9: (0, 72), 6.0: (72, 72)}


def test_each_class_has_its_surface(write):
    truth, prediction = slab(4) + slab(8), slab(4) + slab(9)
    case = opened(write("t", truth), write("p", prediction), kind="classes", metrics="assd")
    (found,) = measure_surfaces(case, parse_measures(["assd"]))
    assert sorted(found) == [1, 2]
    assert found[2].average == 1
    assert found[1].average == pytest.approx((0 + 0 + 1 + 1) / 4)  # two planes on each side: at 4, and at 7 or 8


def test_what_does_not_fit_into_memory_is_refused_with_advice(write):
    truth = write("t", np.ones((4, 4, 4), np.uint8))
    big = write("p", np.ones((30, 30, 30), np.uint8), spacing=(0.5, 0.5, 0.5))
    case = opened(truth, big)
    check_memory(case, parse_measures(["assd"]), 64 * 64)
    check_memory(case, parse_measures(["dice"]), 1)
    with pytest.raises(ValueError, match=r"assd, hausdorff95 need a whole crop .* \[4, 4, 4\] voxels, about 4,096"):
        check_memory(case, parse_measures(["dice", "assd", "hausdorff95"]), 4095)
    with pytest.raises(ValueError, match=r"cellmap need .* \[30, 30, 30\] voxels.* --region, a coarser level"):
        check_memory(opened(truth, big, metrics="cellmap"), parse_measures(["cellmap"]), 1e6)
