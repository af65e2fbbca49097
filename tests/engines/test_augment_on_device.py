"""Transforms of whole batches: on a CPU the same as in the loader."""

import pytest
import torch
from monai.data import DataLoader, MetaTensor
from monai.transforms import Compose

from scripts.engines import AugmentOnDevice, PrepareTargets
from scripts.patches import PatchDataset, PatchSampler
from scripts.transforms import (
    LabelToDistanced,
    RandSpatialDrawd,
    RandTransposed,
    ReorientVectorsd,
    nnunet_augmentation,
)

TARGETS = {
    "organ": {"channels": 3, "mask": "mask"},
    "n": {"channels": 3, "kind": "normal"},
    "depth": {"channels": 1, "kind": "scalar", "source": "cells"},
}
KEYS = ["image", "organ", "n", "mask", "cells"]
SIZE = (8, 8, 8)


def data():
    generator = torch.Generator().manual_seed(0)
    affine = torch.diag(torch.tensor([2.0, 1.0, 1.0, 1.0], dtype=torch.float64))
    samples = []
    for number in range(6):
        arrays = {
            "image": torch.randn(2, *SIZE, generator=generator),
            "organ": torch.randint(0, 3, (1, *SIZE), generator=generator),
            "n": torch.nn.functional.normalize(torch.randn(3, *SIZE, generator=generator), dim=0),
            "mask": torch.randint(0, 2, (1, *SIZE), generator=generator),
            "cells": torch.randint(0, 2, (1, *SIZE), generator=generator),
        }
        meta = {"reference_affine": affine, "original_affine": affine, "start": torch.tensor([number, 0, 0])}
        sample = {key: MetaTensor(array, affine=affine, meta=dict(meta)) for key, array in arrays.items()}
        samples.append({**sample, "patch": {"volume": number, "start": torch.tensor([number, 0, 0])}})
    return samples


def transforms():
    return [
        RandSpatialDrawd(prob_rotation=0.5, prob_scaling=0.5, prob_elastic=0.3),
        *nnunet_augmentation(KEYS, TARGETS, is_drawn=True),
        RandTransposed(KEYS, 0.5),
        ReorientVectorsd("n"),
        LabelToDistanced("cells", "depth"),
    ]


def loader(transform=None):
    sampler = PatchSampler(6, 8, seed=3)
    return DataLoader(PatchDataset(data(), transform), sampler=sampler, batch_size=2)


def same(first, second):
    torch.testing.assert_close(first, second, rtol=0, atol=0, equal_nan=True)


def test_on_a_cpu_batches_are_those_of_the_loader():
    prepare = PrepareTargets(TARGETS)
    on_device = AugmentOnDevice(transforms(), prepare)
    changed = 0
    for plain, augmented in zip(loader(), loader(Compose(transforms())), strict=True):
        image, labels = on_device(plain, torch.device("cpu"))
        expected_image, expected_labels = prepare(augmented)
        same(image, expected_image)
        assert list(labels) == ["organ", "n", "depth"]
        for name in labels:
            same(labels[name], expected_labels[name])
        changed += int(not torch.equal(image, plain["image"].as_tensor()))
    assert changed == 4


def test_it_computes_by_one_thread_as_the_loader_does():
    seen = []

    def note(sample):
        seen.append(torch.get_num_threads())
        return sample

    (batch, *_) = loader()
    AugmentOnDevice([note], lambda batch, device, non_blocking: batch)(batch, torch.device("cpu"))
    assert (seen, torch.get_num_threads()) == ([1, 1], 2)


def test_the_batch_itself_stays():
    (batch, *_) = loader()
    before = {key: batch[key].as_tensor().clone() for key in KEYS}
    AugmentOnDevice(transforms(), PrepareTargets(TARGETS))(batch)
    for key, value in before.items():
        assert torch.equal(batch[key].as_tensor(), value)


def test_the_inner_one_gets_everything():
    calls = []

    def prepare(batch, device, non_blocking, **kwargs):
        calls.append((sorted(batch), device, non_blocking, kwargs))
        return "prepared"

    (batch, *_) = loader()
    on_device = AugmentOnDevice([], prepare)
    assert on_device(batch, "cpu", True, dtype=torch.float16) == "prepared"
    assert calls == [(sorted([*KEYS, "patch", "seed"]), "cpu", True, {"dtype": torch.float16})]


def test_a_batch_without_seeds():
    with pytest.raises(ValueError, match=r"the batch has no 'seed'.*its keys: image\. PatchDataset with PatchSampler"):
        AugmentOnDevice([], PrepareTargets(TARGETS))({"image": torch.zeros(1, 1, 2, 2, 2)})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_on_a_gpu_everything_stays_there():
    sizes = set()
    for plain, augmented in zip(loader(), loader(Compose(transforms())), strict=True):
        image, labels = AugmentOnDevice(transforms(), PrepareTargets(TARGETS))(plain, torch.device("cuda"))
        assert {one.device.type for one in (image, *labels.values())} == {"cuda"}
        _, expected = PrepareTargets(TARGETS)(augmented)
        # noise differs from device to device, what happens in space does not
        for name in ("organ", "n"):
            torch.testing.assert_close(labels[name].cpu(), expected[name], rtol=0, atol=1e-4, equal_nan=True)
        sizes.add(tuple(image.shape))
    assert sizes == {(2, 2, *SIZE)}
