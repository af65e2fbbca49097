"""LoadZarrPatchd with `spacing`: volumes of different resolution, and labels that are crops."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from scripts.patches import find_patches, make_datalist, volume_faults
from scripts.transforms import LoadZarrPatchd
from scripts.volumes import create_ome_zarr, open_volume

TARGETS = {
    "sheet": {"channels": 1, "mask": "mask"},
    "depth": {"channels": 1, "kind": "scalar"},
    "normals": {"channels": 3, "kind": "normal"},
}
KEYS = ["image", "sheet", "depth", "normals", "mask"]


def store(path, data, spacing, **kwargs):
    kwargs = {"unit": "um", "chunks": (16, 16, 16)} | kwargs
    writer = create_ome_zarr(path, data.shape, data.dtype, spacing=(spacing,) * 3, **kwargs)
    writer.write((0, 0, 0), data)
    return writer.finish()


def positions(shape, spacing, origin):
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))  # 3 D H W
    return np.reshape(origin, (3, 1, 1, 1)) + index * spacing


def ball_volume(folder, spacing):
    """A cube of 48 um with a ball of 12 um radius at its centre, its outer corner at 0."""
    folder.mkdir()
    shape, origin = (int(48 / spacing),) * 3, (spacing / 2,) * 3
    offset = positions(shape, spacing, origin) - 24
    radius = np.linalg.norm(offset, axis=0)
    normals = np.where(radius > 1, offset / np.maximum(radius, 1), 0)
    arrays = {
        "image": (100 + 2 * offset[:1]).astype(np.uint8),
        "sheet": (radius < 12)[None].astype(np.uint8),
        "depth": radius[None].astype(np.float32),
        "normals": normals.astype(np.float32),
        "mask": (offset[2:] < 0).astype(np.uint8),
    }
    return {k: store(folder / f"{k}.zarr", v, spacing, translation=origin) for k, v in arrays.items()}


@pytest.mark.parametrize("wanted", [1.0, 1.6])
def test_volumes_of_different_resolution_are_the_same_at_one_spacing(tmp_path, wanted):
    rows = [
        {**ball_volume(tmp_path / f"{s}", s), "spacing": [wanted] * 3, "ref_label": "sheet"} for s in (1.0, 0.75, 2.0)
    ]
    assert volume_faults(rows, TARGETS, 1) == []
    load = LoadZarrPatchd(KEYS, TARGETS)
    start, size = [8, 9, 10], [12, 13, 14]
    at = positions(size, wanted, np.multiply(start, wanted) + wanted / 2) - 24
    radius = np.linalg.norm(at, axis=0)
    for number, row in enumerate(rows):
        sample = load({**row, "start": start, "size": size, "volume": number})
        found = {key: sample[key].numpy() for key in KEYS}
        for key in KEYS:
            np.testing.assert_allclose(np.diag(sample[key].affine)[:3], wanted)
            np.testing.assert_allclose(sample[key].affine.numpy() @ [0, 0, 0, 1], [*(at[:, 0, 0, 0] + 24), 1])
            np.testing.assert_allclose(sample[key].meta["spacing"], wanted)
        assert sample["image"].dtype == torch.float32
        assert sample["image"].meta["dtype"] == "uint8"
        np.testing.assert_allclose(found["image"][0], 100 + 2 * at[0], atol=1.01)  # cut to integers where stored
        clear = np.abs(radius - 12) > 2  # half a diagonal of the coarsest voxels
        np.testing.assert_array_equal(found["sheet"][0][clear], radius[clear] < 12)
        assert (sample["sheet"].dtype, sample["mask"].dtype) == (torch.int32, torch.int32)
        np.testing.assert_allclose(found["depth"][0], radius, atol=0.6)
        far = radius > 5
        cosine = (found["normals"] * at / radius).sum(axis=0)[far]
        assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 4
        np.testing.assert_allclose(np.linalg.norm(found["normals"], axis=0)[far], 1, atol=1e-5)
        side = np.abs(at[2]) > 1
        np.testing.assert_array_equal(found["mask"][0][side], at[2][side] < 0)


def test_outside_of_a_crop_everything_is_unknown(tmp_path):
    image = store(tmp_path / "raw.zarr", np.full((1, 16, 16, 16), 9, np.uint8), 4.0)
    crop = {"translation": (14.5, 14.5, 14.5)}  # from 14 to 30 um: what the image's voxels 4 to 7 cover
    row = {
        "image": [image, store(tmp_path / "second.zarr", np.ones((1, 8, 8, 8), np.float32), 4.0)],
        "sheet": store(tmp_path / "s.zarr", np.ones((1, 16, 16, 16), np.uint8), 1.0, **crop),
        "depth": store(tmp_path / "d.zarr", np.ones((1, 16, 16, 16), np.float32), 1.0, **crop),
        "normals": store(tmp_path / "n.zarr", np.ones((3, 16, 16, 16), np.float32), 1.0, **crop),
        "mask": store(tmp_path / "m.zarr", np.ones((1, 16, 16, 16), np.uint8), 1.0, **crop),
        "spacing": [4, 4, 4],
    }
    sample = LoadZarrPatchd(KEYS, TARGETS)({**row, "start": [2, 2, 2], "size": [8, 8, 18]})
    inside = np.zeros((8, 8, 18), bool)
    inside[2:6, 2:6, 2:6] = True
    np.testing.assert_array_equal(sample["sheet"][0], np.where(inside, 1, -1))
    np.testing.assert_array_equal(sample["mask"][0], inside)
    np.testing.assert_array_equal(np.isnan(sample["depth"][0]), ~inside)
    np.testing.assert_array_equal(np.isnan(sample["normals"]), np.broadcast_to(~inside, (3, 8, 8, 18)))
    np.testing.assert_allclose(sample["normals"].numpy()[:, inside], 3**-0.5, atol=1e-6)
    first, second = sample["image"].numpy()
    assert (first[..., :14] == 9).all()
    assert not first[..., 14:].any()
    assert (second[:6, :6, :6] == 1).all()
    assert second.sum() == 6**3


def test_patches_of_a_crop_are_found_and_loaded_on_the_grid_of_the_image(tmp_path):
    image = np.zeros((1, 24, 24, 24), np.uint8)
    image[:, 10:14, 8:16, 9:13] = 200
    label = np.zeros((1, 20, 32, 20), np.uint8)
    label[:, 4:12, 8:24, 4:12] = 1  # the same box in voxels half as large, from coarse voxel 8, 4, 7 on
    row = {
        "image": store(tmp_path / "raw.zarr", image, 2.0),
        "sheet": store(tmp_path / "s.zarr", label, 1.0, translation=(15.5, 7.5, 13.5)),
        "spacing": [2, 2, 2],
        "ref_label": "sheet",
    }
    targets = {"sheet": {"channels": 1}}
    patches = find_patches([row], [4, 8, 4], stride=[4, 8, 4], targets=targets)
    assert [10, 8, 9] in [patch["start"] for patch in patches]
    load = LoadZarrPatchd(["image", "sheet"], targets)
    for datum in make_datalist([row], patches, targets):
        sample = load(datum)
        np.testing.assert_array_equal(sample["sheet"].numpy() == 1, sample["image"].numpy() == 200)


@pytest.mark.real_data
def test_real_volumes_of_different_resolution_train_together(real_data, tmp_path):
    root = real_data / "ome_zarr"
    nuclei, flat = root / "6001240_labels_v0.5.zarr", root / "tubhiswt4D_sub_v0.4.zarr"
    one = open_volume(nuclei).read((0, 0, 0), (236, 68, 67), channels=[1])  # the store has two channels
    grid = open_volume(nuclei)
    writer = create_ome_zarr(tmp_path / "dna.zarr", one.shape, one.dtype, spacing=grid.spacing, unit="um")
    writer.write((0, 0, 0), one)
    tubes = open_volume(flat, time=0).read((0, 0, 0), (2, 512, 512))
    writer = create_ome_zarr(tmp_path / "tubes.zarr", tubes.shape, tubes.dtype, spacing=(1, 1, 1), unit="um")
    writer.write((0, 0, 0), tubes)
    writer = create_ome_zarr(tmp_path / "bright.zarr", tubes.shape, np.uint8, spacing=(1, 1, 1), unit="um")
    writer.write((0, 0, 0), (tubes > 30).astype(np.uint8))
    wanted = [1.2, 1.2, 1.2]
    rows = [
        {"image": str(tmp_path / "dna.zarr"), "cells": str(nuclei / "labels" / "0"), "spacing": wanted},
        {"image": str(tmp_path / "tubes.zarr"), "cells": str(tmp_path / "bright.zarr"), "spacing": wanted},
    ]
    targets = {"cells": {"channels": 1}}
    assert volume_faults(rows, targets, 1) == []
    load = LoadZarrPatchd(["image", "cells"], targets)
    size = [2, 32, 32]
    patches = find_patches(rows, size, min_bbox_percent=0.5, min_labeled_ratio=0.05, targets=targets)
    assert {patch["volume"] for patch in patches} == {0, 1}
    data = make_datalist(rows, patches, targets)
    contrast = []
    for datum in data[:: max(1, len(data) // 40)]:
        sample = load(datum)
        for key in ("image", "cells"):
            assert sample[key].shape == (1, *size)
            np.testing.assert_allclose(sample[key].pixdim, wanted)
        image, cells = sample["image"].numpy(), sample["cells"].numpy()
        assert (cells > 0).any()
        if datum["volume"] == 0 and (cells == 0).any():
            contrast.append(image[cells > 0].mean() / image[cells == 0].mean())
    assert np.median(contrast) > 1.5  # DNA lies in the nuclei
    middle = load({**rows[0], "start": [40, 20, 20], "size": [32, 32, 32]})
    labelled = middle["cells"].numpy()[0] > 0
    image = middle["image"].numpy()[0]
    at_home = image[labelled].mean()
    for axis in range(3):  # labels and image fit best where they are
        for step in (-4, 4):
            assert image[ndimage.shift(labelled, np.eye(3)[axis] * step, order=0)].mean() < at_home
