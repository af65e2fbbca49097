"""Sums over parts and crops, and the numbers that follow, against scikit-image and by hand."""

import math

import numpy as np
import pytest
from skimage.metrics import adapted_rand_error
from skimage.metrics import variation_of_information as skimage_voi
from tests.workflows.evaluation_stores import blocky

from scripts.metrics import CalibrationError, Contingency
from scripts.workflows.evaluation.measures import parse_measures
from scripts.workflows.evaluation.tally import N_WORST, Tally, class_ids, foreground_counts, numbers
from scripts.workflows.evaluation.whole import SurfaceScores


def tally(prediction, truth, **options):
    return Tally(np.size(truth), Contingency.of(np.asarray(prediction), np.asarray(truth)), **options)


def value(tallies, kind, name, **options):
    found, remarks = numbers(tallies, kind, parse_measures([name]), **options)
    return found, remarks


def test_crops_are_pooled_as_if_they_were_one_volume_whose_objects_keep_apart():
    """The same ids in both crops; side by side with other ids, scikit-image sees one volume."""
    crops = [(blocky(seed), blocky(seed + 10)) for seed in (1, 2)]
    tallies = [tally(*crop) for crop in crops]
    found, _ = numbers(tallies, "instance", parse_measures(["voi", "rand"]))
    prediction, truth = (
        np.concatenate([np.where(crops[n][side], crops[n][side].astype(int) + 100 * n, 0) for n in (0, 1)])
        for side in (0, 1)
    )
    split, merge = skimage_voi(truth, prediction, ignore_labels=(0,))
    assert (found["voi_split"], found["voi_merge"]) == pytest.approx((split, merge))
    assert found["voi"] == pytest.approx(split + merge)
    assert found["rand_error"] == pytest.approx(adapted_rand_error(truth, prediction, ignore_labels=(0,))[0])


def test_objects_of_several_crops_are_counted_together():
    """3 of 4 true objects are found as they are, and of 4 predicted ones 1 is false: F1 6/8, PQ the same."""
    first = tally([1, 1, 2, 0, 3], [5, 5, 6, 0, 0])
    second = tally([1, 0, 0], [5, 0, 6])
    found, _ = numbers([first, second], "instance", parse_measures(["f1", "pq", "ap@0.5", "ap"]))
    assert found["f1@0.5"] == found["pq@0.5"] == pytest.approx(6 / 8)
    assert found["ap@0.5"] == found["ap"] == pytest.approx(3 / 5)
    assert (found["precision@0.5"], found["recall@0.5"], found["sq@0.5"]) == (3 / 4, 3 / 4, 1)


@pytest.mark.parametrize(("kind", "ids"), [("instance", (7, 9)), ("semantic", (1, 1))])
def test_dice_and_iou_are_of_foregrounds(kind, ids):
    a, b = ids
    one = tally([0, a, a, a], [0, b, b, 0])
    assert value([one], kind, "dice")[0] == {"dice": 2 * 2 / (3 + 2)}
    assert value([one, one], kind, "iou")[0] == {"iou": 2 / 3}
    counts = foreground_counts(one.table)
    assert (counts.true_positives, counts.false_positives, counts.false_negatives) == (2, 1, 0)


def test_classes_have_numbers_of_their_own_and_a_mean_over_those_that_occur():
    one = tally([1, 1, 2, 0], [1, 2, 2, 0])
    assert class_ids([one, tally([0], [5])]) == [1, 2, 5]
    assert value([one], "classes", "dice", class_id=1)[0]["dice"] == pytest.approx(2 / 3)
    assert value([one], "classes", "iou", class_id=2)[0]["iou"] == 1 / 2
    assert value([one], "classes", "dice", class_id=9)[0]["dice"] == 1  # empty on both sides
    assert value([one], "classes", "iou")[0]["iou"] == pytest.approx((1 / 2 + 1 / 2) / 2)
    mixed = tally([1, 1, 2, 3, 0], [1, 2, 2, 3, 0])
    assert value([mixed], "classes", "iou")[0]["iou"] == pytest.approx((1 / 2 + 1 / 2 + 1) / 3)
    assert value([mixed], "classes", "iou", among=[2, 3, 9])[0]["iou"] == pytest.approx((1 / 2 + 1) / 2)


def test_empty_everywhere_is_perfect():
    found, remarks = numbers(
        [tally([0, 0], [0, 0])], "instance", parse_measures(["dice", "iou", "voi", "rand", "f1", "pq", "ap"])
    )
    assert remarks == []
    assert {name for name, number in found.items() if number != 1} == {"voi", "voi_split", "voi_merge", "rand_error"}
    assert found["voi"] == found["rand_error"] == 0


def test_where_no_truth_is_known_there_is_no_number():
    assert value([Tally(), Tally()], "instance", "voi") == ({}, ["the truth is unknown everywhere"])
    assert value([Tally(), tally([1], [1])], "semantic", "dice") == ({"dice": 1}, [])


def surfaces(average, near=(0, 0)):
    return tally([1], [1], surfaces={1: SurfaceScores(average, 2 * average, {None: near})})


def test_distances_are_means_over_crops_where_both_sides_have_a_surface():
    crops = [surfaces(1.0), surfaces(3.0), surfaces(math.inf), surfaces(math.nan)]
    found, remarks = numbers(crops, "semantic", parse_measures(["assd", "hausdorff95"]))
    assert found == {"assd": 2, "hausdorff95": 4}
    assert remarks[0] == "assd: without 1 of 4 crops, where only one side has a surface"
    assert value(crops[2:], "semantic", "assd") == ({"assd": math.inf}, [])
    assert math.isnan(value(crops[3:], "semantic", "assd")[0]["assd"])


def test_surfaces_near_each_other_are_summed_over_crops():
    crops = [surfaces(1.0, (3, 4)), surfaces(1.0, (0, 4)), surfaces(math.nan, (0, 0))]
    assert value(crops, "semantic", "surface_dice")[0] == {"surface_dice": 3 / 8}
    assert math.isnan(value(crops[2:], "semantic", "surface_dice")[0]["surface_dice"])


def test_the_challenges_counts_are_pooled():
    """The numbers of the challenge's definition: F1 8/11 and 3.4/6 give 0.6420; voxels 4 of 8 give 0.5."""
    counts = [
        {"tp": 3, "fp": 1, "fn": 1, "distance_sum": 2.4, "distance_count": 4},
        {"tp": 1, "fp": 0, "fn": 1, "distance_sum": 1.0, "distance_count": 2},
    ]
    found, _ = value([tally([1], [1], challenge=each) for each in counts], "instance", "cellmap")
    assert found["cellmap_f1"] == pytest.approx(8 / 11)
    assert found["cellmap_hausdorff"] == pytest.approx(3.4 / 6)
    assert found["cellmap"] == pytest.approx(0.6420, abs=5e-5)
    masks = [{"tp": 2, "fp": 0, "fn": 1}, {"tp": 2, "fp": 2, "fn": 1}]
    found, _ = value([tally([1], [1], challenge=each) for each in masks], "semantic", "cellmap")
    assert found == {"cellmap": 0.5}


def calibration(*pairs):
    import torch

    metric = CalibrationError()
    for probability, truth in pairs:
        metric.update(torch.full((1, 1, 1, 1, 1), probability), torch.full((1, 1, 1, 1, 1), float(truth)))
    return metric


def test_sums_of_metrics_are_merged_and_the_originals_stay():
    """0.9 and right, 0.9 and wrong: half are right, so the error is 0.4."""
    one = tally([1], [1], metrics={"ece": calibration((0.9, 1))})
    other = tally([1], [0], metrics={"ece": calibration((0.9, 0))})
    assert value([one, other], "semantic", "ece")[0]["ece"] == pytest.approx(0.4)
    assert value([one], "semantic", "ece")[0]["ece"] == pytest.approx(0.1)
    assert value([tally([1], [1])], "semantic", "ece")[0] == {}  # a prediction without probabilities


def test_parts_add_up_to_the_case_and_the_worst_blocks_are_kept():
    prediction, truth = blocky(3), blocky(4)
    whole, sum_of_parts = tally(prediction, truth), Tally()
    for n, z in enumerate(range(0, len(truth), 2)):
        part = tally(prediction[z : z + 2], truth[z : z + 2], worst=[(float(n % 4), (z, 0, 0))])
        part.metrics = {"ece": calibration((0.8, 1))}
        sum_of_parts.merge(part)
        sum_of_parts.merge(tally([1], [1], worst=[(float(n), (0, z, 0))]))
    assert sum_of_parts.voxels == whole.voxels + 6
    assert sum_of_parts.metrics["ece"].compute()["ece"] == pytest.approx(0.2)
    assert sum_of_parts.worst == [
        (5.0, (0, 10, 0)), (4.0, (0, 8, 0)), (3.0, (0, 6, 0)), (3.0, (6, 0, 0)), (2.0, (0, 4, 0)), (2.0, (4, 0, 0)),
    ]  # fmt: skip
    assert len(sum_of_parts.worst) == N_WORST


def test_what_is_measured_at_once_is_taken_over():
    total = tally([1], [1])
    total.merge(Tally(surfaces={1: SurfaceScores(1.0, 2.0)}))
    total.merge(Tally(challenge={"tp": 1}))
    total.merge(Tally())
    assert (total.surfaces[1].average, total.challenge) == (1.0, {"tp": 1})
