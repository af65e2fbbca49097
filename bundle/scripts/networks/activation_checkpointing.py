"""Computing twice what does not fit into memory."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def run(module: nn.Module, *inputs: torch.Tensor, checkpointing: bool) -> Any:
    """Call a module, in training perhaps keeping its inputs alone and computing the rest once more for the gradients.

    Outputs, gradients, random numbers (those of dropped paths, too) and the running statistics of batch norm are those
    of a plain call.

    Source: Chen et al. 2016, as `torch.utils.checkpoint`.

    Args:
        module: what is called.
        inputs: its arguments.
        checkpointing: whether to compute twice; without effect in evaluation mode and without gradients.
    """
    if not (checkpointing and module.training and torch.is_grad_enabled()):
        return module(*inputs)
    if torch.compiler.is_compiling():  # the compiler keeps the statistics itself, and takes no contexts
        return checkpoint(module, *inputs, use_reentrant=False)
    return checkpoint(module, *inputs, use_reentrant=False, context_fn=partial(_contexts, module))


def _contexts(module: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """What surrounds the first computation, and each further one."""
    return nullcontext(), _UnchangedStatistics(module)


class _UnchangedStatistics(AbstractContextManager[None]):
    """Keeps batch norms from counting the same batch again; entered once per backward pass through the graph."""

    def __init__(self, module: nn.Module) -> None:
        self.norms = [m for m in module.modules() if isinstance(m, _BatchNorm)]

    def __enter__(self) -> None:
        self.before = [(norm.momentum, norm.num_batches_tracked) for norm in self.norms]
        for norm in self.norms:
            norm.momentum = 0.0
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked = norm.num_batches_tracked.clone()

    def __exit__(self, *_: object) -> None:
        for norm, (momentum, count) in zip(self.norms, self.before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
