"""From windows as they are stored to the written targets' network output."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..geometry import Target, autocast, check_precision
from .network_outputs import check_outputs
from .window_transform import WindowTransform, transformed

Network = Callable[..., Any]


@dataclass(frozen=True)
class Predictor:
    """Brings windows to the device, normalises them and runs the network.

    Args:
        network: windows B C D H W -> dictionary target -> B K D H W.
        targets: those whose output is wanted.
        transform: of each window; `None`: none.
        device: of the network.
        precision: number format of the network's activations, one of `scripts.geometry.PRECISIONS`.
        channels_last: lay windows out with channels innermost, which the network's weights then are, too.
    """

    network: Network
    targets: Mapping[str, Target]
    transform: WindowTransform | None
    device: torch.device
    precision: str = "fp32"
    channels_last: bool = False

    def __post_init__(self) -> None:
        check_precision(self.precision, self.device)

    @property
    def channels(self) -> int:
        """K of all wanted targets together."""
        return sum(target.channels for target in self.targets.values())

    def on_worker(self, worker: int) -> Predictor:
        """This predictor with its network on the device, its weights laid out.

        Args:
            worker: number of the process; of several GPUs it takes the one of that number, and round again.
        """
        device = self.device
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", worker % torch.cuda.device_count())
        if isinstance(self.network, torch.nn.Module):
            self.network.to(device)
            if self.channels_last:
                self.network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        return replace(self, device=device)

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        """
        Args:
            windows: B C D H W float32, on the CPU; pinned memory goes to a GPU while that is at work.

        Returns:
            B K D H W float32, the targets' outputs one behind the other, on the network's device.

        Raises:
            ValueError: if the network does not return the wanted targets in the wanted shapes.
        """
        with torch.no_grad():
            inputs = transformed(windows.to(self.device, non_blocking=True), self.transform)
            if self.channels_last:
                inputs = inputs.contiguous(memory_format=torch.channels_last_3d)
            with self._context():
                outputs = self.network(inputs)
            check_outputs(outputs, self.targets, inputs.shape)
            return torch.cat([outputs[name].float() for name in self.targets], dim=1)  # B K D H W

    def _context(self) -> contextlib.AbstractContextManager[Any]:
        """For fp32 none, so that mixed precision which the caller has switched on stays on."""
        return contextlib.nullcontext() if self.precision == "fp32" else autocast(self.precision, self.device)
