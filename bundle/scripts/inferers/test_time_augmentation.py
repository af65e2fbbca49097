"""The mean prediction over mirrored and turned views."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ..geometry import parse_targets
from ..geometry.affines import check_spacing
from .network_outputs import check_outputs
from .views import AXES, PLANES, View, check_names, check_square, list_views


class TestTimeAugmentation(nn.Module):
    """A network that sees each window mirrored and turned, too, and answers with the mean.

    Every combination of the mirrorings and turns counts once: 8 views for three mirrored axes, at most 48 (see
    `scripts.inferers.views.list_views`). Outputs are turned back, voxels and components, before they are averaged.
    The views form a group, so that a turned window gets the same prediction, turned.

    What is averaged is the network's raw output, before any activation, as nnU-Net does with its logits; normals are
    averaged as vectors. Classes that tell left from right do not suit mirrors, nor do values such as physical distances
    suit turns between axes of unequal spacing.

    Args:
        network: windows B C D H W (2D: B C H W) -> dictionary target -> B K D H W of raw output.
        targets: the `targets` table, or the rows of it that are wanted; other outputs are left out.
        mirror_axes: of "z", "y", "x".
        rotation_planes: of "zy", "zx", "yx": planes in which windows are turned by 90, 180 and 270 degrees.
        spacing: at which the network reads windows, along their axes; components depend on it where turns exchange
            axes. `None`: the same along all.
        views_at_once: how many views of a batch go through the network together; takes as much more memory there.

    Raises:
        ValueError: for unknown axes or planes, a spacing that is not above zero, or less than one view at once.
    """

    __test__ = False  # pytest would take it for a class of tests

    def __init__(
        self,
        network: Callable[..., Any],
        targets: Mapping[str, Any],
        *,
        mirror_axes: Sequence[str] = (),
        rotation_planes: Sequence[str] = (),
        spacing: Sequence[float] | None = None,
        views_at_once: int = 1,
    ) -> None:
        super().__init__()
        check_names("mirror_axes", mirror_axes, AXES)
        check_names("rotation_planes", rotation_planes, PLANES)
        if views_at_once < 1:
            raise ValueError(f"views_at_once must be at least 1; got {views_at_once!r}")
        self.network = network
        self.training = getattr(network, "training", False)
        self.targets = parse_targets(targets)
        self.mirror_axes = tuple(mirror_axes)
        self.rotation_planes = tuple(rotation_planes)
        self.spacing = None if spacing is None else check_spacing(spacing, len(spacing))
        self.views_at_once = views_at_once

    def forward(self, windows: torch.Tensor, *args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
        """Predict the mean over all views.

        Args:
            windows: B C D H W (2D: B C H W).
            args, kwargs: handed on to the network as they are.

        Returns:
            per target B K D H W, float32.

        Raises:
            ValueError: for windows of unequal edges in a plane in which they are turned, for axes that they do not
                have, and for outputs of other shapes than the targets say.
        """
        spacing = self._check_windows(windows.shape[2:])
        views = list_views(self.mirror_axes, self.rotation_planes, len(spacing))
        sums = {
            name: torch.zeros(len(windows), target.channels, *windows.shape[2:], device=windows.device)
            for name, target in self.targets.items()
        }
        for first in range(0, len(views), self.views_at_once):
            some = views[first : first + self.views_at_once]
            shown = torch.cat([view.show(windows) for view in some])  # V B C D H W -> VB C D H W
            outputs = self.network(shown, *args, **kwargs)
            check_outputs(outputs, self.targets, shown.shape)
            self._add(sums, outputs, some, spacing)
        return {name: total / len(views) for name, total in sums.items()}

    def _add(
        self,
        sums: Mapping[str, torch.Tensor],
        outputs: Mapping[str, torch.Tensor],
        views: Sequence[View],
        spacing: Sequence[float],
    ) -> None:
        """Add outputs VB K D H W to sums B K D H W, view after view."""
        for name, target in self.targets.items():
            parts = outputs[name].float().chunk(len(views))  # VB K D H W -> V times B K D H W
            for view, part in zip(views, parts, strict=True):
                sums[name] += view.undo(part, target.kind, spacing)

    def _check_windows(self, size: Sequence[int]) -> tuple[float, ...]:
        """Whether windows of this size have all views; returns the spacing along their axes."""
        axes = AXES[-len(size) :]
        check_square(self.rotation_planes, size)
        for name, target in self.targets.items():
            if target.kind.is_directional and target.channels != len(size):
                raise ValueError(
                    f"target '{name}' of kind '{target.kind}' has {target.channels} channels, but windows have "
                    f"{len(size)} axes ({', '.join(axes)}); its components cannot be turned back"
                )
        return (1.0,) * len(size) if self.spacing is None else check_spacing(self.spacing, len(size))
