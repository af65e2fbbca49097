"""What the inferer is given: a volume as it is, or tensors as MONAI collates them."""

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor

from scripts.engines import PrepareVolume, collate_volumes
from scripts.transforms import OpenVolumed
from scripts.volumes import Volume, create_ome_zarr


@pytest.fixture
def path(tmp_path):
    writer = create_ome_zarr(tmp_path / "raw.zarr", (1, 4, 5, 6), "uint8", spacing=(1, 1, 1))
    writer.write((0, 0, 0), np.arange(120, dtype=np.uint8).reshape(1, 4, 5, 6))
    return str(tmp_path / "raw.zarr")


def load(path, lazy, batch_size=1, count=1):
    dataset = Dataset([{"image": path}] * count, OpenVolumed("image", lazy=lazy))
    return DataLoader(dataset, batch_size=batch_size, num_workers=0, collate_fn=collate_volumes)


def test_a_lazy_volume_arrives_as_it_is(path):
    (batch,) = load(path, lazy=True)
    image, label = PrepareVolume()(batch, device="cpu", non_blocking=True)
    assert label is None
    assert isinstance(image, Volume)
    assert image.path == path


def test_a_volume_in_memory_arrives_as_a_batch(path):
    (batch,) = load(path, lazy=False, batch_size=2, count=2)
    image, label = PrepareVolume()(batch, device="cpu", dtype=torch.float64)
    assert label is None
    assert image.dtype == torch.float64
    expected = np.arange(120.0).reshape(1, 4, 5, 6)
    np.testing.assert_array_equal(image.numpy(), np.stack([expected, expected]))


def test_tensors_are_collated_as_monai_does():
    items = [{"image": MetaTensor(torch.full((1, 2), float(n))), "name": f"v{n}"} for n in range(3)]
    batch = collate_volumes(items)
    assert batch["image"].tolist() == [[[0, 0]], [[1, 1]], [[2, 2]]]
    assert batch["name"] == ["v0", "v1", "v2"]


def test_several_volumes_in_one_batch_are_an_error(path):
    with pytest.raises(ValueError, match="one after the other: batch_size must be 1, got 2"):
        next(iter(load(path, lazy=True, batch_size=2, count=2)))
