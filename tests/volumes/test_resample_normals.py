"""Unit vectors on another grid: directions, lengths, and where they are missing."""

import numpy as np
import pytest
from tests.volumes.placed_stores import store, store_normals, whole

from scripts.volumes.resample import resample


def test_a_sphere_keeps_its_directions(tmp_path):
    spacing = np.array([2.0, 1.0, 1.0])
    index = np.stack(np.meshgrid(*[np.arange(n) for n in (24, 48, 48)], indexing="ij"))
    position = (index + 0.5) * spacing.reshape(3, 1, 1, 1) - 24.0
    radius = np.linalg.norm(position, axis=0)
    normals = np.where(np.abs(radius - 15) < 6, position / radius, 0)
    base = store(tmp_path / "n.zarr", normals.astype(np.float32), tuple(spacing), translation=spacing / 2 - 24)
    for wanted in ((1.5, 1.5, 1.5), (1.0, 0.8, 1.3), (2.0, 1.0, 0.6)):
        volume = resample(base, wanted, "normal")
        found = whole(volume)
        centres = np.stack(np.meshgrid(*map(np.arange, volume.spatial_shape), indexing="ij"))
        at = np.reshape(volume.translation, (3, 1, 1, 1)) + centres * np.reshape(wanted, (3, 1, 1, 1))
        distance = np.linalg.norm(at, axis=0)
        length = np.linalg.norm(found, axis=0)
        inner = np.abs(distance - 15) < 4
        np.testing.assert_allclose(length[inner], 1, atol=1e-5)
        assert not length[np.abs(distance - 15) > 8].any()
        assert np.isin(np.round(length, 4), [0, 1]).all()
        cosine = (found * at / distance).sum(axis=0)[inner]
        assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 0.6


@pytest.mark.parametrize(
    ("present", "expected"),
    [((1, 1), (0, 1, 0)), ((1, 0), (0, 1, 0)), ((0, 1), (0, 1, 0)), ((0, 0), (0, 0, 0))],
)
def test_half_of_the_weight_is_enough(tmp_path, present, expected):
    data = np.zeros((3, 1, 1, 2), np.float32)
    data[1, 0, 0] = present
    found = whole(resample(store(tmp_path / "n.zarr", data), (1, 1, 2), "normal"))
    np.testing.assert_allclose(found.ravel(), expected, atol=1e-6)


def test_less_than_half_is_not(tmp_path):
    data = np.zeros((3, 1, 2, 2), np.float32)
    data[2, 0, 0, 0] = 1.0
    data[:, 0, 0, 1] = np.nan
    base = store(tmp_path / "n.zarr", data)
    assert not whole(resample(base, (1, 2, 2), "normal")).any()  # a quarter
    fine = whole(resample(base, (1, 0.5, 0.5), "normal"))
    np.testing.assert_array_equal(fine[2, 0], [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])  # 9 / 16


def test_opposite_ones_leave_none(tmp_path):
    data = np.zeros((3, 1, 1, 2), np.float32)
    data[0, 0, 0] = 1, -1
    assert not whole(resample(store(tmp_path / "n.zarr", data), (1, 1, 2), "normal")).any()


def test_encoded_ones(tmp_path):
    base = store_normals(tmp_path / "n.zarr")
    volume = resample(base, (0.5, 0.5, 0.5), "normal")
    length = np.linalg.norm(whole(volume), axis=0)
    assert set(np.unique(length.round(4))) == {0.0, 1.0}
    assert (volume.dtype, volume.encoding, volume.stored_dtype) == (np.float32, None, np.int8)
