"""Patches around annotated points: every point in one, few of them, and never without a point once they move."""

import itertools

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.patches import add_start_ranges, make_datalist, point_patches, split_patches, volume_faults
from scripts.volumes import Point, create_ome_zarr, write_points

SHAPE = (20, 30, 40)
TARGETS = {"cell": {"channels": 2}}


def store(path, shape=SHAPE):
    zarr.create_array(str(path), shape=shape, chunks=(10, 10, 10), dtype="uint8")
    return str(path)


def write(path, places):
    write_points(path, [Point(*place, 1) for place in places])
    return str(path)


@pytest.fixture
def volume(tmp_path):
    def make(places, **options):
        if not (tmp_path / "image.zarr").exists():
            store(tmp_path / "image.zarr")
        return {
            "image": str(tmp_path / "image.zarr"),
            "points": write(tmp_path / "points.csv", places),
            **options,
        }

    return make


def held(patch, places):
    start = np.array(patch["start"])
    return (np.array(places) >= start).all(axis=1) & (np.array(places) < start + patch["size"]).all(axis=1)


PLACES = st.lists(
    st.tuples(*(st.integers(0, n - 1) for n in SHAPE)), min_size=1, max_size=40, unique=True
)  # fmt: skip
SIZES = st.tuples(st.integers(1, 20), st.integers(1, 30), st.integers(1, 40))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=PLACES, size=SIZES)
def test_every_point_lies_in_a_patch_inside_the_volume(volume, places, size):
    patches = point_patches([volume(places)], size)
    assert np.any([held(patch, places) for patch in patches], axis=0).all()
    assert len(patches) <= len(places)
    for patch in patches:
        assert patch["volume"] == 0
        assert patch["ref_label"] is None
        assert patch["size"] == list(size)
        assert all(0 <= s <= n - p for s, p, n in zip(patch["start"], size, SHAPE, strict=True))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=PLACES, size=SIZES, jitter=st.integers(0, 40))
def test_a_patch_that_moves_keeps_a_point(volume, places, size, jitter):
    rows = [volume(places)]
    patches = point_patches(rows, size)
    for patch, datum in zip(patches, add_start_ranges(patches, rows, jitter=jitter), strict=True):
        if jitter == 0:
            assert "start_range" not in datum
        for limits in (patch["start_range"], datum.get("start_range", [datum["start"]] * 2)):
            assert all(a <= s <= b for a, s, b in zip(limits[0], patch["start"], limits[1], strict=True))
            for corner in itertools.product(*zip(*limits, strict=True)):
                assert held({**patch, "start": corner}, places).any()
                assert all(0 <= s <= n - p for s, p, n in zip(corner, size, SHAPE, strict=True))


def test_groups_of_points_have_a_patch_each_around_their_middle(volume):
    rng = np.random.default_rng(0)
    corners = [(2, 3, 4), (2, 20, 4), (10, 3, 30)]
    places = [
        tuple((np.array(corner) + offset).tolist())
        for corner in corners
        for offset in [(0, 0, 0), (5, 5, 5), *rng.integers(0, 6, (20, 3))]
    ]
    places = list(dict.fromkeys(places))
    patches = point_patches([volume(places)], (8, 8, 8))
    assert [patch["start"] for patch in patches] == [[1, 2, 3], [1, 19, 3], [9, 2, 29]]
    assert [int(held(patch, places).sum()) for patch in patches] == [
        sum(np.all(np.subtract(place, corner) < 6) and np.all(np.subtract(place, corner) >= 0) for place in places)
        for corner in corners
    ]


def test_a_patch_of_one_voxel_is_one_point(volume):
    places = [(1, 2, 3), (1, 2, 4), (19, 29, 39), (0, 0, 0)]
    rows = [volume(places)]
    patches = point_patches(rows, [1, 1, 1])
    assert sorted(tuple(patch["start"]) for patch in patches) == sorted(places)
    moved = add_start_ranges(patches, rows)
    assert [datum["start"] for datum in moved] == [patch["start"] for patch in patches]
    assert all("start_range" not in datum for datum in moved)


def test_a_region_holds_its_patches_and_leaves_points_out(volume, caplog):
    row = volume([(5, 5, 5), (12, 12, 12), (0, 29, 39)], region=[[4, 4, 4], [14, 14, 14]])
    with caplog.at_level("INFO"):
        patches = point_patches([row], (8, 8, 8))
    assert [patch["start"] for patch in patches] == [[5, 5, 5]]
    assert "1 points outside of the volume's region are left out" in caplog.text
    assert [patch["start"] for patch in point_patches([row], (6, 6, 6))] == [[4, 4, 4], [8, 8, 8]]
    wide = point_patches([row], (16, 30, 12))
    assert [patch["start"] for patch in wide] == [[1, 0, 3]]
    assert wide[0]["start_range"] == [[1, 0, 3], [1, 0, 3]]
    with pytest.raises(ValueError, match=r"none of its 3 points lies in the region \[\[0, 0, 0\], \[2, 2, 2\]\]"):
        point_patches([{**row, "region": [[0, 0, 0], [2, 2, 2]]}], (2, 2, 2))


def test_a_volume_smaller_than_a_patch_has_one(volume):
    patches = point_patches([volume([(0, 0, 0), (19, 29, 39)])], (32, 32, 48))
    assert [(patch["start"], patch["start_range"]) for patch in patches] == [([0, 0, 0], [[0, 0, 0], [0, 0, 0]])]


def test_volumes_without_points_are_covered_by_their_label(volume, tmp_path):
    sparse = volume([(3, 3, 3)], split="train")
    dense = {"image": sparse["image"], "cell": store(tmp_path / "cell.zarr"), "split": "val"}
    patches = point_patches([sparse, dense], (4, 4, 4), cover_size=(20, 15, 20), targets=TARGETS)
    assert [patch["size"] for patch in patches if patch["volume"] == 0] == [[4, 4, 4]]
    covering = [(patch["volume"], patch["start"], patch["size"]) for patch in patches if patch["volume"] == 1]
    assert covering == [(1, [0, y, x], [20, 15, 20]) for y in (0, 7, 14, 15) for x in (0, 10, 20)]
    train, val = split_patches(patches, [sparse, dense], val_fraction=0)
    assert {patch["volume"] for patch in train} == {0}
    assert {patch["volume"] for patch in val} == {1}
    data = make_datalist([sparse, dense], train, TARGETS)
    assert data[0]["points"] == sparse["points"]
    assert {patch["size"][0] for patch in point_patches([dense], (4, 4, 4))} == {4}


def test_points_make_a_table_whole(volume, tmp_path):
    row = volume([(3, 3, 3)])
    assert volume_faults([row], TARGETS, 1) == []
    (fault,) = volume_faults([{"image": row["image"]}], TARGETS, 1)
    assert fault.startswith("targets: cell: no volume carries 'cell'")
    (fault,) = volume_faults([row], {"depth": {"channels": 1, "kind": "scalar"}}, 1)
    assert fault.startswith("targets: depth: no volume carries 'depth'")
    (fault,) = volume_faults([volume([(3, 3, 3), (20, 0, 0)])], TARGETS, 1)
    assert fault.startswith(
        f"volumes[0]: points: {row['points']}, line 3: the point [20, 0, 0] lies outside of the volume"
    )
    (fault,) = volume_faults([{**row, "points": str(tmp_path / "none.csv")}], TARGETS, 1)
    assert "none.csv" in fault


def test_points_are_voxels_of_the_image_as_it_is_stored(volume, tmp_path):
    create_ome_zarr(tmp_path / "fine.zarr", (1, 20, 20, 20), "uint8", spacing=(4, 4, 4), unit="nm")
    row = {**volume([(3, 3, 3)]), "image": str(tmp_path / "fine.zarr"), "spacing": [4, 4, 4]}
    assert len(point_patches([row], (4, 4, 4))) == 1
    coarse = {**row, "spacing": [8, 8, 8]}
    with pytest.raises(
        ValueError, match=r"as it is stored, of \[4\.0, 4\.0, 4\.0\], but it is read at spacing = \[8\.0"
    ):
        point_patches([coarse], (4, 4, 4))
    (fault,) = volume_faults([coarse], TARGETS, 1)
    assert "volumes[0]: points: " in fault
    with pytest.raises(ValueError, match=r"points are voxels along z, y, x, but axes = 'yzx'; leave 'axes' out"):
        point_patches([volume([(3, 3, 3)], axes="yzx")], (4, 4, 4))


def test_faults(volume):
    with pytest.raises(ValueError, match=r"patch_size must be three positive numbers z, y, x; got \[8, 0, 8\]"):
        point_patches([volume([(3, 3, 3)])], (8, 0, 8))
    row = volume([(3, 3, 3)])
    with pytest.raises(ValueError, match="has no label, so that nothing says what is annotated there"):
        point_patches([row, {"image": row["image"]}], (8, 8, 8))
