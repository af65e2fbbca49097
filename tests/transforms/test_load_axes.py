"""LoadZarrPatchd with `axes`: the transposed volume, and directions of an analytic sphere along the axes as seen."""

import pickle

import numpy as np
import pytest
import torch
from monai.transforms import Compose

from scripts.patches import make_datalist
from scripts.transforms import ApplySpatiald, LoadZarrPatchd, RandSpatialDrawd, ReorientVectorsd
from scripts.volumes import create_ome_zarr

TARGETS = {
    "sheet": {"channels": 1, "mask": "mask"},
    "depth": {"channels": 1, "kind": "scalar"},
    "normals": {"channels": 3, "kind": "normal"},
    "inward": {"channels": 3, "kind": "vector"},
    "other": {"channels": 3, "kind": "vector"},
}
KEYS = ["image", "sheet", "mask", "depth", "normals", "inward", "other"]
SPACING, TRANSLATION = (2.0, 1.0, 1.5), (10.0, -5.0, 7.0)
SHAPE, CENTRE, RADIUS = (24, 40, 30), np.array([23.0, 18.0, 21.0]), 14.0
ORDERS = ["zyx", "yzx", "xzy", "yxz"]


@pytest.fixture(scope="module")
def arrays():
    offset = offsets(SHAPE, "zyx")
    length = np.maximum(np.linalg.norm(offset, axis=0), 1e-6)
    return {
        "image": (100 + offset[:1] + 2 * offset[1:2] + 3 * offset[2:]).astype(np.float32),
        "sheet": (np.abs(length - RADIUS) < 2)[None].astype(np.uint8),
        "depth": (length - RADIUS)[None].astype(np.float32),
        "normals": (offset / length).astype(np.float32),
        "inward": (-offset).astype(np.float32),
    }


@pytest.fixture(scope="module")
def volume(tmp_path_factory, arrays):
    folder = tmp_path_factory.mktemp("sphere")
    for key, data in arrays.items():
        create_ome_zarr(
            folder / f"{key}.zarr", data.shape, data.dtype, spacing=SPACING, translation=TRANSLATION, chunks=(8, 8, 8)
        ).write((0, 0, 0), data)
    return {key: f"{folder}/{key}.zarr" for key in arrays}


def offsets(shape, axes, start=(0, 0, 0), spacing=SPACING):
    """From the sphere's centre, physical, components and voxels along the axes: 3 D H W, from positions alone."""
    order = ["zyx".index(axis) for axis in axes]
    index = np.stack(np.meshgrid(*(np.arange(s, s + n) for s, n in zip(start, shape, strict=True)), indexing="ij"))
    along = [np.array(values)[order].reshape(3, 1, 1, 1) for values in (spacing, CENTRE)]
    return index * along[0] - along[1]


def load(volume, patch, **row):
    """The datum of a patch, in which nobody has searched for labels, and what loads it."""
    (datum,) = make_datalist([{**volume, **row}], [{"volume": 0, "ref_label": None, **patch}], TARGETS)
    return datum, LoadZarrPatchd(KEYS, TARGETS)


def angles(first, second):
    return np.rad2deg(np.arccos(np.clip((first * second).sum(axis=0), -1, 1)))


@pytest.mark.parametrize("axes", ORDERS)
def test_a_sphere_is_a_sphere_whichever_way_it_is_seen(volume, axes):
    start, size = (3, 5, 4), (1, 15, 14)
    datum, transform = load(volume, {"start": start, "size": size}, axes=axes)
    assert len(pickle.dumps(datum)) < 2000
    sample = pickle.loads(pickle.dumps(transform))(datum)
    offset = offsets(size, axes, start)
    length = np.linalg.norm(offset, axis=0)
    assert angles(sample["normals"].numpy(), offset / length).max() < 0.1
    np.testing.assert_allclose(sample["inward"].numpy(), -offset, atol=1e-4)
    np.testing.assert_allclose(sample["depth"].numpy()[0], length - RADIUS, atol=1e-4)
    np.testing.assert_array_equal(sample["sheet"].numpy()[0], np.abs(length - RADIUS) < 2)
    z, y, x = (offset[axes.index(axis)] for axis in "zyx")
    np.testing.assert_allclose(sample["image"].numpy()[0], 100 + z + 2 * y + 3 * x, atol=1e-3)
    order = ["zyx".index(axis) for axis in axes]
    for key in KEYS:
        affine = sample[key].affine.numpy()
        assert np.allclose(np.diag(affine)[:3], np.array(SPACING)[order])
        assert np.allclose(affine[:3, 3], (np.array(TRANSLATION)[order] + np.multiply(start, np.array(SPACING)[order])))
        assert np.allclose(sample[key].meta["reference_affine"], affine)
    assert np.isnan(sample["other"].numpy()).all()  # not carried: unknown
    assert (sample["mask"].numpy() == 1).all()
    assert "axes" not in sample


@pytest.mark.parametrize("axes", ORDERS)
def test_what_is_outside_is_unknown(volume, axes):
    shape = [SHAPE["zyx".index(axis)] for axis in axes]
    start, size = (-1, 2, shape[2] - 3), (2, 3, 5)
    datum, transform = load(volume, {"start": start, "size": size}, axes=axes)
    sample = transform(datum)
    outside = np.zeros(size, bool)
    outside[:1] = outside[:, :, 3:] = True
    np.testing.assert_array_equal(sample["sheet"].numpy()[0] == -1, outside)
    np.testing.assert_array_equal(sample["mask"].numpy()[0] == 0, outside)
    np.testing.assert_array_equal(np.isnan(sample["normals"].numpy()).all(axis=0), outside)


@pytest.mark.parametrize("axes", ORDERS)
def test_at_another_spacing_directions_stay_what_they_are(volume, axes):
    """Read at 1 along each axis, from voxels of 2 x 1 x 1.5; `spacing` of a row is along z, y, x."""
    wanted = (1.0, 2.0, 1.5)
    start, size = (4, 6, 5), (2, 8, 9)
    datum, transform = load(volume, {"start": start, "size": size}, axes=axes, spacing=list(wanted))
    sample = transform(datum)
    order = ["zyx".index(axis) for axis in axes]
    assert np.allclose(np.diag(sample["image"].affine.numpy())[:3], np.array(wanted)[order])
    shift = (np.subtract(wanted, SPACING) / 2)[order].reshape(3, 1, 1, 1)  # the outer edge stays
    offset = offsets(size, axes, start, wanted) + shift
    assert angles(sample["normals"].numpy(), offset / np.linalg.norm(offset, axis=0)).max() < 1
    np.testing.assert_allclose(sample["inward"].numpy(), -offset, atol=1e-3)


@pytest.mark.parametrize("axes", ORDERS)
def test_one_process_keeps_views_of_one_volume_apart(volume, axes):
    transform = LoadZarrPatchd(KEYS, TARGETS)
    for order in (axes, "zyx", axes):
        datum, _ = load(volume, {"start": [1, 2, 3], "size": [2, 3, 4]}, axes=order)
        assert np.allclose(transform(datum)["inward"].numpy(), -offsets((2, 3, 4), order, (1, 2, 3)), atol=1e-4)


@pytest.mark.parametrize("axes", ORDERS)
def test_a_turned_slice_has_the_normals_of_the_turned_sphere(volume, axes):
    """Rotated within the slice and scaled; its own affine says where each voxel was read."""
    start, size = (6, 8, 8), (1, 12, 12)
    datum, transform = load(volume, {"start": start, "size": size}, axes=axes, spacing=[1.0] * 3)
    draw = RandSpatialDrawd(
        prob_rotation=1.0, rotation=180.0, prob_scaling=1.0, scaling=(0.8, 1.2), in_plane=True, max_enlargement=4.0
    )
    chain = Compose([draw, transform, ApplySpatiald(KEYS, TARGETS), ReorientVectorsd("normals")])
    sample = chain.set_random_state(5)(datum)
    assert sample["normals"].shape == (3, *size)
    matrix = torch.linalg.solve(sample["image"].meta["reference_affine"], sample["image"].affine).numpy()
    index = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"))
    old = np.einsum("ij,j...->i...", matrix[:3, :3], index) + matrix[:3, 3].reshape(3, 1, 1, 1)
    order = ["zyx".index(axis) for axis in axes]
    edge = (np.subtract(1.0, SPACING) / 2)[order] + start - CENTRE[order]
    turned = np.einsum("ji,j...->i...", matrix[:3, :3], old + edge.reshape(3, 1, 1, 1))  # n' = M^T n
    found = sample["normals"].numpy()
    assert np.median(angles(found, turned / np.linalg.norm(turned, axis=0))) < 0.3
    assert np.abs(matrix[1, 2]) > 0.1
