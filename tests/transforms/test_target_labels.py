"""Label maps from network outputs, against hand-computed probabilities and NumPy's argmax."""

import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from scripts.transforms import TargetLabel, TargetLabeld

TARGETS = {
    "sheet": {"channels": 1},
    "parts": {"channels": 3},
    "organelles": {"channels": 2, "activation": "sigmoid"},
    "normals": {"channels": 3, "kind": "normal"},
}


def logit(probability):
    return math.log(probability / (1 - probability))


def test_one_channel_is_foreground_from_the_threshold_on():
    logits = torch.tensor([logit(p) for p in (0.1, 0.39, 0.41, 0.49, 0.5, 0.9)]).reshape(1, 1, 2, 3)
    outputs = {"parts": torch.zeros(3, 1, 2, 3), "sheet": MetaTensor(logits)}
    for threshold, expected in ((0.5, [0, 0, 0, 0, 1, 1]), (0.4, [0, 0, 1, 1, 1, 1])):
        label = TargetLabel(TARGETS, "sheet", threshold)(outputs)
        assert label.flatten().tolist() == expected
        assert (label.shape, label.dtype) == ((1, 1, 2, 3), torch.uint8)


def test_several_channels_are_classes_and_the_first_is_background():
    logits = np.random.default_rng(0).normal(size=(3, 4, 5, 6)).astype(np.float32)
    label = TargetLabeld("pred", TARGETS, "parts")({"pred": torch.from_numpy(logits), "other": 1})
    np.testing.assert_array_equal(label["pred"][0].numpy(), logits.argmax(axis=0))
    assert label["other"] == 1


def test_more_classes_than_a_byte_holds_keep_their_numbers():
    logits = torch.zeros(300, 1, 1, 1)
    logits[299] = 1
    assert TargetLabel({"parts": {"channels": 300}}, "parts")(logits).item() == 299


@pytest.mark.parametrize(
    ("target", "threshold", "message"),
    [
        ("sheets", 0.5, r"expected one of sheet, parts, organelles, normals; got 'sheets' \(did you mean 'sheet'\?\)"),
        ("normals", 0.5, r"'normals' has kind normal; a label map needs kind label"),
        ("organelles", 0.5, r"'organelles' has classes that overlap \(activation sigmoid\)"),
        ("sheet", 1.0, r"threshold must be a probability between 0 and 1; got 1\.0"),
    ],
)
def test_what_gives_no_label_map_is_refused(target, threshold, message):
    with pytest.raises(ValueError, match=message):
        TargetLabel(TARGETS, target, threshold)


def test_outputs_without_the_target_are_refused():
    with pytest.raises(ValueError, match=r"the network gave parts; expected 'sheet' among them"):
        TargetLabel(TARGETS, "sheet")({"parts": torch.zeros(3, 1, 1, 1)})
