"""Patches that are enlarged before they are read, against sampling the whole volume directly."""

import logging

import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.transforms import Compose
from scipy import ndimage

from scripts.geometry.elastic import displacement
from scripts.patches import PatchDataset, PatchSampler
from scripts.transforms import (
    ApplySpatiald,
    LoadZarrPatchd,
    NormalizeImaged,
    RandPatchStartd,
    RandSpatialDrawd,
    ReorientVectorsd,
)
from scripts.volumes import create_ome_zarr

TARGETS = {
    "sheet": {"channels": 1, "mask": "mask"},
    "depth": {"channels": 1, "kind": "scalar"},
    "normals": {"channels": 3, "kind": "normal"},
}
KEYS = ["image", "sheet", "depth", "normals", "mask"]
SHAPE, SPACING, TRANSLATION = (30, 60, 50), (2.0, 1.0, 1.5), (100.0, -5.0, 7.0)
SIZE = [9, 16, 13]
ALWAYS = {"prob_rotation": 1.0, "prob_scaling": 1.0, "spacing": SPACING, "max_enlargement": 4.0}


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    image = ndimage.gaussian_filter(rng.normal(size=SHAPE), 1.5).astype(np.float32)
    normals = np.stack(np.gradient(image.astype(float), *SPACING))
    normals /= np.linalg.norm(normals, axis=0)
    return {
        "image": image[None],
        "sheet": (image > 0.05).astype(np.uint8)[None],
        "depth": (100 * image)[None],
        "normals": normals.astype(np.float32),
    }


@pytest.fixture(scope="module")
def volume(arrays, tmp_path_factory):
    folder = tmp_path_factory.mktemp("volume")
    for key, array in arrays.items():
        writer = create_ome_zarr(
            folder / f"{key}.zarr", array.shape, array.dtype, spacing=SPACING, translation=TRANSLATION, unit="um",
            chunks=(8, 8, 8),
        )  # fmt: skip
        writer.write((0, 0, 0), array)
    return {key: str(folder / f"{key}.zarr") for key in arrays}


def datum(volume, start=(10, 20, 18), **more):
    return {**volume, "start": list(start), "size": list(SIZE), "volume": 0, **more}


def chain(**options):
    return Compose(
        [RandSpatialDrawd(**{**ALWAYS, **options}), LoadZarrPatchd(KEYS, TARGETS), ApplySpatiald(KEYS, TARGETS)]
    )


def places(tensor):
    """Index in the volume of each voxel, from its affine."""
    volume_affine = np.diag([*SPACING, 1.0])
    volume_affine[:3, 3] = TRANSLATION
    matrix = np.linalg.solve(volume_affine, tensor.affine.numpy())
    index = np.stack(np.meshgrid(*(np.arange(n) for n in tensor.shape[1:]), indexing="ij"))
    return np.einsum("ij,j...->i...", matrix[:3, :3], index) + matrix[:3, 3].reshape(3, 1, 1, 1), matrix[:3, :3]


@pytest.mark.parametrize("seed", range(4))
def test_a_patch_is_the_volume_sampled_directly(volume, arrays, seed):
    sample = chain().set_random_state(seed)(datum(volume))
    place, matrix = places(sample["image"])
    # the middle of the patch stays, and the steps are a rotation times one factor, in physical length
    np.testing.assert_allclose(place.reshape(3, -1).mean(axis=1), np.add((10, 20, 18), (np.array(SIZE) - 1) / 2))
    steps = np.diag(SPACING) @ matrix @ np.diag(1 / np.array(SPACING))
    factor = np.cbrt(np.linalg.det(steps))
    np.testing.assert_allclose(steps @ steps.T, factor**2 * np.eye(3), atol=1e-9)
    assert 0.7 <= factor <= 1.4
    assert np.abs(steps - factor * np.eye(3)).max() > 0.05

    assert (place > 0).all()
    assert (place < np.array(SHAPE).reshape(3, 1, 1, 1) - 1).all()
    for key in ("image", "depth", "normals"):
        for channel, found in zip(arrays[key], sample[key], strict=True):
            expected = ndimage.map_coordinates(channel, place, order=1)
            np.testing.assert_allclose(found.as_tensor(), expected, atol=1e-4 * max(1, np.abs(channel).max()))
    between = np.abs(place % 1 - 0.5).min(axis=0) > 1e-3  # where the nearest voxel is certain
    expected = ndimage.map_coordinates(arrays["sheet"][0], place, order=0)
    assert np.array_equal(sample["sheet"][0].numpy()[between], expected[between])
    assert (sample["mask"] == 1).all()


def test_the_sample_says_that_it_is_the_patch(volume):
    plain = LoadZarrPatchd(KEYS, TARGETS)(datum(volume))
    sample = chain().set_random_state(0)(datum(volume))
    assert set(sample) == set(plain)
    assert sample["patch"]["start"].tolist() == [10, 20, 18]
    assert sample["patch"]["size"].tolist() == SIZE
    for key in KEYS:
        assert sample[key].shape == plain[key].shape
        assert sample[key].dtype == plain[key].dtype
        assert set(sample[key].meta) == set(plain[key].meta)
        for entry in ("start", "size", "spacing", "reference_affine", "original_affine"):
            np.testing.assert_allclose(sample[key].meta[entry], plain[key].meta[entry])


def test_nothing_drawn_is_a_plain_patch(volume):
    plain = LoadZarrPatchd(KEYS, TARGETS)(datum(volume))
    sample = chain(prob_rotation=0, prob_scaling=0)(datum(volume))
    for key in KEYS:
        assert torch.equal(sample[key].as_tensor(), plain[key].as_tensor())
        assert torch.equal(sample[key].affine, plain[key].affine)


def test_a_deformed_patch_is_the_volume_sampled_directly(volume, arrays):
    draw = RandSpatialDrawd(**{**ALWAYS, "prob_elastic": 1, "elastic_displacement": [4, 4]})
    draw.set_random_state(1)
    drawn = draw(datum(volume))
    sample = ApplySpatiald(KEYS, TARGETS)(LoadZarrPatchd(KEYS, TARGETS)(drawn))
    place, matrix = places(sample["image"])
    shift = displacement(drawn["spatial"].coefficients(SIZE, SPACING), SIZE)
    assert float(shift[1].abs().max()) > 1
    place += np.einsum("ab,b...->a...", matrix, shift.numpy())
    expected = ndimage.map_coordinates(arrays["depth"][0], place, order=1)
    np.testing.assert_allclose(sample["depth"][0].as_tensor(), expected, atol=5e-3)


@pytest.mark.parametrize("start", [(-2, -3, -4), (24, 50, 45), (11, 22, 19)])
def test_what_lies_outside_the_volume_is_unknown(volume, arrays, start):
    sample = chain().set_random_state(5)(datum(volume, start))
    place, _ = places(sample["image"])
    last = np.array(SHAPE).reshape(3, 1, 1, 1) - 1
    inside = ((place >= -0.499) & (place <= last + 0.499)).all(axis=0)
    outside = ((place < -0.501) | (place > last + 0.501)).any(axis=0)
    assert outside.any() == (start != (11, 22, 19))
    assert (sample["sheet"][0].numpy()[outside] == -1).all()
    assert (sample["mask"][0].numpy()[outside] == 0).all()
    assert np.isnan(sample["depth"][0].numpy()[outside]).all()
    assert np.isnan(sample["normals"].numpy()[:, outside]).all()
    assert (sample["sheet"][0].numpy()[inside] >= 0).all()
    assert (sample["mask"][0].numpy()[inside] == 1).all()
    expected = ndimage.map_coordinates(arrays["image"][0], place, order=1, mode="nearest")
    np.testing.assert_allclose(sample["image"][0].as_tensor(), expected, atol=1e-4)  # the image's border continues
    np.testing.assert_allclose(sample["depth"][0].numpy()[inside], 100 * expected[inside], atol=1e-2)


def test_a_volume_smaller_than_the_box_but_not_than_the_patch_is_no_warning(volume, caplog):
    transform = chain(scaling=[1.4, 1.4])
    big = {**datum(volume, (0, 0, 0)), "size": [30, 60, 50]}
    with caplog.at_level(logging.WARNING):
        sample = transform.set_random_state(0)(big)
    assert caplog.records == []
    assert sample["sheet"].shape == (1, 30, 60, 50)
    assert 0.1 < float((sample["sheet"] == -1).float().mean()) < 0.9
    with caplog.at_level(logging.WARNING):
        transform.set_random_state(0)({**big, "size": [31, 60, 50]})
    assert "is smaller than the patch [31, 60, 50]: it is padded" in caplog.text


def test_labels_are_looked_for_where_the_patch_is_not_in_the_box(volume, tmp_path):
    """Labels in a corner of the patch alone, which a factor of 0.7 leaves out; then none at all."""
    labels = np.zeros((1, *SHAPE), np.uint8)
    labels[0, 10, 20, 18] = 1
    writer = create_ome_zarr(tmp_path / "corner.zarr", labels.shape, "uint8", spacing=SPACING, translation=TRANSLATION)
    writer.write((0, 0, 0), labels)
    near = {**volume, "sheet": str(tmp_path / "corner.zarr")}
    transform = chain(prob_rotation=0, scaling=[0.7, 0.7])
    sample = transform(datum(near, ref_label="sheet"))
    assert (sample["sheet"] == 0).all()
    draw, load, _ = transform.transforms
    with pytest.raises(ValueError, match=r"no labelled voxel in the box at \[11, 20, 18\] of size \[9, 16, 13\]"):
        load(draw(datum(near, (11, 20, 18), ref_label="sheet")))
    moved = datum(near, (11, 20, 18), ref_label="sheet", found=[10, 20, 18])
    assert (transform(moved)["sheet"] == 0).all()


def batches(volume, num_workers, epoch=1):
    data = [datum(volume, (z, 20, 18), start_range=[[z, 18, 16], [z, 22, 20]]) for z in (6, 10, 14)]
    transform = Compose(
        [
            RandPatchStartd(),
            RandSpatialDrawd(prob_rotation=0.5, prob_scaling=0.5, prob_elastic=0.5, spacing=SPACING),
            LoadZarrPatchd(KEYS, TARGETS),
            NormalizeImaged("image"),
            ApplySpatiald(KEYS, TARGETS),
            ReorientVectorsd("normals"),
        ]
    )
    sampler = PatchSampler(3, 8, seed=7)
    sampler.set_epoch(epoch)
    context = "forkserver" if num_workers else None
    return list(
        DataLoader(
            PatchDataset(data, transform), num_workers, sampler=sampler, batch_size=2, multiprocessing_context=context
        )
    )


def test_batches_do_not_depend_on_the_number_of_workers(volume):
    alone, shared, later = batches(volume, 0), batches(volume, 2), batches(volume, 0, 2)
    for one, other in zip(alone, shared, strict=True):
        for key in KEYS:
            assert torch.equal(one[key].as_tensor().nan_to_num(9), other[key].as_tensor().nan_to_num(9))
            assert torch.equal(one[key].affine, other[key].affine)
        assert torch.equal(one["patch"]["start"], other["patch"]["start"])
    assert not torch.equal(alone[0]["image"].as_tensor(), later[0]["image"].as_tensor())
