import numpy as np
import pytest
import torch
from monai.transforms import LoadImaged

from scripts.volumes import NORMAL_INT8, ZarrReader, create_ome_zarr, encode


@pytest.fixture
def image(tmp_path):
    data = np.random.default_rng(0).integers(0, 999, (1, 5, 6, 7)).astype("int16")
    path = tmp_path / "image.zarr"
    writer = create_ome_zarr(
        path, data.shape, "int16", spacing=(3, 1, 1.5), translation=(10, 20, 30), unit="um", levels=2
    )
    writer.write((0, 0, 0), data)
    writer.finish()
    return path, data


def test_load_imaged(image, tmp_path):
    path, data = image
    labels = tmp_path / "two.zarr"
    create_ome_zarr(labels, (2, 5, 6, 7), "uint8", spacing=(3, 1, 1.5)).write((0, 0, 0), np.ones((2, 5, 6, 7), "uint8"))
    load = LoadImaged(("image", "label"), reader=ZarrReader(), ensure_channel_first=True)
    sample = load({"image": str(path), "label": labels})
    assert sample["image"].dtype == torch.float32
    np.testing.assert_array_equal(sample["image"].numpy(), data)
    np.testing.assert_array_equal(sample["label"].numpy(), np.ones((2, 5, 6, 7)))
    expected = np.diag([3.0, 1.0, 1.5, 1.0])
    expected[:3, 3] = 10, 20, 30
    np.testing.assert_array_equal(sample["image"].affine.numpy(), expected)
    np.testing.assert_array_equal(sample["image"].meta["original_affine"], expected)
    np.testing.assert_array_equal(sample["image"].meta["spatial_shape"], [5, 6, 7])
    assert sample["image"].meta["filename_or_obj"] == str(path)


def test_level_and_spacing(image):
    path, _ = image
    expected = LoadImaged("image", reader=ZarrReader())({"image": f"{path}::1"})["image"]
    assert expected.shape == (5, 3, 4)
    for reader in (ZarrReader(level=1), ZarrReader(spacing=[3, 2, 3])):
        loaded = LoadImaged("image", reader=reader)({"image": str(path)})["image"]
        np.testing.assert_array_equal(loaded.numpy(), expected.numpy())
    (volume,) = ZarrReader().read(path, level=1)
    assert volume.spacing == (3.0, 2.0, 3.0)


def test_several_paths_are_channels(image, tmp_path):
    path, data = image
    array, meta = (reader := ZarrReader()).get_data(reader.read([path, path]))
    np.testing.assert_array_equal(array, np.concatenate([data, data]))
    assert meta["original_channel_dim"] == 0
    create_ome_zarr(tmp_path / "other.zarr", (1, 5, 6, 7), "int16", spacing=(1, 1, 1))
    with pytest.raises(ValueError, match=r"differ: Volume\(.*spacing 3 x 1 x 1.5 um\) and .*spacing 1 x 1 x 1"):
        reader.get_data(reader.read([path, tmp_path / "other.zarr"]))


def test_encoding_is_decoded(tmp_path):
    normals = np.zeros((3, 2, 2, 2), "float32")
    normals[1] = -1.0
    writer = create_ome_zarr(
        tmp_path / "n.zarr", normals.shape, "int8", spacing=(1, 1, 1), attributes=NORMAL_INT8.as_attributes()
    )
    writer.write((0, 0, 0), encode(normals, NORMAL_INT8, "int8"))
    loaded = LoadImaged("n", reader=ZarrReader(), ensure_channel_first=True)({"n": tmp_path / "n.zarr"})["n"]
    np.testing.assert_allclose(loaded.numpy(), normals, atol=1e-6)


def test_url_through_load_image(image):
    create_ome_zarr("memory://reader/x.zarr", (1, 2, 2, 2), "uint8", spacing=(1, 1, 1)).write(
        (0, 0, 0), np.full((1, 2, 2, 2), 3, "uint8")
    )
    loaded = LoadImaged("image", reader=ZarrReader())({"image": "memory://reader/x.zarr"})["image"]
    np.testing.assert_array_equal(loaded.numpy(), np.full((2, 2, 2), 3.0))


def test_verify_suffix():
    reader = ZarrReader()
    assert reader.verify_suffix(["/a/x.zarr::2", "s3://b/x.zarr/labels/0", "y.nii.gz"])
    assert not reader.verify_suffix(["/a/x.zarr", "y.mha"])


def test_missing_path_is_named(tmp_path):
    with pytest.raises(RuntimeError, match=r"gone.zarr does not exist; the nearest folder"):
        LoadImaged("image", reader=ZarrReader())({"image": tmp_path / "gone.zarr"})
