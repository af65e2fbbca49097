"""A batch of two views, and a training on them."""

import numpy as np
import pytest
import torch
from monai.data import DataLoader, MetaTensor
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.transforms import Compose, RandScaleIntensityd
from scipy.ndimage import gaussian_filter

from scripts.engines import (
    LossTerms,
    NonFiniteLossError,
    PointMatchingScore,
    PrepareViews,
    TrainingStep,
    ValidationStep,
)
from scripts.losses import TwoViewLoss
from scripts.networks import EmbeddingNetwork, MultiTaskUNet
from scripts.patches import PatchDataset, PatchSampler
from scripts.transforms import RandMirrord, RandNoised, RandTwoSpatialDrawsd, TwoViewsd

SIZE, N_POINTS = 16, 64


def test_first_views_stand_before_second_ones():
    batch = {f"view_{n}": MetaTensor(torch.full((2, 1, 3, 3, 3), float(n))) for n in (1, 2)}
    batch |= {f"points_{n}": torch.full((2, 5, 3), 10.0 * n) for n in (1, 2)}
    images, labels = PrepareViews()(batch, "cpu", dtype=torch.float64)
    assert type(images) is torch.Tensor
    assert images.dtype == torch.float64
    assert images[:, 0, 0, 0, 0].tolist() == [1, 1, 2, 2]
    assert labels["points"][:, 0, 0].tolist() == [10, 10, 20, 20]


def test_a_batch_without_views_and_views_of_two_shapes():
    with pytest.raises(
        ValueError, match="the batch has no view_2, points_2, which TwoViewsd makes; its keys: view_1, points_1"
    ):
        PrepareViews()({"view_1": 0, "points_1": 0})
    batch = {f"view_{n}": torch.zeros(1, 1, 3, 2 + n, 3) for n in (1, 2)}
    batch |= {f"points_{n}": torch.zeros(1, 5, 3) for n in (1, 2)}
    with pytest.raises(ValueError, match=r"shapes \[1, 1, 3, 3, 3\] and \[1, 1, 3, 4, 3\]"):
        PrepareViews()(batch)


def noise():
    """Band-limited: structures of a few voxels, which a small network can tell apart."""
    values = np.random.default_rng(0).normal(size=(48, 48, 48))
    band = gaussian_filter(values, 1.5) - gaussian_filter(values, 4)
    return torch.from_numpy(band / band.std()).float()


class Cut:
    """The patch of a datum from a volume in memory."""

    def __init__(self):
        self.volume = noise()

    def __call__(self, datum):
        z, y, x = datum["start"]
        patch = self.volume[None, z : z + SIZE, y : y + SIZE, x : x + SIZE]
        return {"image": MetaTensor(patch.clone()), "patch": {"start": np.array(datum["start"])}}


def loader(n_batches, seed):
    starts = [{"start": start} for start in np.random.default_rng(seed).integers(0, 48 - SIZE, (12, 3)).tolist()]
    augment = [RandMirrord("image"), RandScaleIntensityd("image", 0.2, 0.5), RandNoised("image", 0.5, (0.0, 0.1))]
    space = RandTwoSpatialDrawsd(0.5, 20.0, 0.5, (0.9, 1.1), 0.5, 12.0, (0.0, 2.0))
    transform = Compose([Cut(), space, TwoViewsd(augment, n_points=N_POINTS)])
    dataset = PatchDataset(starts, transform)
    return DataLoader(dataset, 0, sampler=PatchSampler(12, 2 * n_batches, seed=seed), batch_size=2)


def network():
    torch.manual_seed(0)
    targets = {"embedding": {"channels": 8, "kind": "scalar"}}
    base = MultiTaskUNet(3, 1, targets, patch_size=[SIZE] * 3, features_per_stage=[8, 16], n_blocks_per_stage=[1, 1])
    return EmbeddingNetwork(base, 8)


def score(one):
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=loader(4, 99),
        network=one,
        prepare_batch=PrepareViews(),
        iteration_update=ValidationStep(),
        key_val_metric={"score": PointMatchingScore("embedding")},
        decollate=False,
    )
    evaluator.run()
    return evaluator.state.metrics


def train(one, loss, n_iterations, **options):
    objective = TwoViewLoss(loss)
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=loader(n_iterations, 1),
        network=one,
        optimizer=torch.optim.AdamW(one.parameters(), lr=1e-2),
        loss_function=objective,
        prepare_batch=PrepareViews(),
        iteration_update=TrainingStep(**options),
        decollate=False,
    )
    LossTerms(objective).attach(trainer)
    trainer.run()
    return trainer


def test_twenty_iterations_find_points_again():
    """Against the untrained network, and chance, which is 1 of 64 points."""
    one = network()
    before = score(one)
    trainer = train(one, {"name": "contrastive", "temperature": 0.1}, 20)
    after = score(one)
    assert after["score"] > 2 * before["score"]
    assert after["score"] > 6 / N_POINTS
    assert 0 < after["embedding_positive_cosine"] < 1
    assert 0 < trainer.state.metrics["train_contrastive"] < np.log(4 * 2 * N_POINTS)


@pytest.mark.parametrize("loss", ["barlow_twins", "vicreg"])
def test_losses_without_negatives_train_too(loss):
    one = network()
    before = score(one)["score"]
    train(one, loss, 12)
    assert score(one)["score"] > 1.3 * before


def test_mixed_precision_accumulation_and_clipping():
    one = network()
    steps = []
    register = one.projection[2].register_forward_hook(lambda *found: steps.append(found[2].dtype))
    before = {name: value.clone() for name, value in one.state_dict().items()}
    trainer = train(one, "contrastive", 3, precision="bf16", accumulation_steps=2, clip_norm=1e-4)
    register.remove()
    norms = [p.grad.norm() for p in one.parameters() if p.grad is not None]
    assert steps == [torch.bfloat16] * 3
    assert float(torch.stack(norms).norm()) <= 1.01e-4
    assert trainer.state.output["loss"].dtype == torch.float32
    assert trainer.state.output["pred"]["projection"].shape == (4, 8, SIZE, SIZE, SIZE)
    assert any(not torch.equal(before[name], value) for name, value in one.state_dict().items())


def test_a_network_that_diverged_stops_with_the_patch():
    one = network()
    one.projection[2].bias.data[0] = torch.nan
    with pytest.raises(NonFiniteLossError, match=r"loss is nan at iteration 1.*contrastive nan.*\n  sample: start \["):
        train(one, "contrastive", 1)
