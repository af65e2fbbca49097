"""Scores of written predictions against hand-computed numbers."""

import math

import numpy as np
import pytest

from scripts.volumes import NORMAL_INT8, Encoding, Volume, create_ome_zarr, encode
from scripts.workflows import score
from scripts.workflows.score import score_region

SHAPE = (8, 8, 8)
BOX = ([2, 0, 0], [8, 8, 8])


@pytest.fixture
def store(tmp_path):
    def write(name, array, encoding=None):
        """Store an array C D H W."""
        array = np.asarray(array)
        attributes = encoding.as_attributes() if encoding else None
        path = tmp_path / f"{name}.zarr"
        writer = create_ome_zarr(
            path, array.shape, array.dtype, spacing=(2, 1, 1), chunks=(4, 4, 4), attributes=attributes
        )
        writer.write((0, 0, 0), array)
        return str(path)

    return write


def normals(*directions):
    """Stored normals along x from voxel (4, 4, 0) on; every other voxel has none."""
    values = np.zeros((3, *SHAPE), np.float32)
    for x, direction in enumerate(directions):
        values[:, 4, 4, x] = direction
    return encode(values, NORMAL_INT8, "int8")


def tilted(degrees):
    return (math.cos(math.radians(degrees)), math.sin(math.radians(degrees)), 0)


def label_stores(store):
    """Ten true and eight predicted voxels in the box, six of them common; much that lies outside of it."""
    truth, prediction = np.zeros((1, *SHAPE), np.uint8), np.zeros((1, *SHAPE), np.uint8)
    truth[0, 2, 0, :5], truth[0, 7, 7, 3:] = 1, 255
    prediction[0, 2, 0, :3], prediction[0, 7, 7, 5:], prediction[0, 5, 5, :2] = 128, 255, 200
    prediction[0, 4, 4, :6] = 127  # 0.498: not foreground
    truth[0, :2], prediction[0, 1] = 1, 255
    return store("prediction", prediction, Encoding(scale=1 / 255)), store("truth", truth)


def test_dice_of_probabilities_in_the_box(store):
    prediction, truth = label_stores(store)
    scores = score_region({"sheet": prediction}, {"sheet": truth}, {"sheet": {"channels": 1}}, BOX)
    assert scores == {"sheet_dice": pytest.approx(2 * 6 / (10 + 8))}


def test_blocks_do_not_change_the_score_and_bound_what_is_held(store, monkeypatch):
    prediction, truth = label_stores(store)
    sizes, read = [], Volume.read

    def note(volume, start, size, **kwargs):
        sizes.append(math.prod(size))
        return read(volume, start, size, **kwargs)

    monkeypatch.setattr(Volume, "read", note)
    monkeypatch.setattr(score, "BLOCK_VOXELS", 128)
    scores = score_region({"sheet": prediction}, {"sheet": truth}, {"sheet": {"channels": 1}}, BOX)
    assert scores["sheet_dice"] == pytest.approx(12 / 18)
    assert max(sizes) == 128
    assert len(sizes) == 2 * 4
    assert sum(sizes) == 2 * 6 * 8 * 8  # every voxel of the box once, of both arrays


def test_unknown_truth_does_not_count(store):
    truth = np.full((1, *SHAPE), -1, np.int8)
    truth[0, 3, 3, :4] = (1, 1, 0, 0)
    prediction = np.full((1, *SHAPE), 255, np.uint8)
    paths = store("p", prediction, Encoding(scale=1 / 255)), store("t", truth)
    scores = score_region({"a": paths[0]}, {"a": paths[1]}, {"a": {"channels": 1}}, BOX)
    assert scores["a_dice"] == pytest.approx(2 * 2 / (4 + 2))


@pytest.mark.parametrize("written", ["argmax", "probabilities"])
def test_dice_per_class(store, written):
    truth, classes = np.zeros((1, *SHAPE), np.uint8), np.zeros((1, *SHAPE), np.uint8)
    truth[0, 3, 0, :4], classes[0, 3, 0, :4] = (1, 1, 1, 2), (1, 2, 1, 2)
    if written == "argmax":
        prediction = store("p", classes)
    else:
        shares = np.where(np.arange(3)[:, None, None, None] == classes, 153, 51).astype(np.uint8)
        prediction = store("p", shares, Encoding(scale=1 / 255))
    scores = score_region({"a": prediction}, {"a": store("t", truth)}, {"a": {"channels": 3}}, BOX)
    first, second = 2 * 2 / (3 + 2), 2 * 1 / (1 + 2)
    assert scores == pytest.approx({"a_dice": (first + second) / 2, "a_dice_class1": first, "a_dice_class2": second})


def test_median_angle_where_the_truth_has_a_normal(store):
    z = tilted(0)
    truth = store("t", normals(z, z, z, (0, 0, 0)), NORMAL_INT8)
    prediction = store("p", normals(tilted(10), tilted(70), tilted(30), tilted(180), tilted(180)), NORMAL_INT8)
    scores = score_region({"n": prediction}, {"n": truth}, {"n": {"channels": 3, "kind": "normal"}}, BOX)
    assert scores == {"n_angle": pytest.approx(30, abs=0.4)}  # int8 holds directions to about 0.3 degrees


def test_numbers(store):
    truth, prediction = np.zeros((1, *SHAPE), np.float32), np.zeros((1, *SHAPE), np.float32)
    truth[0, 2:5], prediction[0, 2:5] = 2, 3  # half of the box is 2, half 0; the error is 1 in one half
    scores = score_region(
        {"a": store("p", prediction)}, {"a": store("t", truth)}, {"a": {"channels": 1, "kind": "scalar"}}, BOX
    )
    assert scores == pytest.approx({"a_mae": 0.5, "a_r2": 1 - 0.5 / 1})


def test_a_targets_own_metrics_are_used(store):
    values = store("p", np.zeros((1, *SHAPE), np.float32))
    table = {"a": {"channels": 1, "kind": "scalar", "metric": "mae"}}
    assert score_region({"a": values}, {"a": values}, table, BOX) == {"a_mae": 0}


def test_distances_of_surfaces_are_left_out(store):
    prediction, truth = label_stores(store)
    metrics = ["hausdorff95", "surface_dice@2", "iou", "surface_dice", "surface_distance"]
    scores = score_region({"a": prediction}, {"a": truth}, {"a": {"channels": 1, "metric": metrics}}, BOX)
    assert scores == {"a_iou": pytest.approx(6 / (10 + 8 - 6))}


def test_nothing_that_counts_gives_nan(store):
    empty = store("p", np.zeros((1, *SHAPE), np.uint8))
    assert math.isnan(score_region({"a": empty}, {"a": empty}, {"a": {"channels": 1}}, BOX)["a_dice"])


@pytest.mark.parametrize(
    ("box", "given"),
    [
        (([2, 0, 0], [9, 8, 8]), r"\[2, 0, 0\] to \[9, 8, 8\]"),
        (([-1, 0, 0], [8, 8, 8]), r"\[-1, 0, 0\] to"),
        (([4, 0, 0], [4, 8, 8]), r"\[4, 0, 0\] to \[4, 8, 8\]"),
    ],
)
def test_a_box_outside_the_volume_is_refused(store, box, given):
    path = store("p", np.zeros((1, *SHAPE), np.uint8))
    with pytest.raises(ValueError, match=rf"box: got {given}.*of \(8, 8, 8\) voxels"):
        score_region({"a": path}, {"a": path}, {"a": {"channels": 1}}, box)


def test_arrays_that_do_not_fit_are_named(store):
    small, three = store("small", np.zeros((1, 4, 8, 8), np.uint8)), store("three", np.zeros((3, *SHAPE), np.uint8))
    good = store("good", np.zeros((1, *SHAPE), np.uint8))
    table = {"a": {"channels": 1}}
    with pytest.raises(ValueError, match=r"a: the prediction .*small.zarr has \(4, 8, 8\) voxels.*has \(8, 8, 8\)"):
        score_region({"a": small}, {"a": good}, table, BOX)
    with pytest.raises(ValueError, match=r"a: .*three.zarr has 3 channels; expected 1"):
        score_region({"a": good}, {"a": three}, table, BOX)
    with pytest.raises(ValueError, match=r"a: .*three.zarr has 3 channels; expected 1 or 4"):
        score_region({"a": three}, {"a": good}, {"a": {"channels": 4}}, BOX)
    with pytest.raises(ValueError, match=r"without prediction or truth: b; predictions are given for a, truths for a"):
        score_region({"a": good}, {"a": good}, {"a": {"channels": 1}, "b": {"channels": 1}}, BOX)
