"""Volumes seen along several axes: rows, statistics, patches, and splits that share no voxel of what is stored."""

import itertools
import json

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.patches import (
    add_start_ranges,
    count_classes,
    crop_patches,
    find_patches,
    image_statistics,
    make_datalist,
    open_array,
    open_images,
    slice_volumes,
    split_patches,
    volume_box,
)
from scripts.patches.slice_views import join_slices, stored_patches, stored_rows

AXES = {"zyx": (0, 1, 2), "yzx": (1, 0, 2), "xzy": (2, 0, 1)}
SIZE = [1, 6, 5]
TARGETS = {"sheet": {"channels": 1}}


def voxels(patch, volumes):
    """Stored voxels of a patch, by walking through it along its axes."""
    axes = volumes[patch["volume"]].get("axes") or "zyx"
    ranges = [range(s, s + n) for s, n in zip(patch["start"], patch["size"], strict=True)]
    where = [axes.index(axis) for axis in "zyx"]
    name = volumes[patch["volume"]].get("image")
    return {(name, *(place[n] for n in where)) for place in itertools.product(*ranges)}


def all_voxels(patches, volumes):
    return set().union(*(voxels(patch, volumes) for patch in patches)) if patches else set()


def slices(volumes, shape, stride=3):
    """Every slice of every view, each covered with patches."""
    found = []
    for number, row in enumerate(volumes):
        extent = [shape["zyx".index(axis)] for axis in row.get("axes") or "zyx"]
        steps = [range(0, n - size + 1, 1 if size == 1 else stride) for n, size in zip(extent, SIZE, strict=True)]
        found += [{"volume": number, "start": list(s), "size": SIZE} for s in itertools.product(*steps)]
    return found


def test_each_volume_is_listed_once_for_each_axis():
    volumes = [{"image": "a", "split": "val"}, {"image": "b", "region": [[0, 0, 0], [1, 2, 3]]}]
    assert slice_volumes(volumes) == slice_volumes(volumes, ["z"], [8, 8, 8]) == volumes
    rows = slice_volumes(volumes, ["z", "y", "x"], [1, 8, 8])
    assert [(row["image"], row.get("axes")) for row in rows] == [
        ("a", None), ("a", "yzx"), ("a", "xzy"), ("b", None), ("b", "yzx"), ("b", "xzy"),
    ]  # fmt: skip
    assert all(row.get("split") == "val" for row in rows[:3])
    assert slice_volumes(volumes[:1], ["x"], [1, 4, 4]) == [{**volumes[0], "axes": "xzy"}]
    own = [{"image": "a", "axes": "xyz"}]
    assert slice_volumes(own, ["z", "y"], [1, 4, 4]) == own


@pytest.mark.parametrize(
    ("slice_axes", "patch_size", "message"),
    [
        (
            ["z", "y"],
            [16, 16, 16],
            r"slice_axes = \['z', 'y'\] needs patches of one slice, .* got \[16, 16, 16\]",
        ),
        (["x"], [2, 16, 16], r"slice_axes = \['x'\] needs patches of one slice"),
        (["t"], [1, 16, 16], "slice_axes must be a list of names out of z, y, x; got 't'"),
        ([], [1, 16, 16], "at least one of z, y, x"),
    ],
)
def test_axes_that_cannot_be(slice_axes, patch_size, message):
    with pytest.raises(ValueError, match=message):
        slice_volumes([{"image": "a"}], slice_axes, patch_size)


def test_rows_that_differ_in_axes_alone_are_one_stored_volume():
    """A row that is listed twice is two volumes, as it is without axes."""
    row, other = {"image": ["a", "b"], "split": "val"}, {"image": "c"}
    table = [row, {**row, "axes": "yzx"}, other, {**row, "axes": "xzy"}, row, {**row, "axes": "yzx"}]
    assert stored_rows(table) == ([row, other, row], [0, 0, 1, 0, 2, 2])
    patch = {"volume": 3, "start": [7, 2, 3], "size": [1, 5, 4]}
    assert stored_patches([patch], table) == [{"volume": 0, "start": [2, 3, 7], "size": [5, 4, 1]}]


def test_slices_one_behind_the_other_are_one_box():
    """Of one volume, side by side, without a gap; thick patches stay as they are."""
    flat = [(0, (z, 4, 5)) for z in (3, 1, 2, 2, 5)] + [(0, (2, 5, 5)), (1, (2, 4, 5))]
    thick = [{"volume": 0, "start": [n, 0, 0], "size": [2, 6, 6]} for n in (0, 1)]
    upright = [{"volume": 0, "start": [7, 0, x], "size": [6, 6, 1]} for x in (8, 9)]
    patches = [{"volume": v, "start": list(start), "size": [1, 6, 6]} for v, start in flat]
    found = zip(*(part.tolist() for part in join_slices([*patches, *thick, *upright])), strict=True)
    assert sorted(map(str, found)) == sorted(
        map(str, [
            (0, [1, 4, 5], [3, 6, 6]), (0, [5, 4, 5], [1, 6, 6]), (0, [2, 5, 5], [1, 6, 6]), (1, [2, 4, 5], [1, 6, 6]),
            (0, [0, 0, 0], [2, 6, 6]), (0, [1, 0, 0], [2, 6, 6]), (0, [7, 0, 8], [6, 6, 2]),
        ])
    )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(*[st.integers(8, 22)] * 3),
    axes=st.sampled_from(["zyx", "zy", "x"]),
    guard=st.sampled_from([None, 0, 2]),
    method=st.sampled_from(["block", "volume"]),
    folds=st.sampled_from([None, 2]),
    seed=st.integers(0, 5),
)
def test_no_stored_voxel_is_in_both_parts(shape, axes, guard, method, folds, seed):
    volumes = slice_volumes([{"image": "a"}, {"image": "b"}], list(axes), SIZE)
    patches = slices(volumes, shape)
    train, val = split_patches(
        patches, volumes, method=method, guard=guard, n_folds=folds, val_fraction=0.3, seed=seed
    )  # fmt: skip
    assert train
    assert val
    assert not all_voxels(train, volumes) & all_voxels(val, volumes)


def test_a_guard_lies_between_the_parts_whichever_way_they_are_seen():
    volumes = slice_volumes([{"image": "a"}], ["z", "y", "x"], SIZE)
    train, val = split_patches(slices(volumes, (30, 12, 12)), volumes, guard=3, val_fraction=0.3)
    planes = [sorted({z for _, z, _, _ in all_voxels(part, volumes)}) for part in (train, val)]
    gap = max(planes[1][0] - planes[0][-1], planes[0][0] - planes[1][-1]) - 1
    assert gap >= 3
    views = [{patch["volume"] for patch in part} for part in (train, val)]
    assert views == [{0, 1, 2}] * 2


def test_the_default_guard_gives_way_where_an_axis_would_not_train(caplog):
    """Of 14 voxels, 6 or 5 belong to a patch, and as many to the guard: only slices across the cut would be left."""
    volumes = slice_volumes([{"image": "a"}], ["z", "y", "x"], SIZE)
    patches = slices(volumes, (14, 14, 14))
    train, val = split_patches(patches, volumes)
    assert {patch["volume"] for patch in train} == {0, 1, 2}
    assert not all_voxels(train, volumes) & all_voxels(val, volumes)
    assert "a guard of [6, 6, 5] voxels between training and validation leaves no patch" in caplog.text
    kept, _ = split_patches(patches, volumes, guard=[6, 6, 5])
    assert len({patch["volume"] for patch in kept}) == 1


def test_patches_of_one_kind_are_divided_as_before():
    """`axes` that are the stored ones, and none, are the same."""
    plain = [{"image": "a"}]
    patches = slices(plain, (20, 20, 20))
    assert split_patches(patches, plain) == split_patches(patches, [{"image": "a", "axes": "zyx"}])


def test_random_cannot_part_slices_that_cross():
    volumes = slice_volumes([{"image": "a"}], ["z", "x"], SIZE)
    with pytest.raises(ValueError, match=r"seen along several axes \(xzy, zyx\): slices cross each other"):
        split_patches(slices(volumes, (9, 9, 9)), volumes, method="random")
    alone = slice_volumes([{"image": "a"}, {"image": "b"}], ["x"], SIZE)
    assert all(split_patches(slices(alone, (9, 9, 9)), alone, method="random"))


@pytest.fixture(scope="module")
def plates(tmp_path_factory):
    """Plates across z: lines in slices along y and x, all or nothing in slices along z."""
    folder = tmp_path_factory.mktemp("plates")
    index = np.indices((24, 20, 16))
    sheet = (index[0] % 6 < 2).astype(np.uint8)
    rng = np.random.default_rng(0)
    arrays = {"image": (sheet * 100 + rng.integers(0, 20, sheet.shape)).astype(np.uint8), "sheet": sheet}
    for name, array in arrays.items():
        zarr.create_array(str(folder / f"{name}.zarr"), shape=array.shape, chunks=(7, 8, 9), dtype="uint8")[...] = array
    return {key: f"{folder}/{key}.zarr" for key in arrays}, arrays


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    jitter=st.integers(0, 6),
    shares=st.lists(st.integers(0, 2), min_size=30, max_size=30),
    enlargement=st.sampled_from([1.0, 2.0]),
)
def test_moved_and_enlarged_patches_stay_out_of_validation_of_other_views(plates, jitter, shares, enlargement):
    volumes = slice_volumes([plates[0]], ["z", "y", "x"], SIZE)
    patches = slices(volumes, (24, 20, 16), stride=4)[::61]
    parts = {n: [p for p, share in zip(patches, shares, strict=False) if share == n] for n in range(3)}
    taken = all_voxels(parts[1], volumes)
    train = [patch for patch in parts[0] if not voxels(patch, volumes) & taken]
    for item in add_start_ranges(
        train, volumes, jitter=jitter, validation=parts[1], max_enlargement=enlargement
    ):  # fmt: skip
        for corner in itertools.product(*zip(*item.get("start_range", [item["start"]] * 2), strict=True)):
            assert not voxels({**item, "start": corner}, volumes) & taken
        low, high = item["bounds"]
        bounds = {**item, "start": low, "size": np.subtract(high, low).tolist()}
        near = voxels(bounds, volumes) & taken
        reach = [jitter + n / 2 * (enlargement - 1) for n in SIZE]
        axes = volumes[item["volume"]].get("axes") or "zyx"
        for _, *place in near:  # further away than any box that may be read
            along = [place["zyx".index(axis)] for axis in axes]
            assert any(
                p < s - r or p >= s + n + r for p, s, n, r in zip(along, item["start"], SIZE, reach, strict=True)
            )


def test_the_search_finds_in_each_view_what_it_finds_in_the_transposed_array(plates, tmp_path):
    rows, arrays = plates
    thresholds = {"min_bbox_percent": 0.5, "min_labeled_ratio": 0.3, "targets": TARGETS}
    volumes = slice_volumes([{**rows, "region": [[2, 0, 0], [22, 19, 16]]}], ["z", "y", "x"], [1, 8, 8])
    found = find_patches(volumes, [1, 8, 8], **thresholds)
    assert {patch["volume"] for patch in found} == {0, 1, 2}
    for number, (axes, order) in enumerate(AXES.items()):
        turned = arrays["sheet"].transpose(order)
        path = tmp_path / f"{axes}.zarr"
        zarr.create_array(str(path), shape=turned.shape, chunks=(8, 8, 8), dtype="uint8")[...] = turned
        region = [[corner[axis] for axis in order] for corner in volumes[0]["region"]]
        row = {"image": str(path), "sheet": str(path), "region": region}
        expected = find_patches([row], [1, 8, 8], **thresholds)
        assert [{**patch, "volume": 0} for patch in found if patch["volume"] == number] == expected


def test_a_cache_of_the_search_is_that_of_its_axes(plates, tmp_path, caplog):
    cache = tmp_path / "patches.json"
    options = {"min_bbox_percent": 0, "min_labeled_ratio": 0, "cache_file": cache}
    plain, turned = ([{**plates[0], "axes": axes}] for axes in ("zyx", "zxy"))
    first = find_patches(plain, [8, 8, 8], **options)
    header = json.loads(cache.read_text())
    second = find_patches(turned, [8, 8, 8], **options)
    assert json.loads(cache.read_text()) != header
    assert first != second
    assert find_patches([plates[0]], [8, 8, 8], **options) == first


def test_crops_are_covered_in_each_view(plates):
    volumes = slice_volumes([plates[0]], ["z", "x"], [1, 8, 8])
    patches = crop_patches(volumes, [1, 8, 8], stride=[1, 8, 8], targets=TARGETS)
    for number in (0, 1):
        own = [patch for patch in patches if patch["volume"] == number]
        assert len(all_voxels(own, volumes)) == 24 * 20 * 16


def test_classes_of_a_patch_are_counted_along_its_axes(plates):
    rows, arrays = plates
    volumes = slice_volumes([rows], ["z", "y", "x"], SIZE)
    patches = slices(volumes, (24, 20, 16), stride=5)[::7]
    counts = count_classes(volumes, patches, TARGETS).counts[:, 0]
    expected = [sum(arrays["sheet"][place[1:]] for place in voxels(patch, volumes)) for patch in patches]
    assert counts.tolist() == expected


@pytest.mark.parametrize("scheme", ["zscore_volume", "percentile", "ct"])
def test_a_volume_is_measured_once_however_it_is_seen(plates, tmp_path, monkeypatch, scheme):
    rows = plates[0]
    plain = image_statistics([rows, rows], scheme, targets=TARGETS)
    cache = tmp_path / "intensities.json"
    read = []
    monkeypatch.setattr("scripts.patches.intensities.open_images", lambda row: read.append(row) or open_images(row))
    views = slice_volumes([rows, rows], ["z", "y", "x"], SIZE)
    seen = image_statistics(views, scheme, targets=TARGETS, cache_file=cache)
    assert seen["foreground"] == plain["foreground"]
    assert seen["volumes"] == [row for row in plain["volumes"] for _ in range(3)]
    assert not any("axes" in row for row in read)
    assert len(read) == 4  # once for the header, once for the voxels
    assert image_statistics([rows, rows], scheme, targets=TARGETS, cache_file=cache) == plain
    assert len(read) == 6  # the cache serves it


def test_a_datum_is_along_the_axes_of_its_volume(plates):
    """Its spacing too, from which the box of a turned patch follows."""
    row = {**plates[0], "spacing": [4.0, 2.0, 1.0], "axes": "xzy", "region": [[0, 1, 2], [10, 11, 12]]}
    (datum,) = make_datalist([row], [{"volume": 0, "start": [2, 0, 1], "size": SIZE}], TARGETS)
    assert datum["axes"] == "xzy"
    assert datum["spacing"] == [1.0, 4.0, 2.0]
    assert "region" not in datum
    assert volume_box(row, open_array(row, "image")) == ([2, 0, 1], [12, 10, 11])
    with pytest.raises(ValueError, match=r"region \[\[2, 0, 1\], \[12, 10, 91\]\] .* shape \[16, 24, 20\] \(x z y\)"):
        volume_box({**row, "region": [[0, 1, 2], [10, 91, 12]]}, open_array(row, "image"))
