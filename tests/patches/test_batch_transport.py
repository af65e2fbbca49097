"""Batches that come from a worker: the same as without workers, and light on the way."""

from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.data.utils import list_data_collate

from scripts.patches import PatchLoader
from scripts.patches.batch_transport import SMALL, BatchCollation, LightBatch

EDGE = 20  # voxels of 4 bytes: more than SMALL


class Samples(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, number):
        voxels = torch.full((1, EDGE, EDGE, EDGE), float(number))
        meta = {"spacing": np.array([1.0, 2.0, number]), "filename_or_obj": f"{number}.zarr"}
        return {
            "image": MetaTensor(voxels, affine=torch.eye(4) * (number + 1), meta=meta),
            "start": np.array([number, 0, 0]),
            "half": torch.tensor([number], dtype=torch.bfloat16),
            "name": f"sample {number}",
        }


def assert_same(one, other):
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert set(one) == set(other)
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert_same(left, right)
    elif isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype
        assert torch.equal(one.as_subclass(torch.Tensor), other.as_subclass(torch.Tensor))
        if isinstance(one, MetaTensor):
            assert one.is_batch == other.is_batch
            assert_same(one.meta, other.meta)
            assert_same(one.applied_operations, other.applied_operations)
    else:
        assert one == other


@pytest.mark.parametrize("context", ["forkserver", "fork"])
def test_workers_give_what_no_workers_give(context):
    alone = list(PatchLoader(Samples(), batch_size=2))
    options = {"num_workers": 2, "multiprocessing_context": context}
    for one, other in zip(alone, PatchLoader(Samples(), batch_size=2, **options), strict=True):
        assert_same(one, other)
        other["start"] += 1  # what has come can be written to
        other["image"].affine[0] = 7


def test_only_voxels_are_shared(monkeypatch):
    shared = []
    reducers = ForkingPickler._extra_reducers
    reduce = reducers[torch.UntypedStorage]
    monkeypatch.setitem(reducers, torch.UntypedStorage, lambda storage: shared.append(len(storage)) or reduce(storage))
    batch = list_data_collate([Samples()[0], Samples()[1]])
    ForkingPickler.dumps(batch)
    assert len(shared) >= 5
    shared.clear()
    message = ForkingPickler.dumps(LightBatch(batch))
    assert sorted(shared) == [2 * 2, 2 * 4 * EDGE**3]  # a type that NumPy does not have, and the voxels
    assert len(message) < SMALL
    assert_same(ForkingPickler.loads(message), batch)


def test_in_the_process_itself_a_batch_is_what_it_was():
    assert BatchCollation(list)((1, 2)) == [1, 2]
