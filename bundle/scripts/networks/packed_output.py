"""A multi-target network for tools that expect one tensor."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from .unet_plan import UNetPlan

_PREFIX = "network."


class PackedOutput(nn.Module):
    """Concatenate the outputs of a network along the channel axis, in the order of its targets.

    For tools such as `verify_net_in_out`, `ckpt_export` and `onnx_export`. In training with deep supervision, the full
    resolution alone is returned. Its weights have the names of the network's own: what one saved the other loads, also
    where a tool copies by name and leaves out what it does not find.

    `torch.jit.script` cannot read the code of every network. Around one with a `plan` it is given a trace instead,
    which takes all sizes that the plan allows.

    Args:
        network: returns `dict[str, Tensor]`, as `MultiTaskUNet` does.
        targets: names of the outputs to return, in their order, or one name; None: all.
        background: put a channel of zeros before a target of one channel, the logit of the background: argmax over the
            channels then is the label, and their softmax the probability that the sigmoid gave.

    Raises:
        ValueError: with the first image, where the network has no such target; for `background` with several channels.
    """

    def __init__(
        self, network: nn.Module, targets: str | Sequence[str] | None = None, background: bool = False
    ) -> None:
        super().__init__()
        self.network = network
        self.targets = [targets] if isinstance(targets, str) else None if targets is None else list(targets)
        self.background = background
        self.register_state_dict_post_hook(_without_prefix)
        self.register_load_state_dict_pre_hook(_with_prefix)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map an image B C D H W to B sum(C) D H W."""
        outputs = self.network(x)
        names = list(outputs) if self.targets is None else self.targets
        if missing := [name for name in names if name not in outputs]:
            raise ValueError(f"targets: the network has {', '.join(outputs)}, got {', '.join(missing)}")
        packed = torch.cat([_finest(outputs[name]) for name in names], dim=1)
        if not self.background:
            return packed
        if packed.shape[1] != 1:
            raise ValueError(f"background: expected one target of one channel, got {packed.shape[1]} channels")
        return torch.cat([torch.zeros_like(packed), packed], dim=1)

    def __prepare_scriptable__(self) -> nn.Module:
        """What `torch.jit.script` takes instead of this module."""
        plan = getattr(self.network, "plan", None)
        if plan is None:
            return self
        first = next(parameter for parameter in self.network.parameters() if parameter.ndim == plan.spatial_dims + 2)
        return _Traced(trace(self, torch.zeros(2, first.shape[1], *example_size(plan), device=first.device)))


class _Traced(nn.Module):
    """A trace that `torch.jit.script` takes for a module like any other."""

    def __init__(self, traced: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.traced = traced

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.traced(x)


def example_size(plan: UNetPlan) -> tuple[int, ...]:
    """Voxels along each axis of an input from which a network is exported.

    It is the plan's patch, enlarged to two voxels at the bottleneck: tracers take a single voxel for a constant.
    """
    return tuple(
        max(size, 2 * d) if d > 1 else size for size, d in zip(plan.padded_patch_size, plan.divisor, strict=True)
    )


def trace(network: nn.Module, example: torch.Tensor) -> torch.jit.ScriptModule:
    """A network as TorchScript, for inputs of all sizes that it takes.

    Args:
        network: in evaluation mode; its checks of the input's size are left out of the trace.
        example: an input, B C D H W.
    """
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # they are about these checks
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.trace(network, example, check_trace=False)


def _finest(output: Any) -> torch.Tensor:
    return output[0] if isinstance(output, list) else output


def _without_prefix(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    for name in [name for name in state if name.startswith(prefix + _PREFIX)]:
        state[prefix + name.removeprefix(prefix + _PREFIX)] = state.pop(name)


def _with_prefix(module: nn.Module, state: dict[str, Any], prefix: str, *rest: Any) -> None:
    for name in [name for name in state if name.startswith(prefix) and not name.startswith(prefix + _PREFIX)]:
        state[prefix + _PREFIX + name.removeprefix(prefix)] = state.pop(name)
