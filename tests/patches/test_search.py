"""Patch search against a brute-force count over the raw labels."""

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.patches import search_oracle
from tests.patches.search_oracle import starts, write_label

from scripts.patches import find_patches
from scripts.volumes import Volume

lengths = st.tuples(*[st.integers(3, 17)] * 3)
small = st.tuples(*[st.integers(1, 7)] * 3)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=lengths,
    chunks=small,
    patch=small,
    stride=small,
    density=st.sampled_from([0.004, 0.02, 0.3, 0.9]),
    min_bbox=st.sampled_from([0.0, 0.5, 0.95]),
    min_ratio=st.sampled_from([0.0, 0.2, 0.8]),
    small_island=st.sampled_from([0, 32]),
    kept_bytes=st.sampled_from([0, 100, 2**26]),
    flush_cells=st.sampled_from([1, 50_000]),
    seed=st.integers(0, 99),
)
def test_equals_the_plain_search(
    tmp_path, monkeypatch, shape, chunks, patch, stride, density, min_bbox, min_ratio, small_island, kept_bytes,
    flush_cells, seed,
):  # fmt: skip
    monkeypatch.setattr("scripts.patches.search._SMALL_ISLAND", small_island)
    monkeypatch.setattr("scripts.patches.island.KEPT_BYTES", kept_bytes)
    monkeypatch.setattr("scripts.patches.island._FLUSH_CELLS", flush_cells)
    rng = np.random.default_rng(seed)
    label = (rng.random(shape) < density).astype(np.uint8)
    label[rng.random(shape) < 0.5] *= 3
    if seed % 2:  # leave most of the volume, and so most chunks, without labels
        label[shape[0] // 2 :] = 0
    chunks = tuple(min(c, n) for c, n in zip(chunks, shape, strict=True))
    path = write_label(tmp_path / "label.zarr", label, chunks)
    expected = search_oracle.find(label, chunks, patch, stride, min_bbox, min_ratio)
    volumes = [{"image": path, "label": path}]
    arguments = {"stride": stride, "min_bbox_percent": min_bbox, "min_labeled_ratio": min_ratio}
    if expected:
        found = find_patches(volumes, patch, **arguments)
        shares = {tuple(p["start"]): (p["bbox_percent"], p["labeled_ratio"]) for p in found}
        assert shares == expected
        assert starts(found) == sorted(expected)
    else:
        with pytest.raises(ValueError, match="no patch of"):
            find_patches(volumes, patch, **arguments)


@pytest.mark.parametrize("chunks", [(16, 16, 16), (13, 24, 40)])
@pytest.mark.parametrize("stride", [None, 16])
def test_blocks_are_found_wherever_they_stand(tmp_path, chunks, stride):
    """Labelled blocks of a patch's size: aligned, shifted by half a patch, by an odd number, and at the far edge."""
    label = np.zeros((80, 100, 120), np.uint8)
    corners = [(0, 0, 0), (40, 8, 8), (3, 45, 61), (64, 84, 104)]
    for z, y, x in corners:
        label[z : z + 16, y : y + 16, x : x + 16] = 1
    path = write_label(tmp_path / "label.zarr", label, chunks)
    found = find_patches([{"image": path, "label": path}], (16, 16, 16), stride=stride)
    assert starts(found) == sorted(corners)


def test_moving_the_labels_moves_the_patches(tmp_path):
    rng = np.random.default_rng(3)
    blob = (rng.random((20, 24, 28)) < 0.8).astype(np.uint8)
    found = []
    for shift in ((9, 9, 9), (16, 12, 11)):
        label = np.zeros((64, 64, 64), np.uint8)
        label[tuple(slice(s, s + n) for s, n in zip(shift, blob.shape, strict=True))] = blob
        path = write_label(tmp_path / f"{shift[0]}.zarr", label, (64, 64, 64))
        patches = find_patches([{"image": path, "label": path}], (12, 12, 12), min_bbox_percent=0.5)
        found.append(sorted(tuple(np.subtract(start, shift)) for start in starts(patches)))
    assert found[0] == found[1]
    assert len(found[0]) > 8


def test_small_labels_stand_in_the_middle_of_their_patch(tmp_path):
    label = np.zeros((32, 32, 32), np.uint8)
    label[10:14, 1:3, 29:31] = 1
    path = write_label(tmp_path / "label.zarr", label, (8, 8, 8))
    found = find_patches([{"image": path, "label": path}], (8, 8, 8), min_bbox_percent=0)
    assert starts(found) == [(8, 0, 24)]  # along y and x moved into the volume
    assert found[0]["bbox_percent"] == pytest.approx(16 / 512)


def test_region_limits_the_search(tmp_path):
    rng = np.random.default_rng(1)
    label = (rng.random((20, 20, 20)) < 0.7).astype(np.uint8)
    path = write_label(tmp_path / "label.zarr", label, (7, 7, 7))
    low, high = [3, 0, 5], [16, 11, 20]
    found = find_patches([{"image": path, "label": path, "region": [low, high]}], (6, 5, 7), min_bbox_percent=0.9)
    expected = search_oracle.find(label, (7, 7, 7), (6, 5, 7), (3, 2, 3), 0.9, 0.1, low, high)
    assert len(expected) > 3
    assert starts(found) == sorted(expected)
    assert all(patch["size"] == [6, 5, 7] and patch["volume"] == 0 for patch in found)


def test_every_channel_counts_as_label(tmp_path):
    label = np.zeros((3, 8, 8, 8), np.int8)
    label[2, :4] = -5
    path = write_label(tmp_path / "normals.zarr", label, (1, 4, 4, 4))
    found = find_patches([{"image": path, "normals": path}], (4, 8, 8), stride=4)
    assert starts(found) == [(0, 0, 0)]


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
    assert starts(found) == [(2048, 2048, 2048)]
    assert sum(np.prod(size) for _, size in boxes) == 32**3
    assert len(boxes) == 1  # neighbours are read together


def test_ref_label_decides(tmp_path):
    first, second = np.zeros((8, 8, 8), np.uint8), np.zeros((8, 8, 8), np.uint8)
    first[:4], second[4:] = 1, 1
    volume = {
        "image": write_label(tmp_path / "image.zarr", first, (4, 4, 4)),
        "a": write_label(tmp_path / "a.zarr", first, (4, 4, 4)),
        "b": write_label(tmp_path / "b.zarr", second, (4, 4, 4)),
    }
    size = (4, 8, 8)
    assert starts(find_patches([volume], size, stride=4)) == [(0, 0, 0)]
    assert starts(find_patches([volume], size, stride=4, ref_label="b")) == [(4, 0, 0)]
    assert starts(find_patches([{**volume, "ref_label": "b"}], size, stride=4, ref_label="a")) == [(4, 0, 0)]
    with pytest.raises(ValueError, match=r"'c'.*its arrays: image, a, b"):
        find_patches([volume], size, ref_label="c")


def test_volume_smaller_than_the_patch_is_judged_by_its_own_size(tmp_path):
    label = np.ones((3, 8, 8), np.uint8)
    path = write_label(tmp_path / "thin.zarr", label, (3, 8, 8))
    assert starts(find_patches([{"image": path, "label": path}], (8, 8, 8))) == [(0, 0, 0)]


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


def two_arrays(tmp_path, **arrays):
    return {"image": "unused", **{k: write_label(tmp_path / f"{k}.zarr", v, (5, 6, 7)) for k, v in arrays.items()}}


@pytest.mark.parametrize("read_at_once", [1, 2**22])
def test_min_ratios_ask_for_further_labels(tmp_path, monkeypatch, read_at_once):
    """Against counts in the raw array, for a share that keeps some patches only; read chunk by chunk, and at once."""
    monkeypatch.setattr("scripts.patches.labelled.RUN_VOXELS", read_at_once)
    rng = np.random.default_rng(0)
    sheet = np.ones((20, 20, 20), np.uint8)
    ink = (rng.random(sheet.shape) < np.linspace(0, 1, 20)).astype(np.uint8)  # denser along x
    row = two_arrays(tmp_path, sheet=sheet, ink=ink)
    found = starts(find_patches([row], (6, 6, 6), min_ratios={"ink": 0.5}))
    every = starts(find_patches([row], (6, 6, 6)))
    dense = [s for s in every if ink[s[0] : s[0] + 6, s[1] : s[1] + 6, s[2] : s[2] + 6].mean() >= 0.5]
    assert found == dense
    assert 0 < len(dense) < len(every)
    without = {key: value for key, value in row.items() if key != "ink"}
    assert [p["volume"] for p in find_patches([without, row], (6, 6, 6), min_ratios={"ink": 0.5})] == [1] * len(dense)
    with pytest.raises(ValueError, match=r"min_ratios: no volume carries 'inc' \(did you mean 'ink'"):
        find_patches([row], (6, 6, 6), min_ratios={"inc": 0.5})
    with pytest.raises(ValueError, match=r"min_ratios\['ink'\] is a share from 0 to 1; got 3"):
        find_patches([row], (6, 6, 6), min_ratios={"ink": 3})


def test_ignore_label_and_mask_do_not_count_as_labelled(tmp_path):
    sheet = np.ones((12, 12, 12), np.uint8)
    sheet[6:] = 100
    mask = np.ones_like(sheet)
    mask[:, :6] = 0
    row = two_arrays(tmp_path, sheet=sheet, inside=mask)
    plain = {"sheet": {"channels": 1}}
    ignoring = {"sheet": {"channels": 1, "ignore_label": 100}}
    masked = {"sheet": {"channels": 1, "ignore_label": 100, "mask": "inside"}}
    assert len(find_patches([row], (6, 6, 6), stride=6, targets=plain)) == 8
    assert starts(find_patches([row], (6, 6, 6), stride=6, targets=ignoring)) == [
        (0, 0, 0), (0, 0, 6), (0, 6, 0), (0, 6, 6),
    ]  # fmt: skip
    assert starts(find_patches([row], (6, 6, 6), stride=6, targets=masked)) == [(0, 6, 0), (0, 6, 6)]


def test_minus_one_and_nan_are_unknown(tmp_path):
    label = np.full((6, 6, 6), -1, np.int16)
    label[:3] = 2
    depth = np.full((6, 6, 6), np.nan, np.float32)
    depth[3:] = 1.5
    row = two_arrays(tmp_path, label=label, depth=depth)
    assert starts(find_patches([row], (3, 6, 6), ref_label="label")) == [(0, 0, 0)]
    assert starts(find_patches([row], (3, 6, 6), ref_label="depth")) == [(3, 0, 0)]


def test_a_fill_value_that_is_a_label_counts(tmp_path):
    path = str(tmp_path / "filled.zarr")
    array = zarr.create_array(path, shape=(8, 8, 8), chunks=(4, 4, 4), dtype="uint8", fill_value=1)
    array[:4] = 0
    row = {"image": "unused", "label": path}
    assert starts(find_patches([row], (4, 8, 8))) == [(4, 0, 0)]
    huge = str(tmp_path / "huge.zarr")
    zarr.create_array(huge, shape=(4096,) * 3, chunks=(16,) * 3, dtype="uint8", fill_value=7)
    with pytest.raises(ValueError, match="have the value 7, which counts as labelled"):
        find_patches([{"image": "unused", "label": huge}], (16, 16, 16))


def test_resampled_labels_of_any_kind_count_each_voxel_once(tmp_path):
    """A scalar that is interpolated linearly between chunks: its patches are those of its nearest voxels."""
    rng = np.random.default_rng(0)
    depth = (rng.random((16, 16, 16)) < 0.4).astype(np.float32)
    store = zarr.open_group(str(tmp_path / "scan.zarr"), mode="w", zarr_format=2)
    store.attrs["multiscales"] = [
        {
            "version": "0.4",
            "axes": [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"],
            "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]}],
        }
    ]
    store.create_array("0", shape=depth.shape, chunks=(4, 4, 4), dtype="float32")[...] = depth
    row = {"image": str(tmp_path / "scan.zarr"), "depth": str(tmp_path / "scan.zarr"), "spacing": [2 / 3] * 3}
    finer = depth[np.ix_(*[((np.arange(24) + 0.5) * 2 / 3).astype(int)] * 3)]
    targets = {"depth": {"channels": 1, "kind": "scalar"}}
    found = find_patches([row], (8, 8, 8), targets=targets, ref_label="depth", min_bbox_percent=0)
    assert found
    for patch in found:
        expected = search_oracle.recount(finer, patch["start"], patch["size"], finer.shape)
        assert (patch["bbox_percent"], patch["labeled_ratio"]) == expected
