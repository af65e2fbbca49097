"""Patch search against a brute-force count over the raw labels."""

import json
import logging
import re

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.patches import find_patches
from scripts.volumes import Volume


def write_label(path, label, chunks):
    array = zarr.create_array(str(path), shape=label.shape, chunks=chunks, dtype=label.dtype, overwrite=True)
    array[...] = label
    return str(path)


def axis_candidates(low, high, patch, stride):
    last = max(high - patch, low)
    return sorted({*range(low, last + 1, stride), last})


def brute_force(label, patch, stride, low, high, min_bbox, min_ratio):
    """Starts of the kept patches, from the definition and nothing else."""
    found = []
    for z in axis_candidates(low[0], high[0], patch[0], stride[0]):
        for y in axis_candidates(low[1], high[1], patch[1], stride[1]):
            for x in axis_candidates(low[2], high[2], patch[2], stride[2]):
                stop = [min(s + p, h) for s, p, h in zip((z, y, x), patch, high, strict=True)]
                box = label[z : stop[0], y : stop[1], x : stop[2]] != 0
                if not box.any():
                    continue
                where = np.argwhere(box)
                bbox = np.prod(where.max(axis=0) - where.min(axis=0) + 1)
                if bbox / box.size >= min_bbox and box.sum() / bbox >= min_ratio:
                    found.append([z, y, x])
    return found


def starts(patches):
    return sorted(patch["start"] for patch in patches)


lengths = st.tuples(*[st.integers(3, 17)] * 3)
small = st.tuples(*[st.integers(1, 7)] * 3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=lengths,
    chunks=small,
    patch=small,
    stride=small,
    density=st.sampled_from([0.02, 0.3, 0.9]),
    min_bbox=st.sampled_from([0.0, 0.5, 0.95]),
    min_ratio=st.sampled_from([0.0, 0.2, 0.8]),
    seed=st.integers(0, 99),
)
def test_equals_brute_force(tmp_path, shape, chunks, patch, stride, density, min_bbox, min_ratio, seed):
    rng = np.random.default_rng(seed)
    label = (rng.random(shape) < density).astype(np.uint8)
    label[rng.random(shape) < 0.5] *= 3
    if seed % 2:  # leave most of the volume, and so most chunks, without labels
        label[shape[0] // 2 :] = 0
    path = write_label(tmp_path / "label.zarr", label, tuple(min(c, n) for c, n in zip(chunks, shape, strict=True)))
    expected = brute_force(label, patch, stride, (0, 0, 0), shape, min_bbox, min_ratio)
    volumes = [{"image": path, "label": path}]
    arguments = {"stride": stride, "min_bbox_percent": min_bbox, "min_labeled_ratio": min_ratio}
    if expected:
        assert starts(find_patches(volumes, patch, **arguments)) == expected
    else:
        with pytest.raises(ValueError, match="no patch of"):
            find_patches(volumes, patch, **arguments)


def test_region_limits_the_search(tmp_path):
    rng = np.random.default_rng(1)
    label = (rng.random((20, 20, 20)) < 0.7).astype(np.uint8)
    path = write_label(tmp_path / "label.zarr", label, (7, 7, 7))
    low, high = [3, 0, 5], [16, 11, 20]
    found = find_patches([{"image": path, "label": path, "region": [low, high]}], (6, 5, 7), min_bbox_percent=0.9)
    assert starts(found) == brute_force(label, (6, 5, 7), (3, 2, 3), low, high, 0.9, 0.1)
    assert all(patch["size"] == [6, 5, 7] and patch["volume"] == 0 for patch in found)


def test_every_channel_counts_as_label(tmp_path):
    label = np.zeros((3, 8, 8, 8), np.int8)
    label[2, :4] = -5
    path = write_label(tmp_path / "normals.zarr", label, (1, 4, 4, 4))
    found = find_patches([{"image": path, "normals": path}], (4, 8, 8), stride=4)
    assert starts(found) == [[0, 0, 0]]


def test_only_stored_chunks_are_read(tmp_path, monkeypatch):
    array = zarr.create_array(str(tmp_path / "label.zarr"), shape=(4096,) * 3, chunks=(16,) * 3, dtype=np.uint8)
    array[2048:2080, 2048:2080, 2048:2080] = 1
    path = str(tmp_path / "label.zarr")
    boxes = []
    read = Volume.read

    def counting_read(self, start, size, **kwargs):
        boxes.append((tuple(start), tuple(size)))
        return read(self, start, size, **kwargs)

    monkeypatch.setattr(Volume, "read", counting_read)
    found = find_patches([{"image": path, "label": path}], (32, 32, 32))
    assert starts(found) == [[2048, 2048, 2048]]
    assert len(boxes) == 8
    assert {size for _, size in boxes} == {(16, 16, 16)}


def test_ref_label_decides(tmp_path):
    first, second = np.zeros((8, 8, 8), np.uint8), np.zeros((8, 8, 8), np.uint8)
    first[:4], second[4:] = 1, 1
    volume = {
        "image": write_label(tmp_path / "image.zarr", first, (4, 4, 4)),
        "a": write_label(tmp_path / "a.zarr", first, (4, 4, 4)),
        "b": write_label(tmp_path / "b.zarr", second, (4, 4, 4)),
    }
    size = (4, 8, 8)
    assert starts(find_patches([volume], size, stride=4)) == [[0, 0, 0]]
    assert starts(find_patches([volume], size, stride=4, ref_label="b")) == [[4, 0, 0]]
    assert starts(find_patches([{**volume, "ref_label": "b"}], size, stride=4, ref_label="a")) == [[4, 0, 0]]
    with pytest.raises(ValueError, match=r"'c'.*its arrays: image, a, b"):
        find_patches([volume], size, ref_label="c")


def test_volume_smaller_than_the_patch_is_judged_by_its_own_size(tmp_path):
    label = np.ones((3, 8, 8), np.uint8)
    path = write_label(tmp_path / "thin.zarr", label, (3, 8, 8))
    assert starts(find_patches([{"image": path, "label": path}], (8, 8, 8))) == [[0, 0, 0]]


def test_says_how_close_the_best_candidate_came(tmp_path):
    label = np.zeros((8, 8, 8), np.uint8)
    label[:4, :8, :8] = 1
    path = write_label(tmp_path / "half.zarr", label, (8, 8, 8))
    with pytest.raises(ValueError, match=r"box around the labels 0.500 of the patch, labelled 1.000 of the box"):
        find_patches([{"image": path, "label": path}], (8, 8, 8), min_bbox_percent=0.9)
    empty = write_label(tmp_path / "empty.zarr", np.zeros((8, 8, 8), np.uint8), (8, 8, 8))
    with pytest.raises(ValueError, match="no labelled voxel at all"):
        find_patches([{"image": empty, "label": empty}], (8, 8, 8))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patch_size": (4, 4)}, r"patch_size must be three positive numbers z, y, x; got \[4, 4\]"),
        ({"patch_size": (4, 4, 4), "stride": 0}, r"stride must be three positive numbers z, y, x; got \[0, 0, 0\]"),
        ({"patch_size": (4, 4, 4), "min_bbox_percent": 95}, "min_bbox_percent is a share from 0 to 1; got 95"),
    ],
)
def test_bad_arguments(tmp_path, arguments, message):
    path = write_label(tmp_path / "label.zarr", np.ones((8, 8, 8), np.uint8), (8, 8, 8))
    with pytest.raises(ValueError, match=message):
        find_patches([{"image": path, "label": path}], **arguments)


@pytest.fixture
def labelled(tmp_path):
    label = np.ones((12, 12, 12), np.uint8)
    return {"image": "unused", "label": write_label(tmp_path / "label.zarr", label, (6, 6, 6))}


def test_cache_is_used_while_nothing_changed(labelled, tmp_path, monkeypatch):
    cache = tmp_path / "cache" / "patches.json"
    first = find_patches([labelled], (6, 6, 6), cache_file=cache)
    stored = json.loads(cache.read_text())
    assert stored["header"]["patch_size"] == [6, 6, 6]
    assert stored["patches"] == first
    monkeypatch.setattr("scripts.patches.search._count_volume", lambda *_: pytest.fail("searched again"))
    assert find_patches([labelled], (6, 6, 6), cache_file=cache) == first


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"patch_size": (6, 6, 4)}, r"patch_size\[2\]: 6 -> 4"),
        ({"stride": 2}, r"stride\[0\]: 3 -> 2"),
        ({"min_labeled_ratio": 0.5}, r"min_labeled_ratio: 0.1 -> 0.5"),
        ({"min_bbox_percent": 0.5}, r"min_bbox_percent: 0.95 -> 0.5"),
    ],
)
def test_cache_of_other_settings_is_stale(labelled, tmp_path, caplog, changed, said):
    cache = tmp_path / "patches.json"
    arguments = {"patch_size": (6, 6, 6), "cache_file": cache}
    find_patches([labelled], **arguments)
    with caplog.at_level(logging.WARNING):
        again = find_patches([labelled], **{**arguments, **changed})
    assert "stale" in caplog.text
    assert re.search(said, caplog.text)
    assert json.loads(cache.read_text())["patches"] == again


def test_cache_is_stale_when_labels_change_in_place(labelled, tmp_path, caplog):
    cache = tmp_path / "patches.json"
    before = find_patches([labelled], (6, 6, 6), cache_file=cache)
    zarr.open_array(labelled["label"], mode="r+")[6:] = 0
    with caplog.at_level(logging.WARNING):
        after = find_patches([labelled], (6, 6, 6), cache_file=cache)
    assert "fingerprint" in caplog.text
    assert len(after) < len(before)


def test_damaged_cache_is_rebuilt_with_a_reason(labelled, tmp_path, caplog):
    cache = tmp_path / "patches.json"
    expected = find_patches([labelled], (6, 6, 6), cache_file=cache)
    cache.write_text(cache.read_text()[:-20])
    with caplog.at_level(logging.WARNING):
        assert find_patches([labelled], (6, 6, 6), cache_file=cache) == expected
    assert "damaged" in caplog.text
    assert json.loads(cache.read_text())["patches"] == expected
