"""The sum over targets and levels, from the single losses."""

import pytest
import torch
from monai.data import MetaTensor

from scripts.losses import (
    LabelLoss,
    MaskedCosineLoss,
    MaskedRegressionLoss,
    MultiTaskLoss,
    NormalConsistencyLoss,
    level_weights,
)

NAN = float("nan")
TARGETS = {
    "sheet": {"channels": 1, "weight": 2.0},
    "normals": {"channels": 3, "kind": "normal", "weight": 0.5},
    "distance": {"channels": 1, "kind": "scalar"},
}


@pytest.fixture
def batch():
    torch.manual_seed(0)
    shape = (2, 1, 4, 4, 4)
    predictions = {name: torch.randn(2, row["channels"], 4, 4, 4, requires_grad=True) for name, row in TARGETS.items()}
    labels = {
        "sheet": torch.randint(-1, 2, shape).float(),
        "normals": torch.nn.functional.normalize(torch.randn(2, 3, 4, 4, 4), dim=1),
        "distance": torch.randn(shape),
    }
    return predictions, labels


def test_total_is_the_weighted_sum_and_terms_are_kept(batch):
    predictions, labels = batch
    loss = MultiTaskLoss(TARGETS)
    total = loss(predictions, labels)
    expected = {
        "sheet": LabelLoss(1)(predictions["sheet"], labels["sheet"]),
        "normals": MaskedCosineLoss()(predictions["normals"], labels["normals"]),
        "distance": MaskedRegressionLoss()(predictions["distance"], labels["distance"]),
    }
    torch.testing.assert_close(total, 2 * expected["sheet"] + 0.5 * expected["normals"] + expected["distance"])
    assert list(loss.terms) == ["sheet", "normals", "distance", "total"]
    for name, term in expected.items():
        torch.testing.assert_close(loss.terms[name], term.detach())
    torch.testing.assert_close(loss.terms["total"], total.detach())
    assert not any(term.requires_grad for term in loss.terms.values())


TWICE = {"normals": {"channels": 3, "kind": "normal", "loss": [
    {"name": "masked_cosine", "weight": 2.0}, {"name": "normal_consistency", "weight": 0.1, "start_epoch": 3},
]}}  # fmt: skip


def test_several_losses_of_a_target_and_their_first_epochs(batch):
    predictions, labels = ({"normals": part["normals"]} for part in batch)
    cosine = MaskedCosineLoss()(predictions["normals"], labels["normals"])
    consistency = NormalConsistencyLoss()(predictions["normals"], labels["normals"])
    loss = MultiTaskLoss(TWICE)
    loss.set_epoch(2)
    torch.testing.assert_close(loss(predictions, labels), 2 * cosine)
    assert loss.terms["normals_normal_consistency"] == 0
    loss.set_epoch(3)
    torch.testing.assert_close(loss(predictions, labels), 2 * cosine + 0.1 * consistency)
    assert list(loss.terms) == ["normals", "normals_masked_cosine", "normals_normal_consistency", "total"]
    torch.testing.assert_close(loss.terms["normals_normal_consistency"], consistency.detach())


def test_a_target_that_has_not_begun_has_gradient_zero(batch):
    predictions, labels = ({"sheet": part["sheet"]} for part in batch)
    loss = MultiTaskLoss({"sheet": {"channels": 1, "loss": {"name": "bce", "start_epoch": 2}}})
    loss(predictions, labels).backward()
    assert torch.equal(predictions["sheet"].grad, torch.zeros_like(predictions["sheet"]))


def test_regularisers_measure_full_resolution_alone(batch):
    prediction, label = (part["normals"] for part in batch)
    levels = [prediction, prediction[..., ::2, ::2, ::2], prediction[..., :1, :1, :1]]
    loss = MultiTaskLoss(TWICE)
    loss.set_epoch(3)
    loss({"normals": levels}, {"normals": label})
    torch.testing.assert_close(
        loss.terms["normals_normal_consistency"], NormalConsistencyLoss()(prediction, label).detach()
    )
    assert loss.terms["normals_masked_cosine"] != MaskedCosineLoss()(prediction, label).detach()


@pytest.mark.parametrize(
    ("kind", "channels", "label", "left"),
    [
        ("scalar", 1, [0.0, 2.0, NAN, -1.0], [NAN, 2.0, NAN, -1.0]),
        ("label", 3, [0.0, 2.0, -1.0, 1.0], [-1.0, 2.0, -1.0, 1.0]),
    ],
)
def test_loss_only_on_label(kind, channels, label, left):
    torch.manual_seed(0)
    row = {"channels": channels, "kind": kind, "loss": "l1" if kind == "scalar" else "ce"}
    prediction = {"t": torch.randn(1, channels, 1, 1, 4)}
    truth, expected_truth = (torch.tensor(values).view(1, 1, 1, 1, 4) for values in (label, left))
    expected = MultiTaskLoss({"t": row})(prediction, {"t": expected_truth})
    given = MultiTaskLoss({"t": row | {"loss_only_on_label": True}})(prediction, {"t": truth})
    torch.testing.assert_close(given, expected)
    assert abs(float(given - MultiTaskLoss({"t": row})(prediction, {"t": truth}))) > 1e-3


def test_balanced_class_weights_come_from_counts(batch):
    predictions, labels = ({"sheet": part["sheet"]} for part in batch)
    row = {"channels": 1, "loss": "bce"}
    loss = MultiTaskLoss({"sheet": row | {"class_weights": "balanced"}}, class_voxels={"sheet": [300, 100]})
    expected = MultiTaskLoss({"sheet": row | {"class_weights": [3.0]}})(predictions, labels)
    torch.testing.assert_close(loss(predictions, labels), expected)
    with pytest.raises(ValueError, match=r"targets: sheet: class_weights 'balanced' needs .* it holds nothing"):
        MultiTaskLoss({"sheet": row | {"class_weights": "balanced"}})


def test_unknown_target_adds_exactly_nothing(batch):
    predictions, labels = batch
    loss = MultiTaskLoss(TARGETS)
    loss(predictions, labels)
    known = loss.terms
    for name, value in (("sheet", -1.0), ("normals", NAN), ("distance", NAN)):
        total = loss(predictions, labels | {name: torch.full_like(labels[name], value)})
        assert loss.terms[name].item() == 0
        others = sum(TARGETS[other].get("weight", 1) * known[other] for other in TARGETS if other != name)
        torch.testing.assert_close(total.detach(), others)
        total.backward()
        assert torch.equal(predictions[name].grad, torch.zeros_like(predictions[name]))
        for prediction in predictions.values():
            assert torch.isfinite(prediction.grad).all()
            prediction.grad = None


def test_nnunets_level_weights():
    assert level_weights(5) == pytest.approx([8 / 15, 4 / 15, 2 / 15, 1 / 15, 0])
    assert level_weights(2) == [1, 0]
    assert level_weights(1) == [1]


def test_levels_are_compared_with_the_sampled_label():
    # 1D in disguise: the voxels under each voxel of the lower level hold one value, so that any of them may be taken.
    targets = {"distance": {"channels": 1, "kind": "scalar", "loss": "l1"}}
    label = torch.tensor([1.0, 1, 2, 2, NAN, NAN, 4, 4]).reshape(1, 1, 8, 1).expand(1, 1, 8, 2)
    levels = [torch.zeros(1, 1, 8, 2), torch.zeros(1, 1, 4, 1), torch.zeros(1, 1, 2, 1)]
    for level in levels:
        level.requires_grad_()
    loss = MultiTaskLoss(targets)
    total = loss({"distance": levels}, {"distance": label})
    # full: mean of 1 1 2 2 4 4; half: mean of 1 2 4; the lowest does not count
    assert total.item() == pytest.approx(2 / 3 * 14 / 6 + 1 / 3 * 7 / 3)
    total.backward()
    assert torch.count_nonzero(levels[1].grad) == 3
    assert torch.equal(levels[2].grad, torch.zeros(1, 1, 2, 1))  # no gradient, yet part of the graph

    last_too = MultiTaskLoss(targets, deep_supervision_weights=[1, 0.5, 0.25])
    value = last_too({"distance": levels}, {"distance": label}).item()
    # voxel centres at the lowest level: indices 2 and 6 -> 2 and 4
    assert value == pytest.approx(14 / 6 + 0.5 * 7 / 3 + 0.25 * 3)


def test_lower_levels_keep_classes_and_unknown_voxels():
    torch.manual_seed(0)
    label = torch.tensor([0.0, 0, 2, 2, -1, -1]).reshape(1, 1, 6, 1).expand(1, 1, 6, 2)
    levels = [torch.randn(1, 3, 6, 2), torch.randn(1, 3, 3, 1)]
    low = torch.tensor([0.0, 2, -1]).reshape(1, 1, 3, 1)
    total = MultiTaskLoss({"t": {"channels": 3}}, [0.6, 0.4])({"t": levels}, {"t": label.long()})
    loss = LabelLoss(3)
    torch.testing.assert_close(total, 0.6 * loss(levels[0], label) + 0.4 * loss(levels[1], low))


def test_loss_and_options_of_the_table_are_used(batch):
    predictions, labels = batch
    targets = TARGETS | {
        "sheet": {"channels": 1, "loss": "bce", "label_smoothing": 0.2},
        "distance": {"channels": 1, "kind": "scalar", "loss": lambda p, y: ((p - y) ** 4).mean()},
    }
    loss = MultiTaskLoss(targets)
    loss(predictions, labels)
    expected = LabelLoss(1, dice=0, label_smoothing=0.2)(predictions["sheet"], labels["sheet"])
    torch.testing.assert_close(loss.terms["sheet"], expected.detach())
    quartic = ((predictions["distance"] - labels["distance"]) ** 4).mean()
    torch.testing.assert_close(loss.terms["distance"], quartic.detach())


def test_metatensors_give_the_same_plain_number(batch):
    predictions, labels = batch
    expected = MultiTaskLoss(TARGETS)(predictions, labels)
    total = MultiTaskLoss(TARGETS)(
        {name: MetaTensor(value) for name, value in predictions.items()},
        {name: MetaTensor(value) for name, value in labels.items()},
    )
    assert type(total) is torch.Tensor
    torch.testing.assert_close(total, expected)


def test_weights_of_classes_follow_the_module():
    loss = MultiTaskLoss({"type": {"channels": 2, "class_weights": [1.0, 2.0]}}).double()
    assert [buffer.dtype for buffer in loss.buffers()] == [torch.float64]


@pytest.mark.parametrize(
    ("drop", "message"),
    [
        (
            "predictions",
            r"without prediction: \['sheet'\]; without label: none; predictions have \['normals', 'distance'\]",
        ),
        ("labels", r"without label: \['sheet'\]; .*labels have \['normals', 'distance'\]"),
    ],
)
def test_missing_keys_are_named(batch, drop, message):
    predictions, labels = batch
    (predictions if drop == "predictions" else labels).pop("sheet")
    with pytest.raises(ValueError, match=message):
        MultiTaskLoss(TARGETS)(predictions, labels)


def test_bad_construction():
    with pytest.raises(ValueError, match=r"targets: a: .*'ce' .*\ntargets: b: unknown loss 'l3'"):
        MultiTaskLoss({"a": {"channels": 1, "loss": "ce"}, "b": {"channels": 1, "kind": "scalar", "loss": "l3"}})
    with pytest.raises(ValueError, match="'total' is the name of the sum"):
        MultiTaskLoss({"total": {"channels": 1}})


def test_number_of_level_weights_is_checked():
    levels = [torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 2, 2)]
    loss = MultiTaskLoss({"a": {"channels": 1}}, deep_supervision_weights=[1, 1, 1])
    with pytest.raises(ValueError, match=r"'a' has 2 levels .* has 3 entries"):
        loss({"a": levels}, {"a": torch.zeros(1, 1, 4, 4)})
