"""Patches that move before they are read: within their range, evenly, by the seed."""

import itertools

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.patches import add_start_ranges
from scripts.transforms import RandPatchStartd


@pytest.fixture
def volume(tmp_path):
    zarr.create_array(str(tmp_path / "image.zarr"), shape=(40, 50, 60), chunks=(20, 20, 20), dtype="uint8")
    return {"image": str(tmp_path / "image.zarr")}


def datum(start, size=(8, 8, 8)):
    return {"image": "x", "start": list(start), "size": list(size), "volume": 0}


def drawn(item, n=2000):
    transform = RandPatchStartd()
    transform.set_random_state(0)
    return np.array([transform(item)["start"] for _ in range(n)])


def test_starts_fill_the_lattice_cell_evenly(volume):
    """Stride 4 in an 8-patch: two voxels to each side; at the border no further than the volume."""
    (item,) = add_start_ranges([datum((10, 0, 51))], [volume])
    starts = drawn(item)
    for axis, expected in enumerate([range(8, 13), range(3), range(49, 53)]):
        values, times = np.unique(starts[:, axis], return_counts=True)
        assert values.tolist() == list(expected)
        assert times.min() > 0.8 * len(starts) / len(values)
    assert RandPatchStartd()(item)["found"] == [10, 0, 51]
    assert "start_range" not in RandPatchStartd()(item)


@pytest.mark.parametrize(("arguments", "reach"), [({"stride": 8}, 4), ({"jitter": 1}, 1), ({"jitter": [3, 3, 3]}, 3)])
def test_how_far_is_said_by_stride_and_jitter(volume, arguments, reach):
    (item,) = add_start_ranges([datum((20, 20, 20))], [volume], **arguments)
    assert item["start_range"] == [[20 - reach] * 3, [20 + reach] * 3]


def test_no_jitter_leaves_the_start_alone(volume):
    (item,) = add_start_ranges([datum((20, 20, 20))], [volume], jitter=0)
    assert "start_range" not in item
    assert (drawn(item, 5) == 20).all()
    with pytest.raises(ValueError, match="0 or more; got -2"):
        add_start_ranges([datum((20, 20, 20))], [volume], jitter=-2)


def test_a_region_and_a_volume_smaller_than_the_patch_hold_it(volume):
    row = {**volume, "region": [[5, 5, 5], [14, 30, 12]]}
    (item,) = add_start_ranges([datum((5, 10, 5))], [row])
    assert item["start_range"] == [[5, 8, 5], [6, 12, 5]]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    starts=st.lists(st.tuples(st.integers(0, 32), st.integers(0, 42), st.integers(0, 52)), min_size=4, unique=True),
    jitter=st.integers(1, 9),
)
def test_moved_training_patches_never_meet_validation(volume, starts, jitter):
    """Of patches that share no voxel where they were found, wherever within its range one moves."""
    patches = [datum(start) for start in starts]
    train, val = patches[::2], patches[1::2]
    train = [p for p in train if not any(overlap(p["start"], v["start"]) for v in val)]
    for item in add_start_ranges(train, [volume], jitter=jitter, validation=val):
        first, last = item["start_range"]
        assert all(a <= s <= b for a, s, b in zip(first, item["start"], last, strict=True))
        for corner in itertools.product(*zip(first, last, strict=True)):
            assert not any(overlap(corner, v["start"]) for v in val)


def test_validation_takes_no_more_room_than_it_needs(volume):
    (item,) = add_start_ranges([datum((10, 10, 10))], [volume], jitter=4, validation=[datum((10, 20, 10))])
    assert item["start_range"] == [[6, 6, 6], [14, 12, 14]]  # 2 voxels are between the two along y


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    starts=st.lists(st.tuples(st.integers(0, 32), st.integers(0, 42), st.integers(0, 52)), min_size=4, unique=True),
    jitter=st.integers(0, 5),
)
def test_what_a_turned_patch_reads_never_meets_validation(volume, starts, jitter):
    """Twice the patch around any start in its range, within the bounds, which hold the patch itself."""
    patches = [datum(start) for start in starts]
    train, val = patches[::2], patches[1::2]
    train = [p for p in train if not any(overlap(p["start"], v["start"]) for v in val)]
    for item in add_start_ranges(train, [volume], jitter=jitter, validation=val, max_enlargement=2.0):
        low, high = (np.array(corner) for corner in item["bounds"])
        for corner in itertools.product(*zip(*item.get("start_range", [item["start"]] * 2), strict=True)):
            assert (low <= corner).all()
            assert (np.array(corner) + 8 <= high).all()
            first, last = np.maximum(np.array(corner) - 4, low), np.minimum(np.array(corner) + 12, high)
            assert not any((first < np.array(v["start"]) + 8).all() and (last > v["start"]).all() for v in val)


def test_bounds_are_the_volume_or_the_region(volume):
    (item,) = add_start_ranges([datum((10, 10, 10))], [volume])
    assert [list(corner) for corner in item["bounds"]] == [[0, 0, 0], [40, 50, 60]]
    row = {**volume, "region": [[5, 5, 5], [14, 30, 12]]}
    (item,) = add_start_ranges([datum((5, 10, 5))], [row])
    assert [list(corner) for corner in item["bounds"]] == [[5, 5, 5], [14, 30, 12]]


def overlap(a, b):
    return all(abs(p - q) < 8 for p, q in zip(a, b, strict=True))


def test_the_seed_repeats_the_draws(volume):
    (item,) = add_start_ranges([datum((20, 20, 20))], [volume])
    np.testing.assert_array_equal(drawn(item, 10), drawn(item, 10))
