"""Volumes on another grid: against SciPy, scikit-image, PyTorch, ramps and spheres."""

import pickle

import numpy as np
import pytest
import torch
import zarr
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.transform import resize
from tests.volumes.placed_stores import ORIGIN, store, store_normals, whole

from scripts.volumes import ResampledVolume, open_volume
from scripts.volumes.grid import Grid
from scripts.volumes.resample import place, resample

SHAPE = (12, 10, 8)
RATIOS = [
    pytest.param((6, 5, 4), id="half"),
    pytest.param((24, 20, 16), id="double"),
    pytest.param((8, 15, 8), id="two thirds, one and a half, equal"),
    pytest.param((36, 4, 6), id="triple, two fifths, three quarters"),
    pytest.param((4, 2, 1), id="a third, a fifth, one voxel"),
    pytest.param((12, 10, 24), id="one axis only"),
]


def at_shape(volume, shape, mode):
    spacing = [s * n / m for s, n, m in zip(volume.spacing, volume.spatial_shape, shape, strict=True)]
    resampled = resample(volume, spacing, mode)
    assert resampled.spatial_shape == shape
    return resampled


@pytest.mark.parametrize("shape", RATIOS)
def test_linear_equals_scipy_scikit_image_and_torch(tmp_path, shape):
    data = np.random.default_rng(0).integers(0, 60000, (2, *SHAPE), dtype=np.uint16)
    found = whole(at_shape(store(tmp_path / "x.zarr", data, (0.7, 1.3, 2.9)), shape, "linear"))
    assert found.dtype == np.float32
    factors = [m / n for m, n in zip(shape, SHAPE, strict=True)]
    for image, result in zip(data.astype(np.float64), found, strict=True):
        zoomed = ndimage.zoom(image, factors, order=1, mode="nearest", grid_mode=True)
        resized = resize(image, shape, order=1, mode="edge", anti_aliasing=False, preserve_range=True)
        np.testing.assert_allclose(result, zoomed, rtol=1e-5)
        np.testing.assert_allclose(result, resized, rtol=1e-5)
    batch = torch.from_numpy(data[None].astype(np.float32))
    expected = torch.nn.functional.interpolate(batch, shape, mode="trilinear", align_corners=False)[0]
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=0.02)  # of 60,000: computed in float32


@pytest.mark.parametrize("shape", RATIOS)
def test_nearest_equals_scikit_image_and_torch(tmp_path, shape):
    ids = np.random.default_rng(1).integers(0, 2**40, SHAPE)
    found = whole(at_shape(store(tmp_path / "x.zarr", ids, (0.7, 1.3, 2.9)), shape, "nearest"))
    assert found.dtype == ids.dtype
    small = np.unique(ids, return_inverse=True)[1]  # exact as float
    batch = torch.from_numpy(small[None, None].astype(np.float32))
    expected = torch.nn.functional.interpolate(batch, shape, mode="nearest-exact")[0, 0].numpy().astype(int)
    np.testing.assert_array_equal(found[0], np.unique(ids)[expected])
    if all(m >= n or (n % m == 0 and (n // m) % 2) for m, n in zip(shape, SHAPE, strict=True)):  # no voxel on a border
        resized = resize(small.astype(float), shape, order=0, mode="edge", anti_aliasing=False, preserve_range=True)
        np.testing.assert_array_equal(expected, resized)


@pytest.mark.parametrize("spacing", [3.637914997286419, 1.0, 0.1])
def test_half_a_voxel_more_makes_one_voxel_whatever_the_spacing(tmp_path, spacing):
    volume = store(tmp_path / "x.zarr", np.zeros((5, 9, 15), np.uint8), (spacing,) * 3)
    assert resample(volume, (2 * spacing, 1.2 * spacing, 6 * spacing), "nearest").spatial_shape == (3, 8, 3)


def test_a_centre_on_a_border_takes_the_upper_voxel(tmp_path):
    volume = store(tmp_path / "x.zarr", np.arange(8, dtype=np.uint8).reshape(1, 1, 8), (1, 1, 0.1))
    found = resample(volume, (1, 1, 0.2), "nearest")
    assert whole(found)[0, 0, 0].tolist() == [1, 3, 5, 7]
    assert whole(resample(volume, (1, 1, 0.3), "nearest"))[0, 0, 0].tolist() == [1, 4, 7]


@given(
    st.tuples(*[st.floats(0.3, 3.5)] * 3),
    st.tuples(*[st.integers(1, 9)] * 3),
    st.tuples(*[st.floats(0.1, 8)] * 3),
)
@settings(max_examples=30, deadline=None)
def test_a_ramp_keeps_its_physical_coordinates(tmp_path_factory, ratio, shape, spacing):
    path = tmp_path_factory.mktemp("ramp") / "x.npy"
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))  # 3 D H W
    position = index * np.reshape(spacing, (3, 1, 1, 1))
    np.save(path, position)
    volume = open_volume(path, spacing=spacing)
    found = resample(volume, np.multiply(spacing, ratio).tolist(), "linear")
    if found is not volume:
        for found_n, n, f in zip(found.spatial_shape, shape, ratio, strict=True):
            assert abs(found_n - max(1, n / f)) <= 0.5 + 1e-3
    centres = np.stack(np.meshgrid(*map(np.arange, found.spatial_shape), indexing="ij"))
    corners = np.concatenate([centres.reshape(3, -1), np.ones((1, centres[0].size))])
    expected = (found.affine @ corners)[:3].reshape(centres.shape)
    border = np.reshape([(n - 1) * s for n, s in zip(shape, spacing, strict=True)], (3, 1, 1, 1))
    np.testing.assert_allclose(found.read((0, 0, 0), found.spatial_shape), np.clip(expected, 0, border), atol=1e-4)
    if found is not volume:
        edges = np.subtract(found.translation, np.divide(found.spacing, 2))
        np.testing.assert_allclose(edges, np.divide(spacing, -2), rtol=1e-9)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored")
    rng = np.random.default_rng(0)
    image = rng.normal(size=(2, 13, 11, 17)).astype(np.float32)
    labels = rng.integers(0, 200, (1, 13, 11, 17)).astype(np.uint8)
    return {
        "linear": store(folder / "image.zarr", image),
        "nearest": store(folder / "labels.zarr", labels),
        "normal": store_normals(folder / "normals.zarr"),
    }


BOXES = st.tuples(st.tuples(*[st.integers(-5, 30)] * 3), st.tuples(*[st.integers(1, 20)] * 3))


@pytest.mark.parametrize("mode", ["linear", "area", "nearest", "normal"])
@given(st.tuples(*[st.floats(0.4, 3.0)] * 3), st.tuples(*[st.floats(-3, 6)] * 3), st.booleans(), BOXES)
@settings(max_examples=40, deadline=None)
def test_a_box_equals_the_part_of_the_whole(stored, mode, spacing, shift, is_placed, box):
    base = stored["linear" if mode == "area" else mode]
    shape = (9, 12, 10)
    grid = Grid(spacing, tuple(np.add(ORIGIN, shift)), "um")
    volume = ResampledVolume(base, grid, shape, mode, is_placed=is_placed)
    everything = np.pad(whole(volume), [(0, 0), *[(40, 60)] * 3])
    (start, size) = box
    part = tuple(slice(40 + s, 40 + s + n) for s, n in zip(start, size, strict=True))
    tolerance = 1e-5 if mode == "area" else 0  # sums of many
    np.testing.assert_allclose(volume.read(start, size), everything[(slice(None), *part)], 0, tolerance)
    np.testing.assert_allclose(volume.read(start, size, channels=[0]), everything[(slice(1), *part)], 0, tolerance)


def brute_force(base, grid, shape):
    """Nearest voxel of each centre, and which centres lie within the base, in the obvious way."""
    values, inside = np.zeros(shape, base.dtype), np.zeros(shape, bool)
    stored = whole(base)[0]
    for index in np.ndindex(*shape):
        position = np.add(grid.translation, np.multiply(index, grid.spacing))
        at = np.floor((position - base.translation) / np.array(base.spacing) + 0.5 + 1e-6).astype(int)
        inside[index] = all(0 <= a < n for a, n in zip(at, stored.shape, strict=True))
        values[index] = stored[tuple(np.clip(at, 0, np.subtract(stored.shape, 1)))]
    return values, inside


@given(st.tuples(*[st.sampled_from([0.5, 0.8, 1.0, 2.0, 2.7])] * 3), st.tuples(*[st.integers(-12, 12)] * 3))
@settings(max_examples=40, deadline=None)
def test_placing_equals_brute_force(stored, spacing, shift):
    base, shape = stored["nearest"], (7, 8, 9)
    grid = Grid(spacing, tuple(np.add(ORIGIN, np.multiply(shift, 0.5))), "um")
    values, inside = brute_force(base, grid, shape)
    assume(inside.any())
    volume = ResampledVolume(base, grid, shape, "nearest", is_placed=True)
    np.testing.assert_array_equal(whole(volume)[0], np.where(inside, values, 0))
    pads = volume.padding((0, 0, 0), shape)
    counted = np.zeros(shape, bool)
    counted[tuple(slice(before, n - after) for n, (before, after) in zip(shape, pads, strict=True))] = True
    np.testing.assert_array_equal(counted, inside)


@pytest.mark.parametrize("is_placed", [False, True])
@pytest.mark.parametrize("mode", ["linear", "nearest"])
@given(st.tuples(*[st.floats(0.4, 3.0)] * 3), st.tuples(*[st.floats(-2, 5)] * 3), st.integers(0, 2**20))
@settings(max_examples=25, deadline=None)
def test_stored_chunks_are_those_that_a_chunk_of_the_base_determines(
    tmp_path_factory, mode, is_placed, spacing, shift, seed
):
    path = tmp_path_factory.mktemp("sparse") / "x.zarr"
    rng = np.random.default_rng(seed)
    array = zarr.create_array(path, shape=(9, 8, 10), chunks=(4, 3, 5), dtype=np.int32, fill_value=0)
    cells = [(z, y, x) for z in range(0, 9, 4) for y in range(0, 8, 3) for x in range(0, 10, 5)]
    kept = [cells[n] for n in rng.choice(len(cells), 5, replace=False)]
    for z, y, x in kept:
        array[z : z + 4, y : y + 3, x : x + 5] = 1
    shape = (7, 9, 8)
    volume = ResampledVolume(open_volume(path), Grid(spacing, shift), shape, mode, is_placed=is_placed)
    count = np.zeros(shape, int)
    for start, size in volume.stored_chunks():
        assert min(size) > 0
        count[tuple(slice(s, s + n) for s, n in zip(start, size, strict=True))] += 1
    assert volume.stored_chunks() == sorted(volume.stored_chunks())
    determined = whole(volume)[0] != 0
    if mode == "nearest":
        np.testing.assert_array_equal(count, determined)
    else:
        np.testing.assert_array_equal(count > 0, determined)


def test_what_a_resampled_volume_says(stored, tmp_path):
    base = stored["nearest"]
    volume = resample(base, (2.0, 0.5, 3.0), "nearest")
    assert (volume.shape, volume.dtype, volume.channels) == ((1, 7, 22, 6), np.uint8, 1)
    assert volume.spacing == (2.0, 0.5, 3.0)
    assert volume.translation == (100.5, -5.25, 8.0)
    assert (volume.unit, volume.path, volume.name) == ("um", base.path, base.name)
    assert volume.chunks == (2, 10, 2)
    np.testing.assert_array_equal(np.diag(volume.affine), [2.0, 0.5, 3.0, 1.0])
    assert volume.padding((-1, 20, 0), (3, 4, 6)) == ((1, 0), (0, 2), (0, 0))
    assert "spacing 2 x 0.5 x 3 um, nearest, from Volume('" in repr(volume)
    again = pickle.loads(pickle.dumps(volume))
    np.testing.assert_array_equal(whole(again), whole(volume))
    assert again.fingerprint() == volume.fingerprint()
    prints = {
        each.fingerprint()
        for each in (
            base,
            volume,
            resample(base, (2.0, 0.5, 3.0), "linear"),
            resample(base, (2.0, 0.5, 3.1), "nearest"),
            ResampledVolume(base, Grid((2.0, 0.5, 3.0), (100.0, -5.25, 8.0), "um"), (6, 22, 6), "nearest"),
            ResampledVolume(base, Grid((2.0, 0.5, 3.0), (100.5, -5.25, 8.0), "um"), (5, 22, 6), "nearest"),
        )
    }
    assert len(prints) == 6


def test_stored_numbers_are_decoded_before_they_are_interpolated(tmp_path):
    attributes = {"polytome": {"scale": 0.5, "offset": -10.0, "zero_is_missing": False}}
    data = np.array([0, 40, 80, 200], np.uint8).reshape(1, 1, 4)
    base = store(tmp_path / "x.zarr", data, attributes=attributes)
    linear = resample(base, (1, 1, 2), "linear")
    assert whole(linear).ravel().tolist() == [0.0, 60.0]
    assert (linear.encoding, linear.dtype, linear.stored_dtype) == (None, np.float32, np.uint8)
    assert linear.fill_value == -10.0
    assert "polytome" not in linear.attributes
    nearest = resample(base, (1, 1, 2), "nearest")
    assert whole(nearest).ravel().tolist() == [40, 200]
    assert nearest.encoding == base.encoding
    np.testing.assert_array_equal(nearest.decode(whole(nearest)).ravel(), [10.0, 90.0])


def test_vectors_that_are_missing_are_told_by_all_channels(tmp_path):
    data = np.zeros((2, 1, 1, 4), np.uint8)
    data[:, 0, 0] = [[0, 20, 30, 0], [0, 40, 0, 0]]
    attributes = {"polytome": {"scale": 1.0, "offset": -10.0, "zero_is_missing": True}}
    volume = resample(store(tmp_path / "x.zarr", data, attributes=attributes), (1, 1, 2), "linear")
    assert whole(volume)[:, 0, 0].tolist() == [[5.0, 10.0], [15.0, -5.0]]
    assert volume.read((0, 0, 0), (1, 1, 2), channels=[1]).ravel().tolist() == [15.0, -5.0]


def test_nan_spreads_only_to_voxels_that_it_weighs_in(tmp_path):
    data = np.array([0, 1, np.nan, 3, 4, 5, 6], np.float32).reshape(1, 1, 7)
    base = store(tmp_path / "x.zarr", data)
    found = whole(resample(base, (1, 1, 0.5), "linear")).ravel()
    assert np.flatnonzero(np.isnan(found)).tolist() == [3, 4, 5, 6]
    exact = whole(resample(base, (1, 1, 1 / 3), "linear")).ravel()  # every third lies on a voxel
    np.testing.assert_array_equal(exact[1::3], data.ravel())


def test_a_volume_of_that_spacing_or_grid_is_handed_back(stored, tmp_path):
    base = stored["linear"]
    assert resample(base, (1.00005, 1, 1), "linear") is base
    assert resample(base, (1.0002, 1, 1), "linear") is not base
    assert place(base, stored["nearest"], "linear") is base
    shifted = store(tmp_path / "x.zarr", np.zeros((13, 11, 17), np.uint8), translation=np.add(ORIGIN, (0, 0, 0.02)))
    assert place(base, shifted, "linear") is not base
    drifting = store(tmp_path / "y.zarr", np.zeros((13, 11, 17), np.uint8), spacing=(1, 1, 1.001))
    assert place(base, drifting, "linear") is not base


def test_a_shift_by_whole_voxels_moves_values_exactly(stored):
    base = stored["linear"]
    data = whole(base)
    grid = Grid((1.0, 1.0, 1.0), tuple(np.add(ORIGIN, (3, -2, 5))), "um")
    found = whole(ResampledVolume(base, grid, (6, 6, 6), "linear", is_placed=True))
    np.testing.assert_array_equal(found[:, :, 2:], data[:, 3:9, 0:4, 5:11])
    assert not found[:, :, :2].any()


def test_the_units_of_placed_arrays_must_agree(stored, tmp_path):
    data = np.zeros((4, 4, 4), np.uint8)
    nm, none = store(tmp_path / "nm.zarr", data, unit="nm"), store(tmp_path / "none.zarr", data, unit=None)
    with pytest.raises(ValueError, match=r"nm\.zarr is in nm, the image .*image\.zarr in um: .*--unit um"):
        place(nm, stored["linear"], "nearest")
    assert place(none, stored["linear"], "nearest").spatial_shape == (13, 11, 17)


def test_arrays_that_have_no_voxel_in_common(stored, tmp_path):
    far = store(tmp_path / "far.zarr", np.zeros((4, 4, 4), np.uint8), translation=(0, -5, 7))
    with pytest.raises(
        ValueError,
        match=r"far\.zarr lies at z -0\.5 to 3\.5, y -5\.5 to -1\.5, x 6\.5 to 10\.5 um, wholly outside of the grid at "
        r"z 99\.5 to 112\.5, y -5\.5 to 5\.5, x 6\.5 to 23\.5 um",
    ):
        place(far, stored["linear"], "nearest")


def test_an_unknown_mode(stored):
    with pytest.raises(ValueError, match="mode must be one of linear, area, nearest, normal; got 'cubic'"):
        resample(stored["linear"], (2, 2, 2), "cubic")


def test_only_the_needed_part_is_read(tmp_path):
    path = tmp_path / "x.zarr"
    data = np.random.default_rng(0).integers(1, 200, (16, 8, 8)).astype(np.uint8)
    zarr.create_array(path, data=data, chunks=(4, 8, 8))
    (path / "c" / "3" / "0" / "0").write_bytes(b"broken")
    for mode in ("linear", "nearest"):
        volume = resample(open_volume(path), (0.5, 1, 1), mode)
        assert volume.read((0, 0, 0), (23, 8, 8)).all()  # of 32: up to voxel 11.25
        with pytest.raises(OSError, match="c/3/0/0"):
            volume.read((20, 0, 0), (8, 8, 8))


def test_padding_by_the_end_of_a_placed_array_is_not_reported(stored, tmp_path, caplog):
    crop = store(tmp_path / "crop.zarr", np.ones((4, 4, 4), np.uint8))
    volume = place(crop, stored["linear"], "nearest")
    assert volume.read((0, 0, 0), (13, 11, 17)).sum() == 64
    assert not caplog.records
    volume.read((0, 0, 0), (14, 11, 17))
    assert "reaches beyond the volume of (13, 11, 17)" in caplog.text
