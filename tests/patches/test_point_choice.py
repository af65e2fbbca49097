"""Points drawn from labels, against counting in NumPy."""

import importlib
from collections import Counter

import nibabel as nib
import numpy as np
import pytest
import zarr

from scripts.patches import draw_points
from scripts.volumes import Point, create_ome_zarr, open_resampled, open_volume

SHAPE = (20, 22, 24)


def store(path, array, chunks=(7, 8, 9), **options):
    stored = zarr.create_array(str(path), shape=array.shape, chunks=chunks, dtype=array.dtype, **options)
    stored[...] = array
    return str(path)


@pytest.fixture
def cells():
    """Five cells of 3, 40, 343, 500 and 1,000 voxels."""
    label = np.zeros(SHAPE, np.uint32)
    for box, value in (
        (np.s_[0:3, 0:1, 0:1], 70_000),
        (np.s_[5:9, 5:10, 0:2], 2),
        (np.s_[10:17, 0:7, 10:17], 900),
        (np.s_[0:5, 12:22, 14:24], 4),
        (np.s_[10:20, 12:22, 14:24], 5),
    ):
        label[box] = value
    return label


@pytest.fixture
def path(cells, tmp_path):
    return store(tmp_path / "cells.zarr", cells)


def counts(points):
    return Counter((point.label, point.instance) for point in points)


def test_points_are_evenly_spread_over_classes_and_instances(path, cells):
    points = draw_points(path, 40)
    assert len({point[:3] for point in points}) == 40
    for z, y, x, label, instance in points:
        assert instance == cells[z, y, x]
        assert label == int(cells[z, y, x] > 0)
    # 20 of the foreground: 3 of the smallest cell, which has no more, and 17 of the other four
    found = counts(points)
    assert found.pop((0, 0)) == 20
    assert found.pop((1, 70_000)) == 3
    assert sorted(found.values()) == [4, 4, 4, 5]


@pytest.mark.parametrize("k", [2, 3, 16, 31])
def test_fewer_points_are_the_first_of_more(path, k):
    assert draw_points(path, k, seed=3) == draw_points(path, 64, seed=3)[:k]
    drawn = counts(draw_points(path, k, seed=3))
    assert drawn[0, 0] == k // 2
    assert max(drawn[1, i] for i in (2, 4, 5, 900)) - min(drawn[1, i] for i in (2, 4, 5, 900)) <= 1


def test_the_seed_decides_and_the_way_of_storing_does_not(path, cells, tmp_path):
    points = draw_points(path, 64)
    assert draw_points(path, 64) == points
    shared = {point[:3] for point in points} & {point[:3] for point in draw_points(path, 64, seed=1)}
    assert len(shared) < 10
    other = store(tmp_path / "other.zarr", cells.astype(np.int64), chunks=(5, 5, 6), shards=(10, 10, 12))
    np.save(tmp_path / "cells.npy", cells)
    nib.save(nib.Nifti1Image(cells.T.astype(np.int32), np.eye(4)), tmp_path / "cells.nii")
    for same in (other, tmp_path / "cells.npy", tmp_path / "cells.nii"):
        foreground = [point for point in points if point.label]
        assert [point for point in draw_points(same, 64) if point.label] == foreground


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "uint64", "float32"])
def test_labels_of_any_type_are_drawn_from(dtype, cells, tmp_path):
    label = (cells > 0).astype(dtype) * np.ones(1, dtype)
    points = draw_points(store(tmp_path / "label.zarr", label), 10)
    assert counts(points) == {(1, 1): 5, (0, 0): 5}
    assert all(label[point[:3]] == point.label for point in points)


def test_large_ids_keep_every_digit(tmp_path):
    label = np.full((4, 4, 4), 2**64 - 3, np.uint64)
    points = draw_points(store(tmp_path / "label.zarr", label), 2, background=False)
    assert [point.instance for point in points] == [2**64 - 3] * 2


def test_classes_are_drawn_equally_and_instances_come_from_another_store(cells, tmp_path):
    classes = np.zeros(SHAPE, np.uint8)
    classes[cells > 0] = 1
    classes[cells >= 900] = 2
    classes[0, 20, 0] = 3
    label, ids = store(tmp_path / "classes.zarr", classes), store(tmp_path / "ids.zarr", cells)
    points = draw_points(label, 12, channels=4, classes=[1, 2], instances=ids)
    assert [point.label for point in points] == [1, 2, 0] * 4
    found = counts(points)
    assert found[0, 0] == 4
    assert sorted(found[1, i] for i in (2, 4, 5)) == [1, 1, 2]
    assert (found[2, 900], found[2, 70_000]) == (2, 2)
    plain = draw_points(label, 8, channels=4, classes=[1, 2], background=False)
    assert counts(plain) == {(1, 0): 4, (2, 0): 4}
    assert counts(draw_points(label, 3, channels=4, background=False))[3, 0] == 1
    # one channel: every class is foreground, and the store of ids says which voxels are of one cell
    drawn = counts(draw_points(label, 12, instances=ids))
    assert {key: n for key, n in drawn.items() if key[0]} == {(1, i): 1 for i in (0, 2, 4, 5, 900, 70_000)}


def test_objects_whose_instance_is_unknown_are_not_drawn(cells, tmp_path):
    ids = np.where(cells == 900, -1, cells.astype(np.int64))
    label, instances = store(tmp_path / "label.zarr", (cells > 0).astype(np.uint8)), store(tmp_path / "ids.zarr", ids)
    drawn = counts(draw_points(label, 40, instances=instances))
    assert set(drawn) == {(0, 0), (1, 70_000), (1, 2), (1, 4), (1, 5)}
    assert any(ids[point[:3]] == 0 for point in draw_points(label, 40, instances=instances))


def test_nothing_is_drawn_of_unknown_masked_or_excluded_voxels(cells, tmp_path):
    label = cells.astype(np.int32)
    label[:, 12:, :] = -1
    label[5:9, 5:10, 0:2] = 77
    mask = np.ones(SHAPE, np.uint8)
    mask[:, :, 15:] = 0
    options = {
        "mask": store(tmp_path / "mask.zarr", mask),
        "ignore_label": 77,
        "regions": [[[0, 0, 0], [12, 22, 24]], [[8, 0, 0], [20, 22, 12]]],
        "exclude": [[[10, 0, 0], [12, 3, 24]]],
    }
    allowed = np.zeros(SHAPE, bool)
    allowed[0:12] = allowed[8:20, :, 0:12] = True
    allowed[10:12, 0:3] = False
    allowed &= (mask > 0) & (label >= 0) & (label != 77)
    n_cell, n_none = int((allowed & (label > 0)).sum()), int((allowed & (label == 0)).sum())
    path = store(tmp_path / "label.zarr", label, config={"write_empty_chunks": True})
    points = draw_points(path, 2 * n_cell, **options)
    assert {point[:3] for point in points if point.label} == set(zip(*np.nonzero(allowed & (label > 0)), strict=True))
    assert all(allowed[point[:3]] and label[point[:3]] == 0 for point in points if not point.label)
    with pytest.raises(
        ValueError, match=rf"k = {2 * n_cell + 1} points .*: class 1: {n_cell}, class 0: {n_none}\. Ask"
    ):
        draw_points(path, 2 * n_cell + 1, **options)
    floating = np.where(label < 0, np.nan, label).astype(np.float32)
    path = store(tmp_path / "float.zarr", floating, config={"write_empty_chunks": True})
    assert draw_points(path, 2 * n_cell, **options) == points


def test_chunks_that_are_not_stored_give_no_background(tmp_path):
    label = np.zeros((16, 16, 16), np.uint8)
    label[0:4, 0:4, 0:4] = 1
    path = store(tmp_path / "label.zarr", label, chunks=(8, 8, 8))
    points = draw_points(path, 100)
    assert max(max(point[:3]) for point in points) == 7
    with pytest.raises(ValueError, match="class 1: 64, class 0: 448"):
        draw_points(path, 1000)


def test_every_voxel_is_drawn_as_often_as_any_other(tmp_path):
    """Background by octants: 5 standard deviations of a binomial."""
    path = store(tmp_path / "label.zarr", np.ones((20, 20, 20), np.uint8))
    points = np.array([point[:3] for point in draw_points(path, 4000, background=False)])
    octants = np.bincount((points >= 10) @ [4, 2, 1], minlength=8)
    assert abs(octants - 500).max() < 5 * np.sqrt(4000 / 8 * 7 / 8)


def test_what_is_read_at_once_does_not_matter(path, monkeypatch):
    points = draw_points(path, 64)
    monkeypatch.setattr(importlib.import_module("scripts.patches.point_choice"), "RUN_VOXELS", 100)
    assert draw_points(open_volume(path), 64) == points
    assert isinstance(points[0], Point)


def test_a_label_that_is_read_at_another_spacing_is_drawn_from_as_it_is_read(cells, tmp_path):
    writer = create_ome_zarr(
        tmp_path / "fine.zarr", (1, *SHAPE), "uint32", spacing=(4, 4, 4), chunks=(7, 8, 9), levels=1
    )
    writer.write((0, 0, 0), cells[None])
    label = open_resampled(tmp_path / "fine.zarr", (6, 7, 5), "nearest")
    array = label.read((0, 0, 0), label.spatial_shape)[0]
    same = store(tmp_path / "same.zarr", array, config={"write_empty_chunks": True})
    options = {"k": 2 * int((array > 0).sum())}
    drawn = draw_points(label, **options)
    assert len({point[:3] for point in drawn}) == len(drawn)
    assert [p for p in drawn if p.label] == [p for p in draw_points(same, **options) if p.label]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 1}, r"k must be at least 2, a point for each of the classes \[1, 0\]; got 1"),
        ({"channels": 3}, r"the label holds class 70000 in the box at .*, but channels = 3 are the classes 0 to 2"),
        ({"channels": 5, "classes": [1, 5]}, r"classes must be of 1 to 4 \(channels = 5\); got \[1, 5\]"),
        ({"channels": 0}, r"classes must be of 1 to 1 \(channels = 0\)"),
        ({"classes": [], "background": False}, "leave nothing to draw"),
        ({"regions": []}, r"regions: expected boxes .*; got none"),
        (
            {"regions": [[[0, 0, 0], [30, 5, 5]]]},
            r"region \[\[0, 0, 0\], \[30, 5, 5\]\] of .* must lie within its shape",
        ),
        ({"exclude": [[[5, 0, 0], [5, 5, 5]]]}, r"region \[\[5, 0, 0\], \[5, 5, 5\]\]"),
        ({"regions": [[[17, 0, 0], [20, 12, 14]]], "k": 4}, r"need 2 of each class.*class 1: 0, .* leave out class 1"),
    ],
)
def test_faults(path, options, message):
    with pytest.raises(ValueError, match=message):
        draw_points(path, **{"k": 900, **options})


def test_labels_that_hold_no_ids_are_refused(tmp_path):
    soft = store(tmp_path / "soft.zarr", np.full((4, 4, 4), 0.25, np.float32))
    with pytest.raises(ValueError, match=r"soft\.zarr holds 0\.25; expected classes or instance ids"):
        draw_points(soft, 2)
    endless = store(tmp_path / "endless.zarr", np.full((4, 4, 4), np.inf, np.float32))
    with pytest.raises(ValueError, match=r"endless\.zarr holds inf"):
        draw_points(endless, 2)
    two = store(tmp_path / "two.zarr", np.ones((2, 4, 4, 4), np.uint8), chunks=(2, 4, 4, 4))
    with pytest.raises(ValueError, match=r"two\.zarr has 2 channels; expected classes or instance ids, one channel"):
        draw_points(two, 2)
    encoded = store(tmp_path / "encoded.zarr", np.ones((4, 4, 4), np.uint8), attributes={"polytome": {"scale": 0.5}})
    with pytest.raises(ValueError, match=r"encoded\.zarr has encoded values"):
        draw_points(encoded, 2)
    small = store(tmp_path / "small.zarr", np.ones((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match=r"has shape \(4, 4, 3\), the label .* has \(4, 4, 4\) \(z y x\)"):
        draw_points(soft, 2, mask=small)
