"""All targets together: logits in, flat numbers and the score out."""

import math

import pytest
import torch
from monai.data import MetaTensor

from scripts.metrics import MultiTaskMetric

NAN = float("nan")


def _row(*values):
    return torch.tensor(values, dtype=torch.float32).reshape(1, 1, 1, 1, -1)


def _vectors(*vectors):
    return torch.tensor(vectors, dtype=torch.float32).T[None, :, None, None, :]  # N C -> 1 C 1 1 N


TARGETS = {
    "sheet": {"channels": 1, "weight": 3.0, "metric": "dice"},
    "normals": {"channels": 3, "kind": "normal"},
    "distance": {"channels": 1, "kind": "scalar"},
    "flow": {"channels": 3, "kind": "vector"},
    "heat": {"channels": 1, "kind": "points"},
}
PREDICTIONS = {
    "sheet": _row(5, 0.1, -0.1, -5),  # logits: foreground above 0
    "normals": _vectors([7, 0, 0], [0, 7, 0], [0, 0, 7], [7, 0, 0]),
    "distance": _row(1, 2, 3, 5),
    "flow": _vectors([1, 0, 0], [0, 3, 0], [0, 0, 0], [0, 0, 9]),
    "heat": _row(9, 0, 0, 0),
}
LABELS = {
    "sheet": _row(1, 0, 1, -1),
    "normals": _vectors([1, 0, 0], [0, 1, 1], [0, 1, 1], [0, 0, 0]),  # 0, 45 and 45 degrees
    "distance": _row(1, 2, 3, 4),
    "flow": _vectors([1, 0, 0], [0, 1, 0], [0, 0, 4], [NAN, NAN, NAN]),
    "heat": _row(0, 1, 0, 0),
}
EPE, LENGTH = (0 + 2 + 4) / 3, (1 + 1 + 4) / 3
SHARES = {
    "sheet": 2 * 1 / (2 + 2),
    "normals": 1 - 45 / 90,
    "distance": 1 - 1 / 5,  # squares: residual 1, deviation 2.25 + .25 + .25 + 2.25
    "flow": 1 / (1 + EPE / LENGTH),
    "heat": 1 / (1 + 1),  # highest at voxel 0, and in truth at 1
}


def _computed(targets=TARGETS, predictions=PREDICTIONS, labels=LABELS, **options):
    metric = MultiTaskMetric(targets, **options)
    metric.update(predictions, labels)
    return metric.compute()


def test_numbers_by_hand():
    numbers = _computed()
    assert numbers == {
        "sheet_dice": pytest.approx(0.5),
        "normals_angle": pytest.approx(45, abs=0.05),
        "distance_mae": pytest.approx(0.25),
        "distance_r2": pytest.approx(0.8),
        "flow_epe": pytest.approx(EPE),
        "heat_mre": pytest.approx(1),
        "heat_mre_std": pytest.approx(0),
        "heat_mre_not_found": pytest.approx(0),
        "score": pytest.approx((3 * SHARES["sheet"] + sum(SHARES[k] for k in SHARES if k != "sheet")) / 7, abs=1e-3),
    }
    assert list(numbers)[:4] == ["sheet_dice", "normals_angle", "distance_mae", "distance_r2"]


@pytest.mark.parametrize("name", TARGETS)
def test_share_of_each_target(name):
    assert _computed({name: TARGETS[name]})["score"] == pytest.approx(SHARES[name], abs=1e-3)


def test_score_does_not_depend_on_the_reported_metrics():
    numbers = _computed({"sheet": {"channels": 1, "metric": ["surface_distance"]}})
    assert list(numbers) == ["sheet_surface_distance", "sheet_surface_distance_skipped", "score"]
    assert numbers["score"] == pytest.approx(0.5)


def test_unknown_target_is_nan_and_left_out_of_the_score():
    for name in TARGETS:
        label = torch.full_like(LABELS[name], -1 if name == "sheet" else NAN)
        numbers = _computed(labels=LABELS | {name: label})
        unknown = [value for key, value in numbers.items() if key.startswith(name) and "not_found" not in key]
        assert all(math.isnan(value) for value in unknown)
        others = [key for key in TARGETS if key != name]
        weights = {key: TARGETS[key].get("weight", 1) for key in others}
        expected = sum(weights[key] * SHARES[key] for key in others) / sum(weights.values())
        assert numbers["score"] == pytest.approx(expected, abs=1e-3)


def test_nothing_known_has_no_score():
    assert math.isnan(_computed({"sheet": {"channels": 1}}, labels={"sheet": _row(-1, -1, -1, -1)})["score"])


def test_points_are_scored_in_voxels_and_those_not_found_count():
    points = torch.tensor([[[0.0, 0, 3], [0, 0, 1]]])  # B N 3
    peaks = torch.zeros(1, 2, 1, 1, 4)
    peaks[0, 0, ..., 1] = 1  # two voxels away, each 3 long; the other map is constant
    table = {"marks": {"channels": 2, "kind": "points"}}
    numbers = _computed(table, {"marks": peaks}, {"marks": points}, spacing=(3, 3, 3))
    assert numbers["marks_mre"] == pytest.approx(6)
    assert numbers["marks_mre_not_found"] == 1
    assert numbers["score"] == pytest.approx(0.5 / (1 + 2))
    nothing = _computed(table, {"marks": peaks * 0}, {"marks": points})
    assert nothing["score"] == 0
    beyond = _computed(table, {"marks": peaks}, {"marks": points + 9})
    assert math.isnan(beyond["score"])


def test_batches_add_up_and_reset_forgets():
    table = {name: row for name, row in TARGETS.items() if name != "heat"}  # half a heatmap has another maximum
    metric = MultiTaskMetric(table)
    halves = [
        [{name: value[..., part] for name, value in table.items()} for table in (PREDICTIONS, LABELS)]
        for part in (slice(0, 1), slice(1, None))
    ]
    for predictions, labels in halves:
        metric.update(predictions, labels)
    assert metric.compute() == pytest.approx(_computed(table))
    metric.reset()
    assert all(math.isnan(value) for value in metric.compute().values())


def test_classes_are_named():
    logits = torch.eye(3)[None, :, None]  # voxels of class 0, 1, 2: 1 C 1 X
    numbers = _computed({"organ": {"channels": 3}}, {"organ": logits}, {"organ": torch.tensor([[[[0.0, 1, 1]]]])})
    assert numbers == pytest.approx(
        {"organ_dice": 1 / 3, "organ_dice_class1": 2 / 3, "organ_dice_class2": 0, "score": 1 / 3}
    )


def test_spacing_reaches_the_surface_distance():
    prediction, label = torch.full((1, 1, 8, 4, 4), -9.0), torch.zeros(1, 1, 8, 4, 4)
    prediction[:, :, 2], label[:, :, 4] = 9, 1
    numbers = _computed({"a": {"channels": 1}}, {"a": prediction}, {"a": label}, spacing=(5, 1, 1))
    assert numbers["a_surface_distance"] == pytest.approx(10)


def test_lists_and_metatensors():
    predictions = {name: [MetaTensor(value), torch.zeros(1)] for name, value in PREDICTIONS.items()}
    labels = {name: MetaTensor(value) for name, value in LABELS.items()}
    numbers = _computed(predictions=predictions, labels=labels)
    assert numbers == pytest.approx(_computed())
    assert {type(value) for value in numbers.values()} == {float}


def test_bad_input():
    with pytest.raises(ValueError, match=r"unknown metric 'dce'.*\ntargets: b: metric 'dice' needs kind label"):
        MultiTaskMetric(
            {"a": {"channels": 1, "metric": "dce"}, "b": {"channels": 1, "kind": "scalar", "metric": "dice"}}
        )
    with pytest.raises(
        ValueError, match=r"without prediction or label: \['sheet', 'flow'\]; predictions have .*'heat'"
    ):
        _computed(
            predictions={k: v for k, v in PREDICTIONS.items() if k != "sheet"},
            labels={k: v for k, v in LABELS.items() if k != "flow"},
        )


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_what_two_processes_saw_merges_to_what_one_saw(cut):
    """Random batches of every kind, with unknown voxels, divided at any place; also an empty part."""
    torch.manual_seed(cut)
    targets = {**TARGETS, "sheet": {"channels": 1}, "parts": {"channels": 3}}
    batches = []
    for _ in range(3):
        predictions = {name: torch.randn(2, row["channels"], 4, 4, 4) for name, row in targets.items()}
        labels = {name: torch.randn(2, row["channels"], 4, 4, 4) + 3 for name, row in targets.items()}
        labels["sheet"], labels["parts"] = torch.randint(-1, 2, (2, 1, 4, 4, 4)), torch.randint(-1, 3, (2, 1, 4, 4, 4))
        labels["distance"][:, :, 0] = NAN
        batches.append((predictions, labels))
    whole, first, second = (MultiTaskMetric(targets) for _ in range(3))
    for i, batch in enumerate(batches):
        whole.update(*batch)
        (first if i < cut else second).update(*batch)
    first.merge(second)
    assert first.compute() == pytest.approx(whole.compute(), rel=1e-9)
