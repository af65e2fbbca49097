"""One batch of training: forward, backward, and at times a step of the optimiser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine
from monai.engines.utils import IterationEvents
from monai.utils.enums import CommonKeys as Keys
from torch.nn.parallel import DistributedDataParallel

from ..geometry import autocast, check_precision
from .events import TrainingEvents
from .nonfinite import check_finite
from .precision import full_precision
from .step_output import StepOutput


class TrainingStep:
    """`iteration_update` of MONAI's `SupervisedTrainer` for any device.

    MONAI's own step knows mixed precision on CUDA alone, and neither clips gradients nor stops at NaN. This one fires
    the same events, and `TrainingEvents.OPTIMIZER_STEPPED` whenever the weights have changed.

    Args:
        device: where the network is.
        precision: `"fp32"`, `"bf16"` or `"fp16"`: number format of the network's activations. Losses are computed in
            float32. With `"fp16"` the loss is scaled, and steps with infinite gradients are left out.
        accumulation_steps: batches whose gradients are averaged before each step. The last group of an epoch may be
            smaller.
        clip_norm: length to which the gradient is shortened where it is longer; `None`: never.
        nonfinite_report: JSON file that gets the batch's coordinates when a loss is NaN or infinite.

    Raises:
        ValueError: for numbers out of range and a precision that the device does not have.
    """

    def __init__(
        self,
        device: str | torch.device = "cpu",
        precision: str = "fp32",
        accumulation_steps: int = 1,
        clip_norm: float | None = None,
        nonfinite_report: str | Path | None = None,
    ) -> None:
        check_precision(precision, device)
        if not isinstance(accumulation_steps, int) or accumulation_steps < 1:
            raise ValueError(f"accumulation_steps must be a whole number of at least 1, got {accumulation_steps!r}")
        if clip_norm is not None and not clip_norm > 0:
            raise ValueError(f"clip_norm must be a positive number, or null for none; got {clip_norm!r}")
        self.device = torch.device(device)
        self.precision = precision
        self.accumulation_steps = accumulation_steps
        self.clip_norm = clip_norm
        self.nonfinite_report = nonfinite_report
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=precision == "fp16")
        self._waiting: torch.optim.Optimizer | None = None  # whose gradients are those of a part of a step
        self._loaded: Sequence[torch.Tensor | None] | None = None

    def __call__(self, engine: Engine, batchdata: Any) -> StepOutput:
        """Train on one batch.

        Args:
            engine: a `SupervisedTrainer`.
            batchdata: what its loader gave.

        Returns:
            image B C D H W, labels, predictions and the loss, under MONAI's keys; its samples by number.

        Raises:
            NonFiniteLossError: before the weights change.
        """
        trainer: Any = engine
        inputs, labels, *_ = trainer.prepare_batch(
            batchdata, trainer.state.device, trainer.non_blocking, **trainer.to_kwargs
        )
        output: dict[Any, Any] = {Keys.IMAGE: inputs, Keys.LABEL: labels}
        trainer.state.output = output
        place, group = self._place_in_group(engine)
        is_last = place == group - 1

        trainer.network.train()
        if place == 0:
            trainer.optimizer.zero_grad(set_to_none=True)
        elif self._loaded is not None:
            for parameter, gradient in zip(parameters_of(trainer.optimizer), self._loaded, strict=True):
                parameter.grad = gradient
        self._loaded = None
        with self._synchronised(trainer.network, is_last):
            with autocast(self.precision, self.device):
                output[Keys.PRED] = trainer.inferer(inputs, trainer.network)
            engine.fire_event(IterationEvents.FORWARD_COMPLETED)
            loss = output[Keys.LOSS] = trainer.loss_function(full_precision(output[Keys.PRED]), labels).mean()
            engine.fire_event(IterationEvents.LOSS_COMPLETED)
            self._check(engine, "loss", float(loss.detach()))
            self.scaler.scale(loss / group).backward()
        engine.fire_event(IterationEvents.BACKWARD_COMPLETED)
        self._waiting = None if is_last else trainer.optimizer
        if is_last and self._step(engine):
            engine.register_events(*TrainingEvents)
            engine.fire_event(TrainingEvents.OPTIMIZER_STEPPED)
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return StepOutput(output)

    def state_dict(self) -> dict[str, Any]:
        """The scale of the loss, and gradients that wait for the other batches of their step."""
        gradients = None if self._waiting is None else [parameter.grad for parameter in parameters_of(self._waiting)]
        return {**self.scaler.state_dict(), "gradients": gradients}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        scale = dict(state)
        self._loaded = scale.pop("gradients", None)
        if scale:
            self.scaler.load_state_dict(scale)

    def _place_in_group(self, engine: Engine) -> tuple[int, int]:
        """Place of this batch among those that make one step, and their number."""
        length = engine.state.epoch_length
        iteration = engine.state.iteration - 1 if length is None else (engine.state.iteration - 1) % length
        place = iteration % self.accumulation_steps
        left = self.accumulation_steps if length is None else length - (iteration - place)
        return place, min(self.accumulation_steps, left)

    @staticmethod
    def _synchronised(network: torch.nn.Module, is_last: bool) -> AbstractContextManager[Any]:
        """Processes exchange gradients once per step, not once per batch."""
        return network.no_sync() if isinstance(network, DistributedDataParallel) and not is_last else nullcontext()

    def _step(self, engine: Engine) -> bool:
        """Change the weights; returns whether they have changed."""
        optimizer = engine.optimizer  # type: ignore[attr-defined]
        self.scaler.unscale_(optimizer)
        if self.clip_norm is not None:
            norm = torch.nn.utils.clip_grad_norm_(parameters_of(optimizer), self.clip_norm)
            if not self.scaler.is_enabled():  # a scaler leaves such steps out, and lowers its scale
                self._check(engine, "the gradient's length", float(norm))
        scale = self.scaler.get_scale()
        self.scaler.step(optimizer)
        self.scaler.update()
        return self.scaler.get_scale() >= scale

    def _check(self, engine: Engine, what: str, value: float) -> None:
        loss = engine.loss_function  # type: ignore[attr-defined]
        terms = getattr(loss, "terms", {})
        check_finite(what, value, terms, engine.state.batch, engine.state.iteration, self.nonfinite_report)


def parameters_of(optimizer: torch.optim.Optimizer) -> list[torch.nn.Parameter]:
    """What an optimiser changes, in the order of its groups."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


class ValidationStep:
    """`iteration_update` of MONAI's `SupervisedEvaluator` in a precision of any device; scores see float32.

    Args:
        device: where the network is.
        precision: `"fp32"`, `"bf16"` or `"fp16"`.

    Raises:
        ValueError: for a precision that the device does not have.
    """

    def __init__(self, device: str | torch.device = "cpu", precision: str = "fp32") -> None:
        check_precision(precision, device)
        self.device = torch.device(device)
        self.precision = precision

    def __call__(self, engine: Engine, batchdata: Any) -> dict[str, Any]:
        """Predict one batch; returns image, labels and predictions under MONAI's keys."""
        with autocast(self.precision, self.device):
            output = engine._iteration(engine, batchdata)  # type: ignore[attr-defined]
        output[Keys.PRED] = full_precision(output[Keys.PRED])
        return output
