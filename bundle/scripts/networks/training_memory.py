"""How much memory a training step takes, before it is run."""

from __future__ import annotations

import copy
import math
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .block_options import check_choice
from .unet_plan import is_positive_int

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes that a training step takes.

    Args:
        parameters: of the network, its buffers included.
        gradients: of the parameters.
        optimizer: the optimiser's state.
        activations: what the forward pass and the loss keep for the gradients, outputs and input included.
        peak: most that is held at once.
    """

    parameters: int
    gradients: int
    optimizer: int
    activations: int
    peak: int


def estimate_training_memory(
    network: nn.Module,
    patch_size: Sequence[int],
    batch_size: int,
    *,
    in_channels: int = 1,
    optimizer_states: int = 2,
    precision: str = "fp32",
) -> TrainingMemory:
    """Follow a training step on tensors without data, and add up what is alive at each moment.

    It takes a second or so, no memory, and works for any network whose outputs are tensors, or lists or dictionaries of
    them, activation checkpointing included. The loss is one of cross-entropy and Dice on each output. Work space of
    convolutions (cuDNN), gaps between blocks of memory, and the CUDA context (about 0.5 GB) come on top.

    Args:
        network: what is trained; it is left as it is.
        patch_size: voxels along z, y, x (2D: y, x).
        batch_size: patches per step.
        in_channels: channels of the image.
        optimizer_states: values that the optimiser keeps per parameter: 2 for Adam and AdamW, 1 for SGD with momentum.
        precision: `"fp32"`, `"bf16"` or `"fp16"`; parameters, gradients and the optimiser's state are float32 in any.

    Raises:
        ValueError: for an unknown precision, and for numbers that are not positive.
    """
    check_choice("precision", precision, tuple(_DTYPES))
    for name, value in (("batch_size", batch_size), ("in_channels", in_channels)):
        if not is_positive_int(value):
            raise ValueError(f"{name} must be a positive whole number, got {value!r}")
    if optimizer_states not in (0, 1, 2):
        raise ValueError(f"optimizer_states must be 0, 1 or 2, got {optimizer_states!r}")

    fixed = sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers()))
    trained = sum(p.nbytes for p in network.parameters() if p.requires_grad)
    states = optimizer_states * trained
    without_data = FakeTensorMode(allow_non_fake_inputs=True)
    replica = _replica(network, without_data).train()
    with torch.enable_grad(), without_data, _LiveBytes() as live:
        image = torch.empty(batch_size, in_channels, *patch_size)
        with torch.autocast("cpu", dtype=_DTYPES[precision], enabled=precision != "fp32"):
            outputs = replica(image)
        loss = _stand_in_loss(outputs)
        activations = live.now
        loss.backward()
    # The optimiser's step comes after the activations are gone, and needs room for another copy of the parameters.
    return TrainingMemory(
        parameters=fixed,
        gradients=trained,
        optimizer=states,
        activations=activations,
        peak=fixed + states + max(live.peak, 2 * trained),
    )


def batch_size_for(
    memory_gb: float,
    network: nn.Module,
    patch_size: Sequence[int],
    *,
    in_channels: int = 1,
    optimizer_states: int = 2,
    precision: str = "fp32",
) -> int:
    """Largest batch whose training step fits into a memory by `estimate_training_memory`.

    Args:
        memory_gb: memory, 10^9 bytes.
        network: what is trained.
        patch_size: voxels along z, y, x (2D: y, x).
        in_channels: channels of the image.
        optimizer_states: values that the optimiser keeps per parameter.
        precision: `"fp32"`, `"bf16"` or `"fp16"`.

    Raises:
        ValueError: if not even one patch fits.
    """
    if not 0 < memory_gb < math.inf:
        raise ValueError(f"memory_gb must be a positive number, got {memory_gb!r}")

    def estimate(batch_size: int) -> TrainingMemory:
        return estimate_training_memory(
            network,
            patch_size,
            batch_size,
            in_channels=in_channels,
            optimizer_states=optimizer_states,
            precision=precision,
        )

    one, two = estimate(1), estimate(2)
    limit = memory_gb * 1e9
    if one.peak > limit:
        raise ValueError(
            f"one patch of {list(patch_size)} takes {one.peak / 1e9:.3g} GB, and memory_gb is {memory_gb:g}; give a "
            "smaller patch or fewer features"
        )
    # Each further patch adds the same bytes to the activations, and to the peak no fewer than the one before: beyond 2
    # the peak lies above the line through 1 and 2, and between two batches below the line through these.
    further = (limit - one.parameters - one.optimizer - one.activations) / (two.activations - one.activations)
    if two.peak > one.peak:
        further = min(further, (limit - one.peak) / (two.peak - one.peak))
    most = 1 + int(further)
    peak = estimate(most).peak
    if peak <= limit:
        return most
    fits, fits_peak, fails, fails_peak = 1, one.peak, most, peak
    while fails - fits > 1:
        tried = fits + int((limit - fits_peak) / (fails_peak - fits_peak) * (fails - fits))
        tried = min(max(tried, fits + 1), fails - 1)
        peak = estimate(tried).peak
        if peak <= limit:
            fits, fits_peak = tried, peak
        else:
            fails, fails_peak = tried, peak
    return fits


def _replica(network: nn.Module, without_data: FakeTensorMode) -> nn.Module:
    """A copy of the network whose parameters and buffers have shapes alone."""

    def empty(tensor: torch.Tensor) -> torch.Tensor:
        replaced = torch.empty_like(tensor, device="cpu")
        return nn.Parameter(replaced, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else replaced

    with without_data:
        memo: dict[int, Any] = {id(tensor): empty(tensor) for tensor in (*network.parameters(), *network.buffers())}
    return copy.deepcopy(network, memo)


def _stand_in_loss(outputs: Any) -> torch.Tensor:
    """Cross-entropy and Dice of every output, with a truth of the output's size."""
    total = torch.zeros(())
    for output in tree_leaves(outputs):
        logits = output.float()
        truth = torch.empty_like(logits)
        total = total - (logits.log_softmax(1) * truth).mean() - (logits.softmax(1) * truth).mean()
    return total


class _LiveBytes(TorchDispatchMode):
    """Count the bytes of all tensors that were made within this context and are alive.

    Attributes:
        now: bytes that are alive.
        peak: most bytes that were alive at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = {id(t.untyped_storage()) for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)}
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()  # views share it
                if id(storage) not in before and id(storage) not in self._known:
                    self._add(storage)
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()
        self._known.add(key)
        weakref.finalize(storage, self._remove, key, size)
        self.now += size
        self.peak = max(self.peak, self.now)

    def _remove(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size
