"""Names, defaults and faults."""

import pytest
import torch

from scripts.geometry import Activation, Kind, Target
from scripts.losses import LOSS_NAMES, LabelLoss, MaskedCosineLoss, default_loss, loss_faults, make_loss


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (Target("t", 1), "dice_bce"),
        (Target("t", 3), "dice_ce"),
        (Target("t", 3, activation=Activation.SIGMOID), "dice_bce"),
        (Target("t", 1, Kind.SCALAR), "smooth_l1"),
        (Target("t", 3, Kind.VECTOR), "l1"),
        (Target("t", 3, Kind.NORMAL), "masked_cosine"),
        (Target("t", 5, Kind.POINTS), "mse"),
    ],
)
def test_default_by_kind(target, name):
    assert default_loss(target) == name


LOGITS = torch.tensor([[2.0, -1.0, 0.5, 0.0], [0.0, 1.0, 3.0, 0.0], [1.0, 1.0, -1.0, 0.0]])[None]  # 1 C X
CLASSES = torch.tensor([[[0.0, 2.0, 1.0, -1.0]]])
VECTORS = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 3.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])[None]
EQUAL = {
    "dice_bce": (
        LabelLoss(3, independent=True),
        Target("t", 3, activation=Activation.SIGMOID, loss="dice_bce"),
        CLASSES,
    ),
    "dice_ce": (LabelLoss(3), Target("t", 3, loss="dice_ce"), CLASSES),
    "bce": (
        LabelLoss(3, dice=0, independent=True),
        Target("t", 3, activation=Activation.SIGMOID, loss="bce"),
        CLASSES,
    ),
    "ce": (LabelLoss(3, dice=0), Target("t", 3, loss="ce"), CLASSES),
    "dice": (LabelLoss(3, cross_entropy=0), Target("t", 3, loss="dice"), CLASSES),
    "smooth_l1": (torch.nn.SmoothL1Loss(), Target("t", 3, Kind.VECTOR, loss="smooth_l1"), VECTORS),
    "l1": (torch.nn.L1Loss(), Target("t", 3, Kind.SCALAR, loss="l1"), VECTORS),
    "mse": (torch.nn.MSELoss(), Target("t", 3, Kind.VECTOR, loss="mse"), VECTORS),
    "masked_cosine": (MaskedCosineLoss(), Target("t", 3, Kind.VECTOR, loss="masked_cosine"), VECTORS),
}


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_every_name_builds_its_loss(name):
    expected, target, label = EQUAL[name]
    torch.testing.assert_close(make_loss(target)(LOGITS, label), expected(LOGITS, label))


def test_smoothing_and_weights_reach_the_loss():
    target = Target("t", 3, label_smoothing=0.2, class_weights=(1.0, 2.0, 3.0))
    expected = LabelLoss(3, label_smoothing=0.2, class_weights=[1.0, 2.0, 3.0])(LOGITS, CLASSES)
    torch.testing.assert_close(make_loss(target)(LOGITS, CLASSES), expected)
    assert abs(expected.item() - LabelLoss(3)(LOGITS, CLASSES).item()) > 1e-3


def test_a_callable_is_used_as_it_is():
    loss = MaskedCosineLoss(sign_invariant=True)
    assert make_loss(Target("t", 3, Kind.NORMAL, loss=loss)) is loss


FAULTS = [
    pytest.param(
        {"loss": "dice_cee", "channels": 3}, r"unknown loss 'dice_cee' \(did you mean 'dice_ce'\?\)", id="typo"
    ),
    pytest.param(
        {"loss": "dice_ce", "channels": 1},
        r"loss 'dice_ce' needs a label with at least 2 channels.*a label with 1 channel.*fit: dice_bce, bce",
        id="channels",
    ),
    pytest.param({"loss": "dice_bce", "channels": 3}, "needs a label with 1 channel, or with activation", id="softmax"),
    pytest.param(
        {"loss": "dice", "channels": 1, "kind": "scalar"},
        "loss 'dice' needs a label, but this is a scalar with 1 channel; losses that fit: smooth_l1, l1, mse",
        id="label loss on scalar",
    ),
    pytest.param(
        {"loss": "l1", "channels": 1}, "needs kind scalar, vector, normal or points", id="scalar loss on label"
    ),
    pytest.param(
        {"loss": "masked_cosine", "channels": 1, "kind": "scalar"}, "needs kind normal or vector", id="cosine"
    ),
    pytest.param({"loss": "dice", "channels": 1, "label_smoothing": 0.1}, "'label_smoothing' act on", id="no entropy"),
    pytest.param({"loss": 3, "channels": 1}, r"must be a name or a callable .*got 3", id="type"),
    pytest.param(
        {"loss": LabelLoss(1), "channels": 1, "class_weights": [2.0]}, "set 'class_weights' in the loss", id="callable"
    ),
]


@pytest.mark.parametrize(("options", "message"), FAULTS)
def test_faults(options, message):
    with pytest.raises(ValueError, match=f"targets: sheet: .*{message}"):
        make_loss(Target("sheet", **({"kind": Kind.LABEL} | options)))


def test_all_faults_at_once():
    faults = loss_faults(
        {
            "a": {"channels": 1, "loss": "ce"},
            "good": {"channels": 1},
            "b": {"channels": 3, "kind": "normal", "loss": "cosine"},
        }
    )
    assert [fault.split(": loss")[0].split(": unknown")[0] for fault in faults] == ["targets: a", "targets: b"]
    assert "did you mean 'masked_cosine'" in faults[1]
