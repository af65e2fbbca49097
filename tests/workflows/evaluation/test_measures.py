"""Names of metrics: what they stand for, and what is wrong with them."""

import pytest

from scripts.workflows.evaluation.measures import (
    KINDS,
    MEASURE_NAMES,
    Measure,
    column_table,
    default_measures,
    measures_of,
    parse_measures,
)


def test_a_name_gives_its_columns_with_the_number_behind_it():
    measures = parse_measures(["voi", "f1@0.75", "ap", "ap@0.5", "surface_dice@0", "surface_dice"])
    assert list(column_table(measures)) == [
        "voi", "voi_split", "voi_merge", "f1@0.75", "precision@0.75", "recall@0.75", "ap", "ap@0.5", "surface_dice@0",
        "surface_dice",
    ]  # fmt: skip


def test_a_metric_comes_once_and_in_the_given_order():
    assert parse_measures(["iou", "f1", "f1@0.5", "dice", "iou"]) == [
        Measure("iou"), Measure("f1", 0.5), Measure("dice"),
    ]  # fmt: skip


def test_targets_call_a_metric_by_another_name():
    assert parse_measures(["surface_distance"]) == parse_measures(["assd"]) == [Measure("assd")]


def test_every_metric_says_what_its_numbers_mean_and_fits_a_kind():
    columns = column_table(parse_measures(MEASURE_NAMES))
    assert all(column.meaning.endswith(".") for column in columns.values())
    assert {name for name, column in columns.items() if column.lower_is_better} == {
        "voi", "voi_split", "voi_merge", "rand_error", "assd", "hausdorff95", "ece", "mae", "epe", "angle",
    }  # fmt: skip
    assert {kind for measure in parse_measures(MEASURE_NAMES) for kind in measure.kinds} == set(KINDS)


def test_defaults_fit_their_kind_and_come_once():
    for kind in KINDS:
        assert all(kind in measure.kinds for measure in default_measures([kind]))
    assert [measure.name for measure in default_measures(["semantic", "instance", "semantic"])] == [
        "dice", "iou", "voi", "rand", "f1@0.5", "pq@0.5",
    ]  # fmt: skip


def test_only_some_metrics_fit_a_kind():
    measures = parse_measures(["dice", "voi", "mae", "cellmap"])
    assert [measure.name for measure in measures_of("instance", measures)] == ["dice", "voi", "cellmap"]
    assert [measure.name for measure in measures_of("classes", measures)] == ["dice"]
    assert [measure.name for measure in measures_of("scalar", measures)] == ["mae"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["vio"], r"unknown metric 'vio' \(did you mean 'voi'\?\); metrics are: dice, iou, voi"),
        (["dice@2"], r"metric 'dice@2': 'dice' takes no number behind '@'"),
        (["f1@1.5"], r"metric 'f1@1.5': expected the least IoU of a pair, above 0 and at most 1 behind '@', got '1.5'"),
        (["f1@0"], r"metric 'f1@0': expected .* got '0'"),
        (["ap@x"], r"metric 'ap@x': expected .* got 'x'"),
        (["surface_dice@-1"], r"expected the tolerance, a length of at least 0 .* got '-1'"),
        (["surface_dice@nan"], r"got 'nan'"),
        ([], r"metrics: got none; expected some of dice, iou"),
    ],
)
def test_a_wrong_name_is_explained(names, message):
    with pytest.raises(ValueError, match=message):
        parse_measures(names)


def test_all_faults_come_at_once():
    with pytest.raises(ValueError, match=r"'dise'.*\n.*'pq@2'"):
        parse_measures(["dise", "dice", "pq@2"])
