"""Names, defaults and faults."""

import pytest
import torch

from scripts.geometry import Activation, Kind, Target
from scripts.landmarks import LearnedSigma
from scripts.losses import (
    LOSS_NAMES,
    AdaptiveWingLoss,
    EikonalLoss,
    LabelLoss,
    MaskedCosineLoss,
    NormalConsistencyLoss,
    PHDNetLoss,
    SigmaRegressionLoss,
    SoftArgmaxLoss,
    default_loss,
    loss_faults,
    make_losses,
)


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
POINTS = torch.tensor([[[3.0, 9.0, 12.5], [1.0, 2.0, 3.0], [float("nan")] * 3]])
MAPS = {"sigma_regression": torch.rand(1, 3, 4, 10, 14), "phdnet": torch.rand(1, 3 + 3 * 3, 1, 2, 2)}
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
    "focal": (LabelLoss(3, dice=0, focal_gamma=2.0), Target("t", 3, loss="focal"), CLASSES),
    "dice_focal": (LabelLoss(3, focal_gamma=2.0), Target("t", 3, loss="dice_focal"), CLASSES),
    "smooth_l1": (torch.nn.SmoothL1Loss(), Target("t", 3, Kind.VECTOR, loss="smooth_l1"), VECTORS),
    "l1": (torch.nn.L1Loss(), Target("t", 3, Kind.SCALAR, loss="l1"), VECTORS),
    "mse": (torch.nn.MSELoss(), Target("t", 3, Kind.VECTOR, loss="mse"), VECTORS),
    "masked_cosine": (MaskedCosineLoss(), Target("t", 3, Kind.VECTOR, loss="masked_cosine"), VECTORS),
    "adaptive_wing": (AdaptiveWingLoss(100.0), Target("t", 3, Kind.POINTS, loss="adaptive_wing"), VECTORS),
    "soft_argmax": (SoftArgmaxLoss(), Target("t", 3, Kind.POINTS, loss="soft_argmax"), VECTORS),
    "sigma_regression": (
        SigmaRegressionLoss(LearnedSigma(3)),
        Target("t", 3, Kind.POINTS, loss="sigma_regression"),
        POINTS,
    ),
    "phdnet": (PHDNetLoss(), Target("t", 3, Kind.POINTS, loss="phdnet"), POINTS),
    "normal_consistency": (
        NormalConsistencyLoss(),
        Target("t", 3, Kind.NORMAL, loss=["normal_consistency", "masked_cosine"]),
        VECTORS,
    ),
    "eikonal": (
        EikonalLoss((1.0, 1.0, 1.0)),
        Target("t", 3, Kind.SCALAR, loss=["eikonal", "l1"]),
        VECTORS,
    ),
}


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_every_name_builds_its_loss(name):
    expected, target, label = EQUAL[name]
    prediction = MAPS.get(name, LOGITS)
    torch.testing.assert_close(make_losses(target)[0].loss(prediction, label), expected(prediction, label))


PHDNET = {
    "branch_scheme": "heatmap",
    "patch_size": [4, 8, 8],
    "class_scheme": "binary",
    "class_sigma": 2.0,
    "amplitude": 3.0,
    "weigh_by_class": False,
    "log_transform": False,
    "clamp_distance": 2.0,
    "displacement_weight": 4.0,
}


@pytest.mark.parametrize("option", PHDNET)
def test_options_reach_the_loss_of_phdnet(option):
    (part,) = make_losses(Target("t", 3, Kind.POINTS, loss={"name": "phdnet", option: PHDNET[option]}))
    packed = MAPS["phdnet"][:, :3] if option == "branch_scheme" else MAPS["phdnet"]
    found = part.loss(packed, POINTS)
    torch.testing.assert_close(found, PHDNetLoss(**{option: PHDNET[option]})(packed, POINTS))
    assert abs(float(found - PHDNetLoss()(MAPS["phdnet"], POINTS))) > 1e-3


def test_smoothing_and_weights_reach_the_loss():
    target = Target("t", 3, label_smoothing=0.2, class_weights=(1.0, 2.0, 3.0))
    expected = LabelLoss(3, label_smoothing=0.2, class_weights=[1.0, 2.0, 3.0])(LOGITS, CLASSES)
    torch.testing.assert_close(make_losses(target)[0].loss(LOGITS, CLASSES), expected)
    assert abs(expected.item() - LabelLoss(3)(LOGITS, CLASSES).item()) > 1e-3


def test_a_callable_is_used_as_it_is():
    loss = MaskedCosineLoss(sign_invariant=True)
    assert make_losses(Target("t", 3, Kind.NORMAL, loss=loss))[0].loss is loss


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
    pytest.param(
        {"loss": "adaptive_wing", "channels": 1, "kind": "scalar"}, "loss 'adaptive_wing' needs kind points", id="wing"
    ),
    pytest.param({"loss": "soft_argmax", "channels": 1}, "loss 'soft_argmax' needs kind points", id="soft argmax"),
    pytest.param({"loss": "dice", "channels": 1, "label_smoothing": 0.1}, "'label_smoothing' act on", id="no entropy"),
    pytest.param({"loss": 3, "channels": 1}, r"must be a name, .* a callable .*got 3", id="type"),
    pytest.param({"loss": [], "channels": 1}, "'loss' is an empty list; leave it out for the default", id="empty"),
    pytest.param({"loss": {"weight": 2}, "channels": 1}, r"'loss' must be a name, .*got \{'weight': 2\}", id="no name"),
    pytest.param(
        {"loss": {"name": "bce", "gama": 2}, "channels": 1},
        "loss 'bce' takes no option 'gama'; its options: weight, start_epoch",
        id="option",
    ),
    pytest.param(
        {"loss": {"name": "focal", "focal_gama": 2}, "channels": 1},
        r"takes no option 'focal_gama' \(did you mean 'focal_gamma'\?\)",
        id="option typo",
    ),
    pytest.param(
        {"loss": {"name": "focal", "focal_gamma": "2"}, "channels": 1},
        "loss 'focal' with {'focal_gamma': '2'}: ",
        id="type of an option",
    ),
    pytest.param({"loss": {"name": "bce", "weight": -1}, "channels": 1}, "'weight' must be a number >= 0", id="weight"),
    pytest.param(
        {"loss": {"name": "bce", "start_epoch": 0}, "channels": 1}, "'start_epoch' must be a whole number", id="start"
    ),
    pytest.param(
        {"loss": "eikonal", "channels": 1, "kind": "scalar"}, "loss 'eikonal' does not look at the truth", id="alone"
    ),
    pytest.param(
        {"loss": "focal", "channels": 1, "label_smoothing": 0.1}, "does not go with a focal loss", id="smooth focal"
    ),
    pytest.param(
        {"loss": LabelLoss(1), "channels": 1, "class_weights": [2.0]}, "set 'class_weights' in the loss", id="callable"
    ),
]


ADAPTIVE_WING = {
    "amplitude": 2.0,
    "omega": 10.0,
    "theta": 0.3,
    "epsilon": 2.0,
    "alpha": 2.5,
    "map_weight": 1.0,
    "map_threshold": 2.0,
}


@pytest.mark.parametrize(
    ("target", "changed"),
    [
        (Target("t", 3, loss={"name": "dice_ce", "dice": 0.0}), LabelLoss(3, dice=0)),
        (Target("t", 3, loss={"name": "dice_ce", "cross_entropy": 3}), LabelLoss(3, cross_entropy=3)),
        (Target("t", 3, loss={"name": "focal", "focal_gamma": 0.5}), LabelLoss(3, dice=0, focal_gamma=0.5)),
        (
            Target("t", 3, Kind.NORMAL, loss={"name": "masked_cosine", "sign_invariant": True}),
            MaskedCosineLoss(sign_invariant=True),
        ),
        *(
            (
                Target("t", 3, Kind.POINTS, loss={"name": "adaptive_wing", key: value}),
                AdaptiveWingLoss(**{"amplitude": 100.0, key: value}),
            )
            for key, value in ADAPTIVE_WING.items()
        ),
        *(
            (Target("t", 3, Kind.POINTS, loss={"name": "soft_argmax", key: value}), SoftArgmaxLoss(**{key: value}))
            for key, value in {"temperature": 0.5, "window": 1}.items()
        ),
    ],
)
def test_options_reach_the_loss(target, changed):
    label = CLASSES if target.kind is Kind.LABEL else VECTORS
    logits, label = (50 * LOGITS, 50 * label) if target.loss["name"] == "adaptive_wing" else (LOGITS, label)
    (part,) = make_losses(target)
    torch.testing.assert_close(part.loss(logits, label), changed(logits, label))
    plain = make_losses(Target("t", 3, target.kind, loss=target.loss["name"]))[0]
    assert abs(float(part.loss(logits, label) - plain.loss(logits, label))) > 1e-3


def test_spacing_and_limits_reach_the_slope():
    target = Target("t", 1, Kind.SCALAR, loss=["l1", {"name": "eikonal", "max_distance": 5.0, "weight": 0.1}])
    first, second = make_losses(target, spacing=(2.0, 3.0, 4.0))
    assert (first.name, first.weight, first.every_level) == ("l1", 1.0, True)
    assert (second.name, second.weight, second.every_level) == ("eikonal", 0.1, False)
    assert (second.loss.spacing, second.loss.max_distance) == ([2.0, 3.0, 4.0], 5.0)


@pytest.mark.parametrize(("options", "message"), FAULTS)
def test_faults(options, message):
    with pytest.raises(ValueError, match=f"targets: sheet: .*{message}"):
        make_losses(Target("sheet", **({"kind": Kind.LABEL} | options)))


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
