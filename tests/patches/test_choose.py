"""Which patches a training gets, by what they hold."""

import numpy as np
import pytest
import zarr

from scripts.patches import choose_patches
from scripts.patches.class_counts import ClassCounts, class_voxels

TARGETS = {"organ": {"channels": 3}}


@pytest.fixture
def volumes(tmp_path):
    label = np.zeros((4, 4, 24), np.uint8)
    label[..., :8] = 1
    label[..., 6:12] = 2
    array = zarr.create_array(str(tmp_path / "organ.zarr"), shape=label.shape, chunks=(4, 4, 4), dtype="uint8")
    array[...] = label
    return [{"image": "unused", "organ": str(tmp_path / "organ.zarr")}]


def patch(x):
    return {"volume": 0, "start": [0, 0, x], "size": [4, 4, 4]}


SPLIT = ([patch(0), patch(4), patch(8)], [patch(4), patch(12)])


def starts(patches):
    return [p["start"][2] for p in patches]


def test_uniform_reads_nothing(volumes):
    chosen = choose_patches(SPLIT, [{"image": "unused", "organ": "does not exist"}], TARGETS)
    assert chosen == {"train": SPLIT[0], "validate": SPLIT[1], "counts": None, "class_voxels": {}}


@pytest.mark.parametrize(
    ("forced", "train", "validate"),
    [(True, [4], [4]), ("train", [4], [4, 12]), ("validate", [0, 4, 8], [4])],
)
def test_all_classes_can_be_forced_in_either_part(volumes, forced, train, validate):
    chosen = choose_patches(SPLIT, volumes, TARGETS, force_all_classes=forced)
    assert starts(chosen["train"]) == train
    assert starts(chosen["validate"]) == validate
    assert len(chosen["counts"].counts) == len(train)


def test_other_samplers_get_the_counts_of_the_training_patches(volumes):
    chosen = choose_patches(SPLIT, volumes, TARGETS, sampler="class_balanced")
    assert chosen["counts"].counts.tolist() == [[64, 0], [32, 32], [0, 64]]
    assert starts(chosen["train"]) == [0, 4, 8]


def test_balanced_class_weights_get_the_voxels_of_each_class(volumes):
    """Three training patches of 64 voxels: 64 + 32 of class 1, 32 + 64 of class 2, no background."""
    targets = {"organ": {**TARGETS["organ"], "class_weights": "balanced"}}
    chosen = choose_patches(SPLIT, volumes, targets)
    assert chosen["class_voxels"] == {"organ": [0, 96, 96]}


def test_volumes_without_a_target_and_voxels_beyond_its_array_do_not_count_for_it(tmp_path):
    """Patches of 8 voxels: `a` covers 8 of the first, 4 of the second; `b`, with classes 1 and 2, is in the first."""
    stores = {"a 0": (2, 2, 4), "b 0": (2, 2, 4), "a 1": (2, 2, 3)}
    for name, shape in stores.items():
        zarr.create_array(str(tmp_path / f"{name}.zarr"), shape=shape, chunks=(2, 2, 2), dtype="uint8")
    volumes = [
        {"image": "unused", "a": str(tmp_path / "a 0.zarr"), "b": str(tmp_path / "b 0.zarr")},
        {"image": "unused", "a": str(tmp_path / "a 1.zarr")},
    ]
    counts = ClassCounts(["a", "b 1", "b 2"], np.array([[3, 1, 2], [4, -1, -1]]))
    patches = [
        {"volume": 0, "start": [0, 0, 2], "size": [2, 2, 2]},
        {"volume": 1, "start": [0, 0, 2], "size": [2, 2, 2]},
    ]
    targets = {"a": {"channels": 1}, "b": {"channels": 3}, "depth": {"channels": 1, "kind": "scalar"}}
    assert class_voxels(counts, volumes, patches, targets) == {"a": [12 - 7, 7], "b": [8 - 3, 1, 2]}


def test_nothing_left_and_nonsense_are_errors(volumes):
    with pytest.raises(ValueError, match="none of 1 patches holds every class"):
        choose_patches(([patch(0)], []), volumes, TARGETS, force_all_classes=True)
    with pytest.raises(ValueError, match="must be true, false, train or validate; got 'val'"):
        choose_patches(SPLIT, volumes, TARGETS, force_all_classes="val")
