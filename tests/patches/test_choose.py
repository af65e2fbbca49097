"""Which patches a training gets, by what they hold."""

import numpy as np
import pytest
import zarr

from scripts.patches import choose_patches

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
    assert chosen == {"train": SPLIT[0], "validate": SPLIT[1], "counts": None}


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


def test_nothing_left_and_nonsense_are_errors(volumes):
    with pytest.raises(ValueError, match="none of 1 patches holds every class"):
        choose_patches(([patch(0)], []), volumes, TARGETS, force_all_classes=True)
    with pytest.raises(ValueError, match="must be true, false, train or validate; got 'val'"):
        choose_patches(SPLIT, volumes, TARGETS, force_all_classes="val")
