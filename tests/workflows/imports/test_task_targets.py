"""Targets, losses and volumes of a task file."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from skimage.morphology import ball
from tests.workflows.task_files import MINIMAL, changed, imported, parsed, with_targets

from scripts.geometry import parse_targets
from scripts.losses import make_losses


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"loss": {"name": "dice_bce", "dice": 0.5, "cross_entropy": 0.5, "batch_dice": True}}),
        (
            {"loss_fn": "BCEDiceLoss", "loss_kwargs": {"alpha": 2, "beta": 1}},
            {"loss": {"name": "dice_bce", "dice": 1.0, "cross_entropy": 2.0, "batch_dice": True}},
        ),
        (
            {"loss_fn": "BCEWithLogitsLossLabelSmoothing", "loss_kwargs": {"smoothing": 0.05}},
            {"loss": "bce", "label_smoothing": 0.1},
        ),
        ({"loss_fn": "BCEWithLogitsLossLabelSmoothing"}, {"loss": "bce", "label_smoothing": 0.2}),
        ({"loss_fn": "BCE", "weight": "5e-1"}, {"loss": "bce", "weight": 0.5}),
        ({"loss_fn": "BCEWithLogitsLoss", "loss_kwargs": {"pos_weight": 3}}, {"loss": "bce", "class_weights": [3.0]}),
        ({"loss_fn": "bceloss", "activation": "softmax"}, {"loss": "bce", "activation": "sigmoid"}),
        (
            {"channels": 3, "activation": "softmax"},
            {"kind": "label", "activation": "sigmoid"},
        ),
        (
            {
                "channels": 2,
                "loss_fn": "CrossEntropyLoss",
                "loss_kwargs": {"weight": [1, 2], "ignore_index": -100, "label_smoothing": 0.1},
            },
            {"loss": "ce", "class_weights": [1.0, 2.0], "ignore_label": -100, "label_smoothing": 0.1},
        ),
        ({"loss_fn": "MSELoss", "activation": "sigmoid"}, {"kind": "scalar", "loss": "mse", "activation": "sigmoid"}),
        ({"out_channels": 3, "channels": None, "loss_fn": "masked_cosine_loss"}, {"kind": "normal", "channels": 3}),
    ],
)
def test_losses_of_the_old_programs(tmp_path, options, expected):
    row = {"channels": 1, **options}
    row = {key: value for key, value in row.items() if value is not None}
    task = with_targets({"x": row}, tr_params={"label_smoothing": None})
    _, train, _ = imported(tmp_path, task)
    assert {key: train["targets"]["x"][key] for key in expected} == expected


def test_smoothed_cross_entropy_is_what_their_formula_gives(tmp_path):
    """Theirs: alpha * mean of the binary cross-entropy against 0.1 and 0.9."""
    task = with_targets({"x": {"channels": 1, "loss_kwargs": {"alpha": 0.6, "beta": 0}}})
    _, train, _ = imported(tmp_path, task)
    (part,) = make_losses(parse_targets(train["targets"])["x"])
    rng = np.random.default_rng(0)
    logits, label = rng.normal(size=(2, 1, 4, 4, 4)), rng.integers(0, 2, (2, 1, 4, 4, 4))
    probability, truth = 1 / (1 + np.exp(-logits)), np.where(label, 0.9, 0.1)
    entropy = -(truth * np.log(probability) + (1 - truth) * np.log(1 - probability)).mean()
    assert part.loss(torch.tensor(logits), torch.tensor(label)).item() == pytest.approx(0.6 * entropy, rel=1e-5)


@pytest.mark.parametrize(("given", "voxels"), [(True, 5), (2, 2)])
def test_dilated_labels_grow_by_a_ball_of_voxels(tmp_path, given, voxels):
    _, train, _ = imported(tmp_path, changed(MINIMAL, tr_params={"dilate_label": given}))
    (transform,) = parsed("train", train, tmp_path).get_parsed_content("derive")
    label = torch.zeros(1, 13, 13, 13, dtype=torch.int32)
    label[0, 6, 6, 6] = 1
    affine = torch.diag(torch.tensor([2.0, 2.0, 2.0, 1.0]))
    sample = {"sheet": MetaTensor(label, affine=affine, meta={"original_affine": affine})}
    grown = transform(sample)["sheet"]
    np.testing.assert_array_equal(grown[0].numpy(), np.pad(ball(voxels), 6 - voxels))
