"""Volumes whose axes are seen in another order, against NumPy's transpose of all voxels."""

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.volumes import (
    NORMAL_INT8,
    SLICE_AXES,
    PermutedVolume,
    axis_order,
    check_slice_axes,
    create_ome_zarr,
    encode,
    open_resampled,
    open_stack,
    permute_axes,
    to_stored,
    to_view,
    tolerant_volume,
)
from scripts.volumes.volume import open_volume

SHAPE, SPACING, TRANSLATION = (9, 11, 14), (4.0, 1.0, 2.0), (100.0, -5.0, 7.0)
ORDERS = ["".join(order) for order in itertools.permutations("zyx")]


def store(path, data, **options):
    options = {"spacing": SPACING, "translation": TRANSLATION, "unit": "nm", "chunks": (4, 5, 6), **options}
    writer = create_ome_zarr(path, data.shape, data.dtype, **options)
    writer.write((0, 0, 0), data)
    return open_volume(path)


def transposed(data, axes):
    """C D H W along the named axes."""
    return data.transpose(0, *("zyx".index(axis) + 1 for axis in axes))


@pytest.fixture(scope="module")
def data():
    return np.random.default_rng(0).integers(1, 60000, (3, *SHAPE), dtype=np.uint16)


@pytest.fixture(scope="module")
def volume(tmp_path_factory, data):
    return store(tmp_path_factory.mktemp("in") / "x.zarr", data)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    axes=st.sampled_from(ORDERS),
    start=st.tuples(*[st.integers(-6, 16)] * 3),
    size=st.tuples(*[st.integers(1, 12)] * 3),
    channels=st.sampled_from([None, [0], [2, 0], [1, 2]]),
    has_components=st.booleans(),
    fill=st.sampled_from([0, 7]),
)
def test_any_box_is_that_of_the_transposed_voxels(volume, data, axes, start, size, channels, has_components, fill):
    """Also where it reaches outside; components change places with the axes."""
    seen = PermutedVolume(volume, axes, has_components)
    whole = transposed(data, axes)
    if has_components:
        whole = whole[["zyx".index(axis) for axis in axes]]
    padded = np.pad(whole, [(0, 0), *[(40, 40)] * 3], constant_values=fill)
    box = tuple(slice(s + 40, s + 40 + n) for s, n in zip(start, size, strict=True))
    expected = padded[:, *box] if channels is None else padded[channels][:, *box]
    found = seen.read(start, size, channels=channels, fill=fill)
    np.testing.assert_array_equal(found, expected)
    assert found.flags.c_contiguous
    outside = [(max(-s, 0), max(s + n - m, 0)) for s, n, m in zip(start, size, whole.shape[1:], strict=True)]
    assert seen.padding(start, size) == tuple((min(a, n), min(b, n)) for (a, b), n in zip(outside, size, strict=True))


@pytest.mark.parametrize("axes", ORDERS)
def test_its_geometry_and_chunks_are_along_its_axes(volume, axes):
    seen = permute_axes(volume, axes)
    assert (seen is volume) == (axes == "zyx")
    named = {name: dict(zip("zyx", values, strict=True)) for name, values in
             (("shape", SHAPE), ("spacing", SPACING), ("translation", TRANSLATION), ("chunks", (4, 5, 6)))}  # fmt: skip
    assert seen.shape == (3, *(named["shape"][axis] for axis in axes))
    assert seen.spacing == tuple(named["spacing"][axis] for axis in axes)
    assert seen.translation == tuple(named["translation"][axis] for axis in axes)
    assert seen.chunks == tuple(named["chunks"][axis] for axis in axes)
    assert np.allclose(np.diag(seen.affine), [*seen.spacing, 1])
    assert (seen.dtype, seen.stored_dtype, seen.unit, seen.path) == (volume.dtype, volume.dtype, "nm", volume.path)
    there = pickle.loads(pickle.dumps(seen))
    np.testing.assert_array_equal(there.read((1, 2, 3), (2, 3, 4)), seen.read((1, 2, 3), (2, 3, 4)))


def test_stored_chunks_are_those_of_the_array_in_order(tmp_path):
    sparse = np.zeros((1, 8, 10, 12), np.uint8)
    sparse[0, 0, 0, 0] = sparse[0, 7, 9, 2] = 1
    volume = store(tmp_path / "sparse.zarr", sparse)
    assert volume.stored_chunks() == [((0, 0, 0), (4, 5, 6)), ((4, 5, 0), (4, 5, 6))]
    assert permute_axes(volume, "xzy").stored_chunks() == [((0, 0, 0), (6, 4, 5)), ((0, 4, 5), (6, 4, 5))]
    assert permute_axes(volume, "yxz").stored_chunks(inside_shards=True) == [((0, 0, 0), (5, 6, 4)),
                                                                          ((5, 0, 4), (5, 6, 4))]  # fmt: skip


def test_fingerprints_tell_orders_apart(volume):
    """Also where all edges are equal, so that shapes do not."""
    prints = {permute_axes(volume, axes, parts).fingerprint() for axes in ORDERS for parts in (False, True)}
    assert len(prints) == 2 * 5 + 1  # as stored, components have nowhere to go
    assert permute_axes(volume, "yzx").fingerprint() == permute_axes(volume, "yzx").fingerprint()


def test_normals_keep_their_encoding_and_change_places(tmp_path):
    unit = np.random.default_rng(1).normal(size=(3, *SHAPE))
    unit /= np.linalg.norm(unit, axis=0)
    unit[:, :2] = 0
    stored = store(
        tmp_path / "n.zarr", encode(unit, NORMAL_INT8, "int8"), attributes=NORMAL_INT8.as_attributes()
    )  # fmt: skip
    seen = permute_axes(stored, "yzx", has_components=True)
    found = seen.decode(seen.read((0, 0, 0), seen.spatial_shape))
    expected = transposed(unit, "yzx")[[1, 0, 2]]
    assert np.abs(found - expected).max() <= 0.5 / 127 + 1e-6


@pytest.mark.parametrize("mode", ["linear", "nearest", "normal"])
@pytest.mark.parametrize("axes", ["yzx", "xzy", "yxz"])
def test_at_another_spacing_it_is_the_transpose_of_what_is_resampled(tmp_path, data, axes, mode):
    values = data.astype(np.float32) / 60000 - 0.5
    path = tmp_path / "x.zarr"
    store(path, values)
    spacing = (2.0, 1.5, 2.0)
    plain, seen = (
        open_resampled(path, spacing, mode, axes=order, has_components=mode == "normal") for order in ("zyx", axes)
    )
    whole = transposed(plain.read((0, 0, 0), plain.spatial_shape), axes)
    if mode == "normal":
        whole = whole[["zyx".index(axis) for axis in axes]]
    np.testing.assert_allclose(seen.read((0, 0, 0), seen.spatial_shape), whole, atol=1e-6)
    assert dict(zip(axes, seen.spacing, strict=True)) == dict(zip("zyx", spacing, strict=True))


def test_arrays_are_placed_on_the_grid_of_an_image_that_is_seen_so(tmp_path, data):
    """A crop at half the voxel size, somewhere within the image."""
    image, crop = tmp_path / "image.zarr", tmp_path / "crop.zarr"
    store(image, data[:1], spacing=(2, 2, 2), translation=(0, 0, 0))
    store(crop, data[1:2, :8, :6, :4], spacing=(1, 1, 1), translation=(3.5, 5.5, 7.5))
    placed = {}
    for axes in ("zyx", "xyz"):
        (like,) = open_stack([image], (2.0, 2.0, 2.0), axes)
        placed[axes] = open_resampled(crop, (2.0, 2.0, 2.0), "nearest", like, axes)
    whole = placed["zyx"].read((0, 0, 0), SHAPE)
    np.testing.assert_array_equal(placed["xyz"].read((0, 0, 0), SHAPE[::-1]), transposed(whole, "xyz"))
    assert placed["xyz"].padding((0, 0, 0), SHAPE[::-1]) == placed["zyx"].padding((0, 0, 0), SHAPE)[::-1]
    assert whole.any()


def test_damaged_chunks_read_as_the_fill_value(tmp_path, data):
    volume = store(tmp_path / "x.zarr", data[:1])
    (tmp_path / "x.zarr" / "0" / "c" / "1" / "0" / "0").write_bytes(b"no chunk")
    seen = tolerant_volume(permute_axes(volume, "xzy"))
    expected = data[:1].copy()
    expected[:, 4:8, :5, :6] = 0
    np.testing.assert_array_equal(seen.read((0, 0, 0), seen.spatial_shape), transposed(expected, "xzy"))
    assert seen.decoded_bytes > 0


@pytest.mark.parametrize("axes", ORDERS)
def test_values_go_to_a_view_and_back(axes):
    assert to_view("zyx", axes) == tuple(axes)
    assert to_stored(tuple(axes), axes) == ("z", "y", "x")
    assert ["zyx"[n] for n in axis_order(axes)] == list(axes)


def test_the_first_axis_of_a_slice_is_the_one_across_it():
    assert {axis: order[0] for axis, order in SLICE_AXES.items()} == {"z": "z", "y": "y", "x": "x"}
    assert all(list(order[1:]) == [a for a in "zyx" if a != axis] for axis, order in SLICE_AXES.items())


@pytest.mark.parametrize("axes", ["zy", "zyz", "czyx", "abc", 3, ["z", "y", "x"]])
def test_orders_that_cannot_be(volume, axes):
    with pytest.raises(ValueError, match=r"axes must name z, y and x once each, such as 'yzx', .*; got "):
        permute_axes(volume, axes)


def test_components_are_three(tmp_path, data):
    volume = store(tmp_path / "x.zarr", data[:2])
    with pytest.raises(ValueError, match="has 2 channels; expected the three components z, y, x"):
        permute_axes(volume, "yzx", has_components=True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["z", "w"], r"slice_axes must be a list of names out of z, y, x; got 'w'"),
        ([], r"at least one of z, y, x, each at most once; got \[\]"),
        ("zz", r"each at most once; got \['z', 'z'\]"),
    ],
)
def test_slice_axes_that_cannot_be(given, message):
    check_slice_axes("xz")
    with pytest.raises(ValueError, match=message):
        check_slice_axes(given)
