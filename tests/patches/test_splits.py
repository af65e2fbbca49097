"""Splits: no voxel in both parts, shares near what was asked for, seeds."""

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.patches import split_patches

SIZE = [4, 6, 5]


def patch(volume, start):
    return {"volume": volume, "start": list(start), "size": SIZE}


def share_a_voxel(a, b, guard=(0, 0, 0)):
    """Or, with a guard: have less than that between them along every axis."""
    return a["volume"] == b["volume"] and all(
        abs(p - q) < n + g for p, q, n, g in zip(a["start"], b["start"], SIZE, guard, strict=True)
    )


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40)),
        min_size=8,
        unique=True,
    ),
    guard=st.sampled_from([0, 3, [9, 0, 2], SIZE]),
    folds=st.sampled_from([None, 2, 3]),
    many=st.sampled_from([0, 20_000]),
    seed=st.integers(0, 9),
)
def test_blocks_keep_the_guard(monkeypatch, rows, guard, folds, many, seed):
    monkeypatch.setattr("scripts.patches.splits._MANY", many)
    patches = [patch(row[0], row[1:]) for row in rows]
    patches += [patch(v, (100 + 50 * i, 0, 0)) for v in (0, 1) for i in range(2)]  # alone: always something to part
    wanted = [guard] * 3 if isinstance(guard, int) else guard
    for fold in range(folds or 1):
        train, val = split_patches(
            patches, [{}, {}], val_fraction=0.3, guard=guard, n_folds=folds, fold=fold, seed=seed
        )
        assert not any(share_a_voxel(a, b, wanted) for a, b in itertools.product(train, val))
        assert all(p in patches for p in [*train, *val])


def test_touching_patches_may_be_parted():
    patches = [patch(0, (0, 0, 0)), patch(0, (4, 0, 0))]
    train, val = split_patches(patches, [{}], val_fraction=0.5, guard=0)
    assert len(train) == len(val) == 1
    with pytest.raises(ValueError, match=r"a guard of \[4, 6, 5\] voxels gives 2 for training and 0 for validation"):
        split_patches(patches, [{}], val_fraction=0.5, guard=SIZE)


def test_the_default_guard_gives_way_where_there_is_no_room(caplog):
    patches = [patch(0, (0, 0, 0)), patch(0, (4, 0, 0))]
    train, val = split_patches(patches, [{}], val_fraction=0.5)
    assert len(train) == len(val) == 1
    assert "a guard of [4, 6, 5] voxels between training and validation leaves no patch for one" in caplog.text


def test_one_connected_group_is_cut_by_a_plane():
    patches = [patch(0, (0, 0, x)) for x in range(200)]
    train, val = split_patches(patches, [{}], val_fraction=0.25, guard=7)
    assert len(val) / len(patches) == pytest.approx(0.25, abs=0.03)
    assert len(patches) - len(train) - len(val) == SIZE[2] - 1 + 7  # those across the plane, and the guard
    assert not any(share_a_voxel(a, b) for a, b in itertools.product(train, val))


def test_separate_groups_stay_whole():
    corners = [(0, 0, 100 * i) for i in range(10)]
    patches = [patch(0, np.add(corner, (0, 0, d))) for corner in corners for d in range(3)]
    train, val = split_patches(patches, [{}], val_fraction=0.2)
    assert len(val) == 6
    assert len(train) == 24


def test_volumes_named_by_hand_go_where_they_belong():
    patches = [patch(v, (0, 0, 10 * i)) for v in range(3) for i in range(4)]
    volumes = [{"split": "train"}, {"split": "val"}, {"split": "train"}]
    train, val = split_patches(patches, volumes)
    assert {p["volume"] for p in train} == {0, 2}
    assert {p["volume"] for p in val} == {1}


def test_by_volume_keeps_volumes_whole():
    patches = [patch(v, (0, 0, 10 * i)) for v in range(5) for i in range(4)]
    train, val = split_patches(patches, [{}] * 5, method="volume", val_fraction=0.2)
    assert len({p["volume"] for p in val}) == 1
    assert {p["volume"] for p in train}.isdisjoint({p["volume"] for p in val})


def test_random_takes_the_share_and_follows_the_seed():
    patches = [patch(0, (0, 0, x)) for x in range(100)]
    first = split_patches(patches, [{}], method="random", val_fraction=0.3, seed=1)
    assert len(first[1]) == 30
    assert first == split_patches(patches, [{}], method="random", val_fraction=0.3, seed=1)
    assert first != split_patches(patches, [{}], method="random", val_fraction=0.3, seed=2)


def test_no_validation_when_none_is_asked_for():
    patches = [patch(0, (0, 0, x)) for x in range(10)]
    assert split_patches(patches, [{}], val_fraction=0) == (patches, [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "blocks"}, "method must be one of block, volume, random; got 'blocks'"),
        ({"val_fraction": 1.0}, "val_fraction must be at least 0 and below 1; got 1.0"),
        ({"method": "volume"}, "gives 1 for training and 0 for validation"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        split_patches([patch(0, (0, 0, 0))], [{}], **arguments)


@pytest.mark.parametrize("method", ["block", "volume", "random"])
def test_every_patch_validates_in_one_fold(method):
    """Separate groups, more of them than folds: the folds divide the patches."""
    patches = [patch(v, (0, 0, 100 * i + d)) for v in range(6) for i in range(2) for d in range(3)]
    seen = []
    for fold in range(3):
        train, val = split_patches(patches, [{}] * 6, method=method, n_folds=3, fold=fold, seed=5)
        assert len(val) == 12
        assert sorted(map(str, [*train, *val])) == sorted(map(str, patches))
        seen += val
    assert sorted(map(str, seen)) == sorted(map(str, patches))


def test_folds_of_one_connected_group_are_slabs():
    patches = [patch(0, (0, 0, x)) for x in range(300)]
    seen = []
    for fold in range(4):
        train, val = split_patches(patches, [{}], n_folds=4, fold=fold, guard=2)
        assert 60 <= len(val) <= 80
        assert len(train) >= 200
        seen += [p["start"][2] for p in val]
    assert len(seen) == len(set(seen)) >= 280  # those across a plane never validate


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_folds": 1}, "got n_folds = 1, fold = 0"),
        ({"n_folds": 3, "fold": 3}, "a fold from 0 to n_folds - 1; got n_folds = 3, fold = 3"),
        ({"guard": -1}, "guard must be voxels z, y, x, 0 or more; got -1"),
        ({"guard": [1, 2]}, r"guard must be voxels z, y, x, 0 or more; got \[1, 2\]"),
    ],
)
def test_bad_folds_and_guards(arguments, message):
    with pytest.raises(ValueError, match=message):
        split_patches([patch(0, (0, 0, 0)), patch(0, (0, 0, 50))], [{}], **arguments)
