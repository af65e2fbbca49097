"""Patches of crops, from stores to samples; values are known from physical positions."""

import numpy as np
import pytest
import torch
from tests.cellmap_tree import CENTRE_NM, CropPlan, DatasetPlan, is_inside, raw_value, write_tree

from scripts.patches import (
    add_start_ranges,
    cellmap_volumes,
    choose_patches,
    crop_patches,
    find_patches,
    make_datalist,
    split_patches,
    volume_faults,
)
from scripts.transforms import LoadZarrPatchd

TARGETS = {name: {"channels": 1} for name in ("nuc", "cell", "ecs")}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def rows(tree):
    """At 8 nm, in voxels of the image: crop1 is 10:22 along each axis, crop2 20:32, 10:22, 8:20."""
    return sorted(
        cellmap_volumes(["nuc", "cell", "ecs"], str(tree), spacing=(8, 8, 8), crops=[1, 2]), key=lambda row: str(row)
    )


def test_patches_cover_the_crop_and_no_more(rows):
    starts = [patch["start"] for patch in crop_patches(rows, (8, 8, 8), targets=TARGETS) if patch["volume"] == 0]
    assert starts == [[z, y, x] for z in (10, 14) for y in (10, 14) for x in (10, 14)]
    second = [patch for patch in crop_patches(rows, (8, 5, 12), stride=[3, 7, 1]) if patch["volume"] == 1]
    assert [patch["start"] for patch in second] == [[z, y, 8] for z in (20, 23, 24) for y in (10, 17)]
    assert all(patch["size"] == [8, 5, 12] and patch["ref_label"] is None for patch in second)
    assert len(crop_patches(rows[:1], (8, 8, 8), stride=1)) == 5**3


def test_a_crop_that_is_smaller_than_a_patch_lies_in_its_middle(rows):
    assert crop_patches(rows[:1], (16, 20, 16))[0]["start"] == [8, 6, 8]
    assert crop_patches(rows[:1], (40, 30, 12))[0]["start"] == [0, 1, 10]
    assert crop_patches(rows[:1], (60, 12, 12))[0]["start"] == [0, 10, 10]  # the image has 40 voxels


def test_a_region_limits_them(rows):
    limited = [{**rows[0], "region": [[12, 0, 0], [20, 40, 18]]}]
    starts = [patch["start"] for patch in crop_patches(limited, (8, 8, 8))]
    assert starts == [[12, y, 10] for y in (10, 14)]


def test_a_class_that_is_annotated_elsewhere_counts_as_well(tmp_path):
    apart = DatasetPlan("jrc", (8, 8, 8), (40, 40, 40), (
        CropPlan("crop1", (8, 8, 8), (80, 80, 80), (8, 8, 8), ("nuc",)),
        CropPlan("crop2", (8, 8, 8), (80, 80, 112), (8, 8, 8), ("cell",)),
    ))  # fmt: skip
    write_tree(tmp_path, [apart])
    one, other = cellmap_volumes(["nuc", "cell"], str(tmp_path), spacing=(8, 8, 8), validation_prob=0)
    joined = {**one, **other}
    assert [patch["start"] for patch in crop_patches([joined], (8, 8, 4))] == [
        [10, 10, x] for x in (10, 12, 14, 16, 18)
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patch_size": (8, 8)}, r"patch_size must be three positive numbers z, y, x; got \[8, 8\]"),
        ({"patch_size": (8, 8, 8), "stride": 0}, r"stride must be three positive numbers z, y, x; got \[0, 0, 0\]"),
    ],
)
def test_faults(rows, arguments, message):
    with pytest.raises(ValueError, match=message):
        crop_patches(rows, **arguments)
    with pytest.raises(ValueError, match="has no label, so that nothing says what is annotated there"):
        crop_patches([{"image": rows[0]["image"]}], (8, 8, 8))


def load(rows, patches):
    return LoadZarrPatchd(["image", *TARGETS], TARGETS), make_datalist(rows, patches, TARGETS)


def positions(sample):
    affine = sample["image"].affine.numpy()
    index = np.stack(np.meshgrid(*map(np.arange, sample["image"].shape[1:]), indexing="ij"))
    return [affine[axis, axis] * index[axis] + affine[axis, 3] for axis in range(3)]


def check_sample(sample, annotated):
    """Image and labels are those of the place; classes without annotation are unknown."""
    where = positions(sample)
    torch.testing.assert_close(
        sample["image"][0].as_tensor().double(), torch.from_numpy(raw_value(*where)), atol=0.51, rtol=0
    )
    for name in TARGETS:
        found = sample[name].as_tensor()[0].numpy()
        if name not in annotated:
            assert (found == -1).all()
            continue
        known = found >= 0
        distance = np.sqrt(sum((p - c) ** 2 for p, c in zip(where, CENTRE_NM, strict=True)))
        radius = 80 if name == "nuc" else 150
        clear = known & (abs(distance - radius) > 8 * np.sqrt(3))  # a voxel may take the value of its neighbour
        np.testing.assert_array_equal(found[clear], is_inside(name, *where)[clear])
        assert clear.any()


def test_every_patch_of_a_crop_loads_with_what_is_annotated_there(rows):
    assert volume_faults(rows, TARGETS, 1) == []
    transform, data = load(rows, crop_patches(rows, (8, 8, 8), targets=TARGETS))
    assert {datum["volume"] for datum in data} == {0, 1}
    for datum in data:
        sample = transform(datum)
        check_sample(sample, {"nuc", "cell"} if datum["volume"] == 0 else {"nuc", "ecs"})
        assert (sample["nuc"] >= 0).all()  # the patch lies in the crop


def test_patches_that_are_found_by_their_labels_load_as_well(rows):
    found = find_patches(rows, (8, 8, 8), ref_label="nuc", min_bbox_percent=0.5, min_labeled_ratio=0.1, targets=TARGETS)
    transform, data = load(rows, found)
    assert {datum["volume"] for datum in data} == {0, 1}
    for datum in data:
        check_sample(transform(datum), {"nuc", "cell"} if datum["volume"] == 0 else {"nuc", "ecs"})


def test_outside_of_the_crop_labels_are_unknown(rows):
    transform, data = load(rows, crop_patches(rows[:1], (16, 16, 16)))
    known = transform(data[0])["nuc"].as_tensor()[0] >= 0
    inside = torch.zeros(16, 16, 16, dtype=torch.bool)
    inside[2:14, 2:14, 2:14] = True  # the patch begins at voxel 8, the crop at 10
    assert torch.equal(known, inside)


def test_a_crop_without_any_object_gives_patches_that_load(tmp_path):
    far = DatasetPlan("jrc", (8, 8, 8), (60, 20, 20), (CropPlan("crop1", (8, 8, 8), (400, 0, 0), (8, 8, 8), ("nuc",)),))
    write_tree(tmp_path, [far])
    rows = cellmap_volumes(["nuc"], str(tmp_path), spacing=(8, 8, 8))
    with pytest.raises(ValueError, match="no labelled voxel at all"):
        find_patches(rows, (8, 8, 8))
    transform, data = load(rows, crop_patches(rows, (8, 8, 8)))
    assert (transform(data[0])["nuc"] == 0).all()


def test_splits_samplers_and_jitter_take_them(rows):
    rows = [{**row, "split": split} for row, split in zip(rows, ("train", "val"), strict=True)]
    split = split_patches(crop_patches(rows, (8, 8, 8)), rows)
    chosen = choose_patches(split, rows, {"nuc": {"channels": 1}}, sampler="class_balanced")
    assert [patch["volume"] for patch in chosen["train"]] == [0] * 8
    assert [patch["volume"] for patch in chosen["validate"]] == [1] * 8
    assert (chosen["counts"].counts[:, 0] > 0).any()
    moved = add_start_ranges(make_datalist(rows, chosen["train"], TARGETS), rows, jitter=2)
    assert moved[0]["start_range"] == [[8, 8, 8], [12, 12, 12]]
