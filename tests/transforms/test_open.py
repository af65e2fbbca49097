"""OpenVolumed: lazy volumes and tensors."""

import numpy as np
import torch

from scripts.transforms import OpenVolumed
from scripts.volumes import Volume, create_ome_zarr


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
