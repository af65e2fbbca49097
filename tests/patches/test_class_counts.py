"""Class counts against counting in the raw labels, and when they are counted again."""

import json
import logging

import numpy as np
import pytest
import zarr

from scripts.patches import count_classes, find_patches

TARGETS = {
    "organ": {"channels": 4, "ignore_label": 9},
    "vessel": {"channels": 1, "mask": "inside"},
    "depth": {"channels": 1, "kind": "scalar", "source": "vessel"},
}
SIZE = (6, 7, 8)


def write(path, array, chunks=(5, 6, 7)):
    stored = zarr.create_array(str(path), shape=array.shape, chunks=chunks, dtype=array.dtype)
    stored[...] = array
    return str(path)


@pytest.fixture
def labels():
    rng = np.random.default_rng(0)
    organ = rng.choice([0, 0, 0, 1, 2, 9], (20, 22, 24)).astype(np.uint8)
    organ[3:5, 3:5, 3:5] = 3
    vessel = (rng.random(organ.shape) < 0.2).astype(np.uint8) * 255
    inside = (rng.random(organ.shape) < 0.5).astype(np.uint8)
    return {"organ": organ, "vessel": vessel, "inside": inside}


@pytest.fixture
def volumes(labels, tmp_path):
    row = {"image": "unused", **{key: write(tmp_path / key, array) for key, array in labels.items()}}
    second = {"image": "unused", "organ": row["organ"], "ref_label": "organ"}
    return [row, second]


def by_hand(labels, patch):
    box = tuple(slice(s, s + n) for s, n in zip(patch["start"], patch["size"], strict=True))
    organ = [int((labels["organ"][box] == value).sum()) for value in (1, 2, 3)]
    vessel = int(((labels["vessel"][box] > 0) & (labels["inside"][box] > 0)).sum()) if patch["volume"] == 0 else -1
    return [*organ, vessel]


def test_counts_equal_those_in_the_raw_labels(volumes, labels):
    patches = find_patches(volumes, SIZE, min_bbox_percent=0.3, min_labeled_ratio=0)
    rng = np.random.default_rng(1)
    patches = [patches[i] for i in rng.permutation(len(patches))]
    patches += [{"volume": 0, "start": rng.integers(0, 14, 3).tolist(), "size": list(SIZE)} for _ in range(9)]
    counts = count_classes(volumes, patches, TARGETS)
    assert counts.names == ["organ 1", "organ 2", "organ 3", "vessel"]
    assert counts.counts.tolist() == [by_hand(labels, patch) for patch in patches]
    assert counts.of([3, 1]).counts.tolist() == counts.counts[[3, 1]].tolist()


def test_a_class_beyond_the_declared_ones_is_an_error(volumes):
    patches = find_patches(volumes, SIZE)
    few = {"organ": {"channels": 3, "ignore_label": 9}}
    with pytest.raises(ValueError, match=r"the label holds class 3 .* its target 'organ' has classes 0 to 2"):
        count_classes(volumes, patches, few)
    with pytest.raises(ValueError, match="no target is of kind label"):
        count_classes(volumes, patches, {"depth": {"channels": 1, "kind": "scalar"}})


def test_counted_once_and_cached_until_something_changes(volumes, tmp_path, monkeypatch, caplog):
    patches, cache = find_patches(volumes, SIZE), tmp_path / "counts.json"
    first = count_classes(volumes, patches, TARGETS, cache_file=cache)
    assert json.loads(cache.read_text())["header"]["classes"] == first.names
    with monkeypatch.context() as patched:
        patched.setattr("scripts.patches.class_counts._Counter", lambda *_: pytest.fail("counted again"))
        assert count_classes(volumes, patches, TARGETS, cache_file=cache).counts.tolist() == first.counts.tolist()
    with caplog.at_level(logging.WARNING):
        assert len(count_classes(volumes, patches[:-1], TARGETS, cache_file=cache).counts) == len(patches) - 1
    assert "the cache of counts is stale and will be made anew; changed: patches" in caplog.text
    zarr.open_array(volumes[0]["vessel"], mode="r+")[:] = 0
    changed = count_classes(volumes, patches, TARGETS, cache_file=cache)
    assert changed.counts[:, 3].max() == 0
    zarr.open_array(volumes[0]["vessel"], mode="r+")[:] = 1
    kept = cache.read_text()
    assert count_classes(volumes, patches, TARGETS, cache_file=cache, use_cache=False).counts[:, 3].max() > 0
    assert cache.read_text() == kept
