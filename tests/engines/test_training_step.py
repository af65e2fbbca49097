"""One batch of training against the same arithmetic written out."""

import json

import pytest
import torch
from ignite.engine import Events
from monai.data import MetaTensor
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.engines.utils import IterationEvents

from scripts.engines import (
    NonFiniteLossError,
    PrepareTargets,
    TrainingStep,
    ValidationStep,
    on_optimizer_step,
)
from scripts.losses import MultiTaskLoss

TARGETS = {"depth": {"channels": 1, "kind": "scalar", "loss": "mse"}}


class Scale(torch.nn.Module):
    """Prediction = weight x image."""

    def __init__(self, weight=1.0):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([weight]))

    def forward(self, x):
        return {"depth": x * self.weight}


def batch(image, truth):
    """One sample of 2 x 2 x 2 voxels with one value each."""
    return {"image": torch.full((1, 1, 2, 2, 2), image), "depth": torch.full((1, 1, 2, 2, 2), truth)}


def trainer_of(network, batches, step, *, lr=0.1, epochs=1, loss=None):
    return SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=epochs,
        epoch_length=len(batches),
        train_data_loader=batches,
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=lr),
        loss_function=loss or MultiTaskLoss(TARGETS),
        prepare_batch=PrepareTargets(TARGETS),
        iteration_update=step,
        decollate=False,
    )


def test_one_step_by_hand():
    """d/dw (2 w - 1)^2 = 4 (2 w - 1) = 4 at w = 1, so that w becomes 1 - 0.1 x 4."""
    network = Scale()
    trainer = trainer_of(network, [batch(2.0, 1.0)], TrainingStep())
    trainer.run()
    assert network.weight.item() == pytest.approx(0.6)
    assert trainer.state.output["loss"].item() == pytest.approx(1.0)
    assert trainer.state.output["pred"]["depth"].unique().tolist() == [2.0]


def test_gradients_of_a_group_are_averaged_and_the_last_group_may_be_smaller():
    """Gradients at w: 2 x (x w - y). Groups (1, 2) and (3): two steps, the second with one batch's full gradient."""
    batches = [batch(1.0, 0.0), batch(2.0, 0.0), batch(3.0, 0.0)]
    network = Scale()
    steps = []
    trainer = trainer_of(network, batches, TrainingStep(accumulation_steps=2), lr=0.01)
    on_optimizer_step(trainer, lambda: steps.append((trainer.state.iteration, network.weight.item())))
    trainer.run()
    first = 1 - 0.01 * (2 * 1 + 2 * 4) / 2
    second = first - 0.01 * 2 * 9 * first
    assert steps == [(2, pytest.approx(first)), (3, pytest.approx(second))]


def test_two_batches_accumulated_are_one_batch_of_both():
    pairs = [batch(1.0, 0.5), batch(3.0, 0.0)]
    both = {key: torch.cat([one[key] for one in pairs]) for key in pairs[0]}
    apart, together = Scale(), Scale()
    trainer_of(apart, pairs, TrainingStep(accumulation_steps=2)).run()
    trainer_of(together, [both], TrainingStep()).run()
    assert apart.weight.item() == pytest.approx(together.weight.item())


def test_groups_do_not_cross_epochs():
    network = Scale()
    steps = []
    trainer = trainer_of(network, [batch(1.0, 0.0)] * 3, TrainingStep(accumulation_steps=2), epochs=2)
    on_optimizer_step(trainer, lambda: steps.append(trainer.state.iteration))
    trainer.run()
    assert steps == [2, 3, 5, 6]


@pytest.mark.parametrize(("clip", "expected"), [(None, 1 - 0.1 * 4), (8.0, 1 - 0.1 * 4), (0.5, 1 - 0.1 * 0.5)])
def test_a_long_gradient_is_shortened(clip, expected):
    network = Scale()
    trainer_of(network, [batch(2.0, 1.0)], TrainingStep(clip_norm=clip)).run()
    assert network.weight.item() == pytest.approx(expected)


def test_events_are_monais_and_one_for_changed_weights():
    seen = []
    trainer = trainer_of(Scale(), [batch(1.0, 0.0)], TrainingStep())
    names = ("FORWARD_COMPLETED", "LOSS_COMPLETED", "BACKWARD_COMPLETED", "MODEL_COMPLETED")
    for event in (*(IterationEvents[name] for name in names), Events.ITERATION_COMPLETED):
        trainer.add_event_handler(event, seen.append, event.name)
    on_optimizer_step(trainer, lambda: seen.append("OPTIMIZER_STEPPED"))
    trainer.run()
    assert seen == [
        *("FORWARD_COMPLETED", "LOSS_COMPLETED", "BACKWARD_COMPLETED", "OPTIMIZER_STEPPED", "MODEL_COMPLETED"),
        "ITERATION_COMPLETED",
    ]


def test_bfloat16_rounds_activations_and_loss_stays_float32():
    convolution = torch.nn.Conv3d(1, 1, 1, bias=False)
    torch.nn.init.constant_(convolution.weight, 1.0)

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = convolution

        def forward(self, x):
            return {"depth": self.convolution(x)}

    trainer = trainer_of(Network(), [batch(1.001953125, 0.0)], TrainingStep(precision="bf16"))
    trainer.run()
    assert trainer.state.output["pred"]["depth"].dtype == torch.bfloat16
    assert trainer.state.output["pred"]["depth"].float().unique().tolist() == [1.0]  # 8 bits of mantissa
    assert trainer.state.output["loss"].dtype == torch.float32


def nan_batches():
    meta = {"filename_or_obj": "/data/scan.zarr/raw"}
    good, bad = batch(1.0, 0.0), batch(float("inf"), 0.0)
    bad["image"] = MetaTensor(bad["image"], meta={"filename_or_obj": [meta["filename_or_obj"]]})
    bad["patch"] = {"start": torch.tensor([[8, 0, 16]]), "volume": torch.tensor([2])}
    return [good, bad]


def test_a_loss_that_is_no_number_stops_before_the_weights_change(tmp_path):
    network = Scale()
    report = tmp_path / "out" / "nonfinite.json"
    trainer = trainer_of(network, nan_batches(), TrainingStep(nonfinite_report=report))
    with pytest.raises(NonFiniteLossError, match=r"loss is inf at iteration 2; terms that are not finite: depth") as e:
        trainer.run()
    assert network.weight.item() == pytest.approx(1 - 0.1 * 2)  # the first batch's step
    assert "/data/scan.zarr/raw: start [8, 0, 16], volume 2, minimum inf, maximum inf" in str(e.value)
    content = json.loads(report.read_text())
    assert content["patches"][0]["start"] == [8, 0, 16]
    assert content["terms"] == {"depth": "inf", "total": "inf"}
    assert content["iteration"] == 2


def test_a_gradient_that_is_no_number_stops_too():
    """The square root's slope at 0 is infinite where its value is not."""

    def loss(prediction, label):
        return prediction["depth"].sub(label["depth"]).abs().sum().sqrt()

    network = Scale()
    trainer = trainer_of(network, [batch(1.0, 1.0)], TrainingStep(clip_norm=1.0), loss=loss)
    with pytest.raises(NonFiniteLossError, match=r"the gradient's length is nan at iteration 1"):
        trainer.run()
    assert network.weight.item() == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "half"}, r"precision must be one of fp32, bf16, fp16; got 'half'"),
        ({"precision": "fp16"}, r"precision 'fp16' needs CUDA, but the device is 'cpu'; use 'bf16' or 'fp32'"),
        ({"accumulation_steps": 0}, r"accumulation_steps must be a whole number of at least 1, got 0"),
        ({"clip_norm": -1.0}, r"clip_norm must be a positive number, or null for none; got -1.0"),
    ],
)
def test_what_a_device_or_a_step_cannot_do_is_an_error(options, message):
    with pytest.raises(ValueError, match=message):
        TrainingStep("cpu", **options)


def test_validation_in_bfloat16_hands_float32_to_the_scores():
    convolution = torch.nn.Conv3d(1, 1, 1, bias=False)
    torch.nn.init.constant_(convolution.weight, 1.0)
    seen = []

    class Network(torch.nn.Module):
        def forward(self, x):
            seen.append(convolution(x).dtype)
            return {"depth": convolution(x)}

    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=[batch(1.001953125, 0.0)],
        network=Network(),
        prepare_batch=PrepareTargets(TARGETS),
        iteration_update=ValidationStep(precision="bf16"),
        decollate=False,
    )
    evaluator.run()
    assert seen == [torch.bfloat16]
    assert evaluator.state.output["pred"]["depth"].dtype == torch.float32
    assert evaluator.state.output["pred"]["depth"].unique().tolist() == [1.0]
    with pytest.raises(ValueError, match="needs CUDA"):
        ValidationStep("cpu", "fp16")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_half_precision_scales_the_loss_and_keeps_its_scale():
    network = Scale().cuda()
    step = TrainingStep("cuda", "fp16")
    trainer = trainer_of(network, [batch(2.0, 1.0)], step)
    trainer.state.device = torch.device("cuda")
    trainer.run()
    assert network.weight.item() == pytest.approx(0.6, rel=1e-2)
    other = TrainingStep("cuda", "fp16")
    other.load_state_dict(step.state_dict())
    assert other.scaler.get_scale() == step.scaler.get_scale()


@pytest.mark.parametrize("at", [1, 2, 4])
def test_a_group_that_goes_on_has_the_gradients_of_its_first_batches(at):
    """Four batches a step; the run stops after some of them, and another network goes on from the states."""
    batches = [batch(float(n), 1.0) for n in range(1, 5)]
    whole, first, second = Scale(), Scale(), Scale()
    trainer_of(whole, batches * 2, TrainingStep(accumulation_steps=4), lr=0.01).run()
    step, later = TrainingStep(accumulation_steps=4), TrainingStep(accumulation_steps=4)
    trainer = trainer_of(first, batches * 2, step, lr=0.01)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=at), trainer.terminate)
    trainer.run()
    state = step.state_dict()
    assert (state["gradients"] is None) == (at == 4)
    second.load_state_dict(first.state_dict())
    later.load_state_dict(state)
    trainer = trainer_of(second, batches * 2, later, lr=0.01)
    trainer.load_state_dict({"iteration": at, "epoch_length": 8, "max_epochs": 1})
    trainer.data_loader = (batches * 2)[at:]
    trainer.run()
    assert torch.equal(whole.weight, second.weight)


def test_states_from_before_there_were_gradients_load():
    step = TrainingStep()
    step.load_state_dict({})
    assert step.state_dict() == {"gradients": None}
