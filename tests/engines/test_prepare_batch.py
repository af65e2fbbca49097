"""Batches as losses and metrics take them, from arrays written out by hand."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from scripts.engines import LabelValueError, PrepareTargets, mark_unknown
from scripts.geometry import parse_targets
from scripts.losses import MultiTaskLoss

NAN = float("nan")


def row(*values, dtype=torch.int32):
    """One sample of one channel: B C D H W = 1 1 1 1 N."""
    return torch.tensor(values, dtype=dtype).reshape(1, 1, 1, 1, -1)


def prepare(targets, **batch):
    return PrepareTargets(targets)({"image": torch.zeros(1, 1, 1, 1, 3), **batch})


def listed(tensor):
    return tensor.flatten().tolist()


def same(tensor, expected):
    np.testing.assert_array_equal(tensor.flatten().numpy(), np.array(expected, np.float32))


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ([0, 255, 255, -1], [0, 1, 1, -1]),
        ([0, 1, 17, 0], [0, 1, 1, 0]),
        ([-1, -1, -1, -1], [-1, -1, -1, -1]),
        ([0, -7, 3, -100], [0, -1, 1, -1]),
    ],
)
def test_every_positive_value_of_a_one_channel_label_is_foreground(stored, expected):
    _, labels = prepare({"sheet": {"channels": 1}}, sheet=row(*stored))
    assert listed(labels["sheet"]) == expected
    assert labels["sheet"].dtype == torch.float32


def test_boolean_masks_are_labels():
    _, labels = prepare({"sheet": {"channels": 1}}, sheet=row(0, 1, 1, dtype=torch.bool))
    assert listed(labels["sheet"]) == [0, 1, 1]


def test_not_a_number_is_unknown_in_a_label():
    _, labels = prepare({"sheet": {"channels": 1}}, sheet=row(0.0, NAN, 1.0, dtype=torch.float32))
    assert listed(labels["sheet"]) == [0, -1, 1]


def test_classes_stay_and_what_is_below_0_is_unknown():
    _, labels = prepare({"organ": {"channels": 3}}, organ=row(0, 1, 2, -1, -5))
    assert listed(labels["organ"]) == [0, 1, 2, -1, -1]


@pytest.mark.parametrize(
    ("channels", "ignored", "expected"),
    [(1, None, [0, 1, 1, 1]), (1, 255, [0, 1, -1, 1]), (1, 0, [-1, 1, 1, 1]), (3, 255, [0, 1, -1, 2])],
)
def test_ignore_label_is_unknown(channels, ignored, expected):
    stored = row(0, 1, 255, 2)
    _, labels = prepare({"sheet": {"channels": channels, "ignore_label": ignored}}, sheet=stored)
    assert listed(labels["sheet"]) == expected


def test_a_mask_makes_labels_minus_1_and_numbers_nan():
    targets = {
        "sheet": {"channels": 1, "mask": "inside"},
        "depth": {"channels": 1, "kind": "scalar", "mask": "inside"},
        "free": {"channels": 1, "kind": "scalar"},
    }
    mask = row(1, 0, 255)
    depth = row(1.5, 2.5, NAN, dtype=torch.float32)
    _, labels = prepare(targets, sheet=row(1, 1, 0), depth=depth, free=depth, inside=mask)
    assert list(labels) == ["sheet", "depth", "free"]
    assert listed(labels["sheet"]) == [1, -1, 0]
    same(labels["depth"], [1.5, NAN, NAN])
    same(labels["free"], [1.5, 2.5, NAN])


def test_a_mask_covers_all_components_of_a_vector():
    target = parse_targets({"flow": {"channels": 2, "kind": "vector"}})["flow"]
    flow = torch.tensor([[1.0, 2, 3], [4, 5, 6]]).reshape(1, 2, 1, 1, 3)  # B C D H W
    same(mark_unknown(flow, target, row(1, 0, 1)), [1, NAN, 3, 4, NAN, 6])


@pytest.mark.parametrize("highest", [3, 255])
def test_a_class_without_channel_is_an_error(highest):
    message = (
        f"target 'organ' has 3 channels, so classes 0 to 2, but its label holds {highest}; "
        "raise 'channels', or name the value in 'ignore_label'"
    )
    with pytest.raises(ValueError, match=message):
        prepare({"organ": {"channels": 3}}, organ=row(0, highest, 2))


def test_a_class_without_channel_does_not_matter_where_the_mask_is_0():
    _, labels = prepare({"organ": {"channels": 3, "mask": "mask"}}, organ=row(0, 9, 2), mask=row(1, 0, 1))
    assert listed(labels["organ"]) == [0, -1, 2]


def test_missing_targets_are_named_with_the_keys_there_are():
    targets = {"sheet": {"channels": 1}, "depth": {"channels": 1, "kind": "scalar", "source": "sheet"}}
    with pytest.raises(ValueError, match=r"the batch has no depth; its keys: image, sheet\. .*see 'derive' in train"):
        prepare(targets, sheet=row(0, 1, 1))


def test_a_missing_mask_is_named():
    with pytest.raises(ValueError, match="the batch has no inside; its keys: image, sheet"):
        prepare({"sheet": {"channels": 1, "mask": "inside"}}, sheet=row(0, 1, 1))


def test_without_any_target_there_are_no_labels():
    image, labels = prepare({"sheet": {"channels": 1}})
    assert labels is None
    assert image.shape == (1, 1, 1, 1, 3)


def test_meta_tensors_go_in_and_plain_tensors_come_out():
    values = torch.arange(3.0).reshape(1, 1, 1, 1, 3)
    batch = {key: MetaTensor(values) for key in ("image", "sheet", "depth")}
    targets = {"sheet": {"channels": 1}, "depth": {"channels": 1, "kind": "scalar"}}
    image, labels = PrepareTargets(targets)(batch, device="cpu", non_blocking=True)
    assert {type(tensor) for tensor in (image, *labels.values())} == {torch.Tensor}
    assert listed(image) == [0, 1, 2]
    assert listed(labels["depth"]) == [0, 1, 2]


def test_further_arguments_convert_the_image_alone():
    batch = {"image": torch.ones(1, 1, 1, 1, 3), "sheet": row(0, 1, 1)}
    image, labels = PrepareTargets({"sheet": {"channels": 1}})(batch, dtype=torch.float64)
    assert (image.dtype, labels["sheet"].dtype) == (torch.float64, torch.float32)
    image, _ = PrepareTargets({"sheet": {"channels": 1}})(batch, device="meta")
    assert image.device.type == "meta"


EXCLUSIVE = {
    **{name: {"channels": 1} for name in ("mito", "er", "nucleus")},
    "depth": {"channels": 1, "kind": "scalar"},
}


def exclusive_labels(mutual_exclusion):
    """Four voxels; `er` is not annotated in this volume."""
    rows = {"mito": [1.0, 0.0, -1.0, 0.0], "er": [-1.0] * 4, "nucleus": [0.0, 0.0, 1.0, -1.0], "depth": [1.0] * 4}
    batch = {name: torch.tensor(values).view(1, 1, 1, 1, 4) for name, values in rows.items()}
    batch["image"] = torch.zeros(1, 1, 1, 1, 4)
    _, labels = PrepareTargets(EXCLUSIVE, mutual_exclusion)(batch)
    return {name: label.flatten().tolist() for name, label in labels.items()}


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (False, {"mito": [1, 0, -1, 0], "er": [-1, -1, -1, -1], "nucleus": [0, 0, 1, -1]}),
        (True, {"mito": [1, 0, 0, 0], "er": [0, -1, 0, -1], "nucleus": [0, 0, 1, -1]}),
        ([["mito", "er"]], {"mito": [1, 0, -1, 0], "er": [0, -1, -1, -1], "nucleus": [0, 0, 1, -1]}),
        ([["mito", "er"], ["er", "nucleus"]], {"mito": [1, 0, -1, 0], "er": [0, -1, 0, -1], "nucleus": [0, 0, 1, -1]}),
    ],
)
def test_an_unannotated_class_is_absent_where_an_exclusive_one_is_present(groups, expected):
    assert exclusive_labels(groups) == expected | {"depth": [1.0] * 4}


def test_the_loss_of_an_unannotated_class_is_the_mean_over_what_exclusion_made_known():
    """`er` is known to be absent at voxels 0 and 2: the mean of -log(1 - sigmoid) there."""
    label = torch.tensor(exclusive_labels(True)["er"]).view(1, 1, 1, 1, 4)
    logits = torch.tensor([1.0, 50.0, -2.0, 50.0]).view(1, 1, 1, 1, 4)
    loss = MultiTaskLoss({"er": {"channels": 1, "loss": "bce"}})({"er": logits}, {"er": label})
    expected = torch.nn.functional.softplus(torch.tensor([1.0, -2.0])).mean()
    torch.testing.assert_close(loss, expected)


def test_what_cannot_exclude_is_named():
    with pytest.raises(ValueError, match=r"mutual_exclusion: depth, mitos cannot exclude others; .*mito, er, nucleus"):
        PrepareTargets(EXCLUSIVE, [["mito", "depth", "mitos"]])


def test_a_foreground_in_each_channel_is_0_or_1_or_unknown_in_each():
    target = {"affinities": {"channels": 2, "activation": "sigmoid", "ignore_label": 9, "mask": "inside"}}
    stored = torch.tensor([[7, 0, -1, 1], [0, 9, 1, 1]]).reshape(1, 2, 1, 1, 4)  # B C D H W
    _, labels = prepare(target, affinities=stored, inside=row(1, 1, 1, 0))
    assert labels["affinities"][0, :, 0, 0].tolist() == [[1, 0, -1, -1], [0, -1, 1, -1]]


def test_a_class_too_many_is_named_with_the_patch_that_holds_it():
    label = torch.zeros(3, 1, 2, 2, 2)
    label[1, 0, 0, 0, 0] = 9
    batch = {
        "image": MetaTensor(torch.zeros(3, 1, 2, 2, 2), meta={"filename_or_obj": ["a", "b", "c"]}),
        "organ": MetaTensor(label, meta={"filename_or_obj": ["la", "lb", "lc"]}),
        "patch": {"start": torch.arange(9).reshape(3, 3), "size": torch.full((3, 3), 2)},
    }
    said = r"its label holds 9; .*\. It is in lb, patch at \[3, 4, 5\] of size \[2, 2, 2\]$"
    with pytest.raises(LabelValueError, match=said):
        PrepareTargets({"organ": {"channels": 3}})(batch)
    plain = {"image": batch["image"].as_tensor(), "organ": label}  # of a data set that tells no places
    with pytest.raises(
        LabelValueError, match=r"its label holds 9; [^.]*'ignore_label'\. It is in sample 1 of the batch$"
    ):
        PrepareTargets({"organ": {"channels": 3}})(plain)
