"""Any network, with one output per target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.networks.layers import Conv
from torch import nn

from ..geometry import parse_targets
from .dry_run import dry_run, nearest_size, takes
from .module_names import check_module_names

_TRIED_EDGES = (32, 64, 96, 128)


class MultiTargetNetwork(nn.Module):
    """One 1x1 convolution per target on the output of any network, such as MONAI's UNet, DynUNet or SwinUNETR.

    The network's own output layer makes features: give it as many `out_channels` as the targets shall choose from.
    A network that returns several levels in training (DynUNet and SegResNetDS with deep supervision) gives each target
    a list; all levels go through the target's one head.

    Args:
        network: maps B C D H W (2D: B C H W) to B N D H W, to a list of such levels, full resolution first, or to
            levels stacked as B L N D H W.
        targets: the `targets` table; a target whose `deep_supervision` is false gets the full resolution alone.
        patch_size: voxels along each axis that the network is trained on; refused here if the network refuses it.
        in_channels: channels of the image; `None`: those of the network's first convolution.
        feature_channels: N; `None` finds it by a run without values, for which the network must work on torch's device
            "meta".

    Raises:
        ValueError: for a size that the network refuses, an output that is no map of features, and options of targets
            that it cannot follow.
    """

    def __init__(
        self,
        network: nn.Module,
        targets: Mapping[str, Any],
        *,
        patch_size: Sequence[int] | None = None,
        in_channels: int | None = None,
        feature_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.targets = parse_targets(targets)
        check_module_names(self.targets)
        self.network = network
        first = next((m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Conv3d))), None)
        if first is None and (patch_size is None or in_channels is None):
            raise ValueError(f"{self._name} has no convolution that tells its input; give patch_size and in_channels")
        self.spatial_dims = len(patch_size) if patch_size is not None else first.weight.ndim - 2  # type: ignore[union-attr]
        self.in_channels = in_channels if in_channels is not None else first.in_channels  # type: ignore[union-attr]
        self.patch_size = patch_size

        separate = [name for name, target in self.targets.items() if target.decoder == "separate"]
        if separate:
            raise ValueError(
                f"targets: {separate[0]}: {self._name} has one body for all targets; only MultiTaskUNet "
                "can give a target a 'separate' decoder"
            )
        if feature_channels is None:
            levels, _ = self._dry_run()
            self._check_supervision(levels)
            feature_channels = levels[0].shape[1]
        head = Conv[Conv.CONV, self.spatial_dims]
        self.heads = nn.ModuleDict(
            {name: head(feature_channels, target.channels, kernel_size=1) for name, target in self.targets.items()}
        )

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        """Predict every target.

        Args:
            x: image, B C D H W (2D: B C H W).

        Returns:
            Per target, in their order, logits B C D H W; in training, where the network returns several levels, a list
            of them, full resolution first.

        Raises:
            ValueError: for a size that the network refuses, with the nearest that it takes where that is known.
        """
        try:
            levels = self._levels(self.network(x), x.shape)
        except (RuntimeError, ValueError, AssertionError, IndexError) as error:
            if x.shape[1] == self.in_channels and takes(self.network, self.in_channels, x.shape[2:]):
                raise  # not the input's fault
            raise ValueError(self._refusal(x.shape[1:], error)) from error
        if self.training:
            self._check_supervision(levels)
        return {
            name: [head(level) for level in levels]
            if self.training and len(levels) > 1 and self.targets[name].deep_supervision is not False
            else head(levels[0])
            for name, head in self.heads.items()
        }

    def shared_parameters(self) -> list[nn.Parameter]:
        """Parameters of the wrapped network's last layer, which all targets share."""
        _, last_layer = self._dry_run()
        return list(self.network.get_submodule(last_layer).parameters())

    @property
    def _name(self) -> str:
        return type(self.network).__name__

    def _levels(self, output: Any, input_shape: Sequence[int]) -> list[torch.Tensor]:
        """The network's output as a list of levels B N D H W, full resolution first."""
        if isinstance(output, torch.Tensor):
            stacked = output.ndim == self.spatial_dims + 3
            output = list(output.unbind(1)) if stacked else [output]  # B L N D H W -> L times B N D H W
        levels = list(output) if isinstance(output, (list, tuple)) else []
        if not levels or any(not isinstance(x, torch.Tensor) or x.ndim != self.spatial_dims + 2 for x in levels):
            given = [tuple(getattr(x, "shape", ())) or type(x).__name__ for x in levels] or type(output).__name__
            axes = "B C D H W" if self.spatial_dims == 3 else "B C H W"
            raise ValueError(f"{self._name} returned {given}; expected a tensor {axes} of features, or a list of them")
        if levels[0].shape[2:] != input_shape[2:]:
            raise ValueError(
                f"{self._name} returned a size of {list(levels[0].shape[2:])} for an input of "
                f"{list(input_shape[2:])}; expected the same size"
            )
        return levels

    def _check_supervision(self, levels: list[torch.Tensor]) -> None:
        unheard = [name for name, target in self.targets.items() if target.deep_supervision]
        if unheard and len(levels) == 1:
            raise ValueError(
                f"targets: {unheard[0]}: 'deep_supervision' is true, but {self._name} returns one level; "
                "switch deep supervision on in the network, or leave it out of the target"
            )

    def _dry_run(self) -> tuple[list[torch.Tensor], str]:
        """Levels, and the name of the last layer, for the patch size or the first edge that the network takes."""
        edges = [(edge,) * self.spatial_dims for edge in _TRIED_EDGES]
        sizes = edges if self.patch_size is None else [tuple(self.patch_size)]
        for size in sizes:
            try:
                output, last_layer = dry_run(self.network, self.in_channels, size)
            except Exception as error:  # each network refuses in its own way
                fault = error
                continue
            return self._levels(output, (2, self.in_channels, *size)), last_layer
        raise ValueError(
            f"{self._refusal((self.in_channels, *sizes[-1]), fault)}. Give a patch_size that it takes; if it takes "
            "this one, feature_channels = its out_channels"
        ) from fault

    def _refusal(self, shape: Sequence[int], error: Exception) -> str:
        """What to say of an input C D H W that the network refused."""
        channels, size = shape[0], list(shape[1:])
        nearest = nearest_size(self.network, self.in_channels, size) if channels == self.in_channels else None
        advice = f"; it takes {nearest}" if nearest else ""
        return f"{self._name} cannot process {channels} channels of size {size}{advice}: {error}"
