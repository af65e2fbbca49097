"""Landmarks of heatmaps in a store, against the same in memory."""

import json

import numpy as np
import pytest
import torch

from scripts.geometry.peaks import peak_points
from scripts.volumes import create_ome_zarr, open_volume, read_landmarks
from scripts.workflows import find_landmarks as module
from scripts.workflows.find_landmarks import find_landmarks, peaks_of_volume

SHAPE, SPACING, TRANSLATION = (20, 34, 27), (2.0, 1.0, 1.5), (5.0, -3.0, 1.0)
PLACES = [[3.3, 30.2, 8.7], [16.6, 7.5, 15.9], [10.0, 15.5, 0.2], [19.0, 33.0, 26.0]]


def gaussians():
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    maps = [50 * np.exp(-((index - place) ** 2).sum(axis=-1) / 8) for place in PLACES]
    return np.array(maps, np.float32)


def stored(path, maps, chunks=(8, 8, 8)):
    """Chunks of nothing but 0 are left out."""
    writer = create_ome_zarr(
        path, maps.shape, "float32", spacing=SPACING, translation=TRANSLATION, unit="mm", chunks=chunks
    )
    for corner in np.ndindex(*(-(-n // step) for n, step in zip(SHAPE, chunks, strict=True))):
        start = np.array(corner) * chunks
        box = tuple(slice(a, a + n) for a, n in zip(start, chunks, strict=True))
        if maps[:, *box].any():
            writer.write(tuple(start.tolist()), maps[:, *box])
    return path


@pytest.mark.parametrize("limit", [1, 60_000, 2**26], ids=["chunk by chunk", "some chunks", "at once"])
def test_blocks_give_what_the_whole_gives(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(module, "_BLOCK_BYTES", limit)
    maps = np.where(gaussians() > 1e-3, gaussians(), 0)
    volume = open_volume(stored(tmp_path / "a.zarr", maps))
    assert len(volume.stored_chunks()) < 3 * 5 * 4
    points, heights = peaks_of_volume(volume)
    expected = peak_points(torch.from_numpy(maps)[None])[0].numpy()
    np.testing.assert_allclose(points, expected, atol=1e-4)
    np.testing.assert_allclose(heights, maps.reshape(4, -1).max(axis=1))
    np.testing.assert_allclose(points[:3], PLACES[:3], atol=0.05)
    rough, _ = peaks_of_volume(volume, subpixel=False)
    index = np.stack(np.unravel_index(maps.reshape(4, -1).argmax(axis=1), SHAPE), axis=1)
    assert rough.tolist() == index.tolist()


def test_of_equal_heights_the_first_in_array_order_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK_BYTES", 1)
    maps = np.zeros((2, *SHAPE), np.float32)
    maps[0, 1, 20, 3] = maps[0, 2, 3, 4] = maps[0, 1, 20, 2] = 7
    maps[1, 9, 9, 9] = maps[1, 8, 30, 20] = 3
    points, heights = peaks_of_volume(open_volume(stored(tmp_path / "a.zarr", maps)), subpixel=False)
    assert points.tolist() == [[1, 20, 2], [8, 30, 20]]
    assert heights.tolist() == [7, 3]


def test_maps_without_a_peak_have_no_landmark(tmp_path):
    maps = np.zeros((3, *SHAPE), np.float32)
    maps[0], maps[1], maps[2, 3, 3, 3] = 5, -1, np.nan
    maps[1, 4, 5, 6] = -0.5  # below the fill value of what is not stored
    points, _ = peaks_of_volume(open_volume(stored(tmp_path / "a.zarr", maps)), subpixel=False)
    assert np.isnan(points[[0, 2]]).all()
    assert points[1].tolist() == [4, 5, 6]


def test_the_command_writes_voxels_and_heights(tmp_path):
    path = stored(tmp_path / "a.zarr", gaussians())
    (tmp_path / "network.json").write_text(json.dumps({"landmark_names": ["nose", "ear", "eye", "chin"]}))
    said = find_landmarks(
        path, output=tmp_path / "out" / "found.csv", network=tmp_path / "network.json", threshold=49.0
    )
    found = read_landmarks(tmp_path / "out" / "found.csv")
    assert found.names == ("nose", "ear", "eye", "chin")
    high = [n for n, place in enumerate(PLACES) if gaussians()[n].max() >= 49]
    assert 0 < len(high) < 4
    assert (~found.missing).nonzero()[0].tolist() == high
    np.testing.assert_allclose(found.points[high], np.array(PLACES)[high], atol=0.05)
    assert float(found.extra["height"][3]) == pytest.approx(50)
    assert said.splitlines()[-1].endswith(f"{len(high)} of 4 landmarks")
    assert sum("not found" in line for line in said.splitlines()) == 4 - len(high)


def test_markups_are_in_space(tmp_path):
    """In mm along right, front and top: x, y and z of the store's voxels."""
    path = stored(tmp_path / "a.zarr", gaussians())
    find_landmarks(path, output=tmp_path / "a.mrk.json", names="a,b,c,d", subpixel=False)
    found = read_landmarks(tmp_path / "a.mrk.json")
    expected = np.round(PLACES) * SPACING + np.array(TRANSLATION)
    assert found.frame == "ras"
    np.testing.assert_allclose(found.points[[0, 3]], expected[[0, 3]], atol=1e-6)


def test_what_does_not_fit_is_named(tmp_path):
    path = stored(tmp_path / "a.zarr", gaussians())
    with pytest.raises(ValueError, match=r"has 4 channels, but there are 2 names: \['a', 'b'\]"):
        find_landmarks(path, output=tmp_path / "a.csv", names=["a", "b"])
    (tmp_path / "there.csv").write_text("")
    with pytest.raises(FileExistsError, match=r"there.csv exists; choose another output, or pass --overwrite"):
        find_landmarks(path, output=tmp_path / "there.csv")
    find_landmarks(path, output=tmp_path / "there.csv", overwrite=True)
    assert len(read_landmarks(tmp_path / "there.csv").names) == 4


def test_a_dry_run_reads_and_writes_nothing(tmp_path, monkeypatch):
    path = stored(tmp_path / "a.zarr", gaussians())
    monkeypatch.setattr(module, "peaks_of_volume", lambda *_, **__: pytest.fail("it reads"))
    said = find_landmarks(path, output=tmp_path / "a.csv", names="w,x,y,z", dry_run=True)
    assert "landmarks w, x, y, z" in said
    assert said.endswith(f"dry run: {tmp_path / 'a.csv'} is not written")
    assert not (tmp_path / "a.csv").exists()
