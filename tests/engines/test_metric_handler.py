"""Scores under MONAI's stock evaluator: against numbers worked out by hand, and against the metrics called directly."""

import math

import pytest
import torch
from monai.engines import SupervisedEvaluator
from monai.handlers import CheckpointSaver

from scripts.engines import MultiTaskScore, PrepareTargets
from scripts.metrics import MultiTaskMetric

TARGETS = {
    "sheet": {"channels": 1, "weight": 2.0},
    "normals": {"channels": 3, "kind": "normal", "weight": 0.5},
}
DEGREES = 30.0


class Channels(torch.nn.Module):
    """The image's channels are the outputs: what is predicted is what the test wrote into the image."""

    def __init__(self):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.ones(1))

    def forward(self, x):
        return {"sheet": x[:, :1] * self.factor, "normals": x[:, 1:]}


def batch(predicted, true):
    """One sample of 4 x 4 x 4 with the given numbers of foreground voxels along x, all normals 30 degrees off."""
    sheet, logits = torch.zeros(1, 1, 4, 4, 4), torch.full((1, 1, 4, 4, 4), -3.0)
    sheet[..., :true] = 255
    logits[..., :predicted] = 3.0
    normals, turned = torch.zeros(1, 3, 4, 4, 4), torch.zeros(1, 3, 4, 4, 4)
    normals[:, 0] = 1
    turned[:, 0], turned[:, 1] = math.cos(math.radians(DEGREES)), math.sin(math.radians(DEGREES))
    return {"image": torch.cat([logits, turned], dim=1), "sheet": sheet, "normals": normals}


def evaluator(batches, handlers=(), network=None, name="score", **options):
    return SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=batches,
        network=network or Channels(),
        prepare_batch=PrepareTargets(TARGETS),
        key_val_metric={name: MultiTaskScore(TARGETS, **options)},
        val_handlers=list(handlers),
        decollate=False,
    )


def test_numbers_by_hand():
    # 2 and 1 of 4 columns predicted, 1 and 1 true: intersections 16 + 16, volumes (32 + 16) + (16 + 16)
    engine = evaluator([batch(2, 1), batch(1, 1)])
    engine.run()
    metrics = engine.state.metrics
    dice = 2 * 32 / 80
    assert metrics["sheet_dice"] == pytest.approx(dice)
    assert metrics["normals_angle"] == pytest.approx(DEGREES, abs=0.05)
    share = 1 - metrics["normals_angle"] / 90
    assert metrics["score"] == pytest.approx((2.0 * dice + 0.5 * share) / 2.5)


def test_equals_the_metrics_called_directly():
    batches = [batch(2, 1), batch(1, 3), batch(4, 2)]
    engine = evaluator(batches, spacing=(3.0, 1.0, 2.0))
    engine.run()
    direct = MultiTaskMetric(TARGETS, spacing=(3.0, 1.0, 2.0))
    for data in batches:
        image, labels = PrepareTargets(TARGETS)(data)
        direct.update(Channels()(image), labels)
    assert engine.state.metrics == pytest.approx(direct.compute(), nan_ok=True)
    assert set(engine.state.metrics) >= {"score", "sheet_dice", "sheet_surface_distance", "normals_angle"}


def test_spacing_scales_distances():
    # one voxel too many along x: the surfaces lie 1 voxel apart
    distances = []
    for spacing in ((1.0, 1.0, 1.0), (1.0, 1.0, 2.5)):
        engine = evaluator([batch(2, 1)], spacing=spacing)
        engine.run()
        distances.append(engine.state.metrics["sheet_surface_distance"])
    assert distances == pytest.approx([1.0, 2.5])


def test_another_name_and_every_run_starts_anew():
    batches = [batch(1, 1)]
    engine = evaluator(batches, name="quality")
    engine.run()
    assert "score" not in engine.state.metrics
    first = engine.state.metrics["quality"]
    batches[0] = batch(3, 1)
    engine.run()
    assert engine.state.metrics["sheet_dice"] == pytest.approx(2 * 16 / 64)
    assert engine.state.metrics["quality"] < first


def test_the_best_epoch_is_tracked():
    batches = [batch(2, 1)]
    engine = evaluator(batches)
    scores = []
    for epoch, columns in enumerate((2, 1, 4), start=1):
        batches[0] = batch(columns, 1)
        engine.run(epoch)
        scores.append(engine.state.metrics["score"])
    assert scores[1] > scores[0] > scores[2]
    assert (engine.state.best_metric, engine.state.best_metric_epoch) == (scores[1], 2)
    assert engine.state.key_metric_name == "score"


def test_an_epoch_without_truth_counts_as_0_so_that_a_later_one_is_better(tmp_path, caplog):
    network = Channels()
    saver = CheckpointSaver(str(tmp_path), {"model": network}, save_key_metric=True, key_metric_filename="model.pt")
    unknown = batch(1, 1) | {"sheet": torch.full((1, 1, 4, 4, 4), -1), "normals": torch.zeros(1, 3, 4, 4, 4)}
    batches = [unknown]
    engine = evaluator(batches, [saver], network)
    engine.run(1)
    assert engine.state.metrics["score"] == 0
    assert math.isnan(engine.state.metrics["sheet_dice"])
    assert "score: no target could be scored, it counts as 0" in caplog.text
    batches[0] = batch(1, 1)
    with torch.no_grad():
        network.factor.fill_(2)
    engine.run(2)
    assert engine.state.best_metric_epoch == 2
    assert torch.load(tmp_path / "model.pt", weights_only=True)["factor"].item() == 2
