"""OpenVolumed: lazy volumes and tensors."""

import numpy as np
import pytest
import torch

from scripts.transforms import NormalizeImage, OpenVolumed
from scripts.volumes import Volume, create_ome_zarr, statistics


def test_lazy_and_in_memory(tmp_path):
    data = np.arange(2 * 4 * 5 * 6, dtype=np.uint16).reshape(2, 4, 5, 6)
    writer = create_ome_zarr(tmp_path / "v.zarr", data.shape, data.dtype, spacing=(2, 1, 1), translation=(1, 0, 0))
    writer.write((0, 0, 0), data)
    lazy = OpenVolumed("image")({"image": tmp_path / "v.zarr", "other": 1})
    assert isinstance(lazy["image"], Volume)
    assert lazy["other"] == 1
    tensor = OpenVolumed("image", lazy=False)({"image": tmp_path / "v.zarr"})["image"]
    assert tensor.dtype == torch.float32
    assert np.array_equal(tensor.numpy(), data.astype(np.float32))
    assert tensor.affine[0].tolist() == [2, 0, 0, 1]


def test_a_sample_names_its_volumes(tmp_path):
    create_ome_zarr(tmp_path / "v.zarr", (1, 4, 4, 4), "uint8", spacing=(1, 1, 1))
    for name, expected in (({"name": "jrc_fine/crop7"}, "jrc_fine/crop7"), ({}, "v")):
        assert OpenVolumed("image")({"image": tmp_path / "v.zarr", **name})["image"].name == expected


def test_samples_with_a_certain_key_are_read_into_memory(tmp_path):
    create_ome_zarr(tmp_path / "v.zarr", (1, 4, 4, 4), "uint8", spacing=(1, 1, 1))
    opening = OpenVolumed("image", in_memory_key="image_path")
    path = str(tmp_path / "v.zarr")
    assert isinstance(opening({"image": path})["image"], Volume)
    assert isinstance(opening({"image": path, "image_path": path})["image"], torch.Tensor)
    assert isinstance(OpenVolumed("image")({"image": path, "image_path": path})["image"], Volume)


def test_what_is_no_path_is_refused():
    with pytest.raises(TypeError, match="'image' must be the path of a volume, or a list of paths; got 3"):
        OpenVolumed("image")({"image": 3})


@pytest.mark.parametrize("scheme", ["zscore_volume", "percentile", "min_max", "dtype_range"])
def test_an_image_in_memory_is_normalised_by_the_numbers_of_its_volume(tmp_path, monkeypatch, scheme):
    """Of a volume with more voxels than are looked at, its numbers are not those of the whole image."""
    monkeypatch.setattr(statistics, "_MOST_VOXELS", 512)
    data = np.random.default_rng(0).gamma(2, 30, (1, 24, 24, 24)).astype(np.uint16)
    create_ome_zarr(tmp_path / "v.zarr", data.shape, data.dtype, spacing=(1, 1, 1)).write((0, 0, 0), data)
    volume, image = (OpenVolumed("image", lazy)({"image": tmp_path / "v.zarr"})["image"] for lazy in (True, False))
    normalize = NormalizeImage(scheme)
    window = image[:, :8, :8, :8].as_tensor()
    streamed, ours = normalize.bind(volume)(window), normalize.bind(image)(window)
    torch.testing.assert_close(ours, streamed, rtol=0, atol=0)
    if scheme != "dtype_range":
        assert not torch.allclose(normalize.bind(image.as_tensor())(window), streamed, atol=1e-4)


@pytest.mark.parametrize("lazy", [True, False])
def test_several_paths_are_stacked_as_channels(tmp_path, lazy):
    arrays = np.random.default_rng(0).integers(0, 99, (2, 1, 4, 5, 6)).astype(np.uint8)
    paths = []
    for number, array in enumerate(arrays):
        paths.append(tmp_path / f"{number}.zarr")
        create_ome_zarr(paths[-1], array.shape, array.dtype, spacing=(1, 1, 1)).write((0, 0, 0), array)
    image = OpenVolumed("image", lazy)({"image": paths})["image"]
    values = image.read((0, 0, 0), (4, 5, 6)) if lazy else image.numpy()
    np.testing.assert_array_equal(values, np.concatenate(arrays))
