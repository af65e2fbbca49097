"""When a search is repeated, and from where a killed one goes on."""

import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
import zarr
from tests.patches.search_oracle import starts, write_label

from scripts.patches import find_patches
from scripts.patches.labelled import LabelledVoxels


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
    monkeypatch.setattr("scripts.patches.search._search_volume", lambda *_: pytest.fail("searched again"))
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


def test_a_lost_chunk_makes_the_cache_stale(labelled, tmp_path, caplog):
    cache = tmp_path / "patches.json"
    before = find_patches([labelled], (6, 6, 6), cache_file=cache)
    (Path(labelled["label"]) / "c" / "0" / "0" / "0").unlink()
    with caplog.at_level(logging.WARNING):
        after = find_patches([labelled], (6, 6, 6), cache_file=cache)
    assert "stale and will be made anew; changed: volumes[0].arrays[0].array.fingerprint" in caplog.text
    assert (0, 0, 0) in starts(before)
    assert (0, 0, 0) not in starts(after)


def test_damaged_cache_is_rebuilt_with_a_reason(labelled, tmp_path, caplog):
    cache = tmp_path / "patches.json"
    expected = find_patches([labelled], (6, 6, 6), cache_file=cache)
    cache.write_text(cache.read_text()[:-20])
    with caplog.at_level(logging.WARNING):
        assert find_patches([labelled], (6, 6, 6), cache_file=cache) == expected
    assert "damaged" in caplog.text
    assert json.loads(cache.read_text())["patches"] == expected


def test_use_cache_false_searches_anew_and_leaves_the_file_alone(labelled, tmp_path, monkeypatch):
    cache = tmp_path / "patches.json"
    cache.write_text("kept")
    assert len(find_patches([labelled], (6, 6, 6), cache_file=cache, use_cache=False)) == 27
    assert cache.read_text() == "kept"
    assert list(tmp_path.glob("*.partial")) == []


@pytest.mark.parametrize("small_island", [0, 32])
@pytest.mark.parametrize("stopped_after", [1, 3, 5])
def test_a_stopped_search_goes_on_where_it_stopped(tmp_path, monkeypatch, caplog, small_island, stopped_after):
    """Four islands of four boxes each; every read beyond `stopped_after` fails, then the search is started again."""
    monkeypatch.setattr("scripts.patches.search._SMALL_ISLAND", small_island)
    monkeypatch.setattr("scripts.patches.island._FLUSH_CELLS", 1)
    monkeypatch.setattr("scripts.patches.labelled.RUN_VOXELS", 1)
    label = np.zeros((20, 200, 20), np.uint8)
    for y in (0, 60, 120, 180):
        label[:20, y : y + 20, :20] = 1
    path = write_label(tmp_path / "label.zarr", label, (10, 10, 20))
    volumes, cache = [{"image": path, "label": path}], tmp_path / "patches.json"
    expected = find_patches(volumes, (8, 8, 8))
    bits, read = LabelledVoxels.bits, []

    def stopping(self, box):
        if len(read) == stopped_after * 2:
            raise KeyboardInterrupt
        read.append(box)
        return bits(self, box)

    monkeypatch.setattr(LabelledVoxels, "bits", stopping)
    with pytest.raises(KeyboardInterrupt):
        find_patches(volumes, (8, 8, 8), cache_file=cache, num_workers=1)
    done = read.copy()
    read.clear()
    stopped_after = 100
    with caplog.at_level(logging.INFO):
        assert find_patches(volumes, (8, 8, 8), cache_file=cache, num_workers=1) == expected
    assert json.loads(cache.read_text())["patches"] == expected
    assert list(tmp_path.glob("*.partial")) == []
    if small_island == 0:  # within an island, too: what was surveyed is read again to be counted only
        assert "going on with a search" in caplog.text
    elif len(done) >= 5:
        assert not set(done[: len(done) // 4 * 4]) & set(read)


def test_the_notes_of_another_search_are_discarded(labelled, tmp_path, caplog):
    cache = tmp_path / "patches.json"
    (tmp_path / "patches.json.partial").write_text(
        json.dumps({"patch_size": [9, 9, 9]}) + "\n[[0, 0], [[], 0, null]]\n"
    )
    with caplog.at_level(logging.WARNING):
        found = find_patches([labelled], (6, 6, 6), cache_file=cache)
    assert len(found) == 27
    assert "is of another search and is discarded" in caplog.text
