"""Patches that move before they are read: within their range, evenly, by the seed."""

import numpy as np
import pytest
import zarr

from scripts.patches import add_start_ranges, split_patches
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


@pytest.mark.parametrize(
    ("arguments", "reach"),
    [
        ({"stride": 8}, 4),
        ({"jitter": 1}, 1),
        ({"jitter": [3, 3, 3], "guard": 2}, 2),
        ({"stride": 8, "guard": [3] * 3}, 3),
    ],
)
def test_how_far_is_said_by_stride_jitter_and_guard(volume, arguments, reach):
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


def test_moved_training_patches_never_meet_validation(volume):
    patches = [datum((0, 0, x)) for x in range(0, 52, 4)]
    train, val = split_patches(patches, [volume], val_fraction=0.3, guard=3)
    for item in add_start_ranges(train, [volume], stride=20, guard=3):
        (_, _, first), (_, _, last) = item["start_range"]
        assert all(first >= v["start"][2] + 8 or last + 8 <= v["start"][2] for v in val)


def test_the_seed_repeats_the_draws(volume):
    (item,) = add_start_ranges([datum((20, 20, 20))], [volume])
    np.testing.assert_array_equal(drawn(item, 10), drawn(item, 10))
