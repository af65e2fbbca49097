"""Values that the configs derive from their tables."""

import pytest
import torch

from scripts.losses import MultiTaskLoss
from scripts.volumes import create_ome_zarr
from scripts.workflows import at_most, common_spacing, sample_keys, trained_parameters


def test_sample_keys_are_the_image_then_what_the_volumes_carry():
    targets = {
        "sheet": {"channels": 1, "mask": "inside"},
        "distance": {"channels": 1, "kind": "scalar", "source": "cells"},
    }
    assert sample_keys(targets) == ["image", "sheet", "cells", "inside"]


@pytest.fixture
def volumes(tmp_path):
    rows = []
    for number, spacing in enumerate([(1, 2, 3), (5, 2, 1), (3, 8, 2)]):
        path = tmp_path / f"{number}.zarr"
        create_ome_zarr(path, (1, 8, 8, 8), "uint8", spacing=spacing)
        rows.append({"image": str(path)})
    return rows


def test_common_spacing_is_the_median_along_each_axis(volumes):
    assert common_spacing(volumes) == [3.0, 2.0, 2.0]
    assert common_spacing(volumes[:1]) == [1.0, 2.0, 3.0]
    assert common_spacing(volumes[:2]) == [3.0, 2.0, 2.0]
    assert all(type(value) is float for value in common_spacing(volumes))


def test_of_a_list_of_images_the_first_counts(volumes):
    stacked = [{"image": [volumes[1]["image"], volumes[0]["image"]]}]
    assert common_spacing(stacked) == [5.0, 2.0, 1.0]


def test_the_spacing_at_which_a_volume_is_read_counts(tmp_path):
    path = create_ome_zarr(tmp_path / "p.zarr", (1, 8, 8, 8), "uint8", spacing=(1, 1, 1), levels=2).finish()
    assert common_spacing([{"image": path, "spacing": [2, 2, 2]}]) == [2.0, 2.0, 2.0]
    assert common_spacing([{"image": path, "spacing": [1.5, 2, 3]}]) == [1.5, 2.0, 3.0]
    assert common_spacing([{"image": path}, {"image": path, "spacing": [1.5, 2, 3]}]) == [1.25, 1.5, 2.0]


@pytest.mark.parametrize(
    ("count", "chosen"),
    [(99, list(range(9))), (9, list(range(9))), (3, [0, 4, 8]), (2, [0, 8]), (1, [0]), (5, [0, 2, 4, 6, 8]), (0, [])],
)
def test_at_most_takes_evenly_from_the_whole_list(count, chosen):
    data = [{"number": number} for number in range(9)]
    assert at_most(data, count) == [data[i] for i in chosen]


def test_processes_share_what_validates():
    data = [{"number": number} for number in range(9)]
    parts = [at_most(data, 2, rank, 3) for rank in range(3)]
    assert [len(part) for part in parts] == [2, 2, 2]
    together = sorted(one["number"] for part in parts for one in part)
    assert together == [one["number"] for one in at_most(data, 6)]
    assert at_most([], 2, 1, 3) == []
    with pytest.raises(ValueError, match="2 validation patches cannot be shared by 3 processes; use fewer processes"):
        at_most(data[:2], 2, 0, 3)


def test_parameters_that_a_loss_learns_do_not_decay():
    network = torch.nn.Linear(2, 1)
    targets = {"sheet": {"channels": 1}}
    assert trained_parameters(network, MultiTaskLoss(targets)) == [{"params": list(network.parameters())}]
    assert trained_parameters(network, lambda prediction, label: 0) == [{"params": list(network.parameters())}]
    loss = MultiTaskLoss(targets, balance="uncertainty")
    optimizer = torch.optim.AdamW(trained_parameters(network, loss), weight_decay=0.1)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    assert optimizer.param_groups[1]["params"] == list(loss.parameters())
