"""The mean prediction of a network that sees a window slice by slice, along several axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ..geometry import Target, parse_targets
from ..volumes import SLICE_AXES, axis_order, check_slice_axes
from .network_outputs import check_outputs
from .views import View

_UNSTRETCHED = (1.0, 1.0, 1.0)
"""Components of a slice are along its own axes in physical length, whatever its spacing: they only change places."""


class SlicePasses(nn.Module):
    """A network of slices for windows of volumes: it sees them slice by slice, along each axis, and the mean counts.

    A pass along an axis hands the network every slice across that axis as an input of its own, one voxel deep; along z
    it sees y x, along y it sees z x, along x it sees z y, as in training with `slice_axes`. Outputs are put back where
    they belong, voxels and components, before they are averaged.

    What is averaged is the network's raw output, before any activation; normals are averaged as vectors.

    Source: the view aggregation of QuickNAT (Roy et al. 2019), which averages probabilities.

    Args:
        network: slices B C 1 H W -> dictionary target -> B K 1 H W of raw output.
        targets: the `targets` table, or the rows of it that are wanted; other outputs are left out.
        slice_axes: of "z", "y", "x", each at most once: the passes.
        slices_at_once: how many slices go through the network together.

    Raises:
        ValueError: for unknown or repeated axes, none, less than one slice at once, or directions that have not three
            components.
    """

    def __init__(
        self,
        network: Callable[..., Any],
        targets: Mapping[str, Any],
        slice_axes: Sequence[str],
        slices_at_once: int = 1,
    ) -> None:
        super().__init__()
        check_slice_axes(slice_axes)
        if slices_at_once < 1:
            raise ValueError(f"slices_at_once must be at least 1; got {slices_at_once!r}")
        self.network = network
        self.training = getattr(network, "training", False)
        self.targets: dict[str, Target] = parse_targets(targets)
        for name, target in self.targets.items():
            if target.kind.is_directional and target.channels != 3:
                raise ValueError(
                    f"target '{name}' of kind '{target.kind}' has {target.channels} channels; slices along several "
                    "axes need its three components z, y, x"
                )
        self.views = [View(axis_order(SLICE_AXES[axis]), (1, 1, 1)) for axis in slice_axes]
        self.slices_at_once = slices_at_once

    def forward(self, windows: torch.Tensor, *args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
        """Predict the mean over all passes.

        Args:
            windows: B C D H W.
            args, kwargs: handed on to the network as they are.

        Returns:
            per target B K D H W, float32.

        Raises:
            ValueError: for windows that are no volumes, and for outputs of other shapes than the targets say.
        """
        if windows.ndim != 5:
            raise ValueError(f"slice_axes are for windows B C D H W of volumes; got shape {tuple(windows.shape)}")
        sums = {
            name: torch.zeros(len(windows), target.channels, *windows.shape[2:], device=windows.device)
            for name, target in self.targets.items()
        }
        for view in self.views:
            outputs = self._slice_by_slice(view.show(windows), *args, **kwargs)
            for name, target in self.targets.items():
                sums[name] += view.undo(outputs[name], target.kind, _UNSTRETCHED)
        return {name: total / len(self.views) for name, total in sums.items()}

    def _slice_by_slice(self, shown: torch.Tensor, *args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
        """Outputs B K D H W of a network that is given slices across the first axis of windows B C D H W."""
        slices = shown.movedim(2, 1).flatten(0, 1).unsqueeze(2)  # B C D H W -> B D C H W -> BD C 1 H W
        found = {
            name: torch.empty(len(slices), target.channels, *slices.shape[2:], device=slices.device)
            for name, target in self.targets.items()
        }
        for first in range(0, len(slices), self.slices_at_once):
            some = slices[first : first + self.slices_at_once].contiguous()
            outputs = self.network(some, *args, **kwargs)
            check_outputs(outputs, self.targets, some.shape)
            for name, whole in found.items():
                whole[first : first + len(some)] = outputs[name]
        batch = len(shown)
        # BD K 1 H W -> BD K H W -> B D K H W -> B K D H W
        return {name: whole.squeeze(2).unflatten(0, (batch, -1)).movedim(1, 2) for name, whole in found.items()}


def slice_sizes(roi_size: Sequence[int], slice_axes: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """What the network is given of windows z, y, x in the pass along each axis: 1, H, W.

    Raises:
        ValueError: for axes that are unknown, named twice, or none.
    """
    check_slice_axes(slice_axes)
    found = {}
    for axis in slice_axes:
        _, h, w = axis_order(SLICE_AXES[axis])
        found[axis] = (1, int(roi_size[h]), int(roi_size[w]))
    return found
