"""Small heads on a base network that is trained already, or on stored embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import nn

from ..geometry import parse_targets
from .block_options import check_choice
from .embedding_network import EMBEDDING, embedding_channels, spatial_dims_of
from .module_names import check_module_names
from .point_heads import LinearSegHead, SimpleSegHead, SparseSegHead

_HEADS = ("simple", "sparse", "linear")


class HeadNetwork(nn.Module):
    """One head per target on the embedding of a base, or on the input itself.

    A frozen base stays as it is whatever happens: it is in evaluation mode, its parameters take no gradient, and none
    is computed through it.

    Args:
        targets: the `targets` table: one head each.
        base: a network with an output `embedding`; `None`: the heads stand on the input, such as stored embeddings.
        in_channels: channels of the input where there is no base.
        spatial_dims: 2 or 3, where there is no base.
        hidden_channels: of each head; `None`: as many as its input has.
        head: `"simple"`: convolutions on maps; `"sparse"`: on points and on maps, see `SparseSegHead`; `"linear"`: one
            linear map, which has no hidden channels.
        freeze_base: whether the base stays as it is.

    Raises:
        ValueError: for a base without embedding, neither base nor in_channels, and options of targets that heads do
            not have.
    """

    def __init__(
        self,
        targets: Mapping[str, Any],
        base: nn.Module | None = None,
        *,
        in_channels: int | None = None,
        spatial_dims: int = 3,
        hidden_channels: int | None = None,
        head: str = "simple",
        freeze_base: bool = True,
    ) -> None:
        super().__init__()
        self.targets = parse_targets(targets)
        check_module_names(self.targets)
        check_choice("head", head, _HEADS)
        for name, target in self.targets.items():
            if target.deep_supervision or target.decoder == "separate":
                raise ValueError(
                    f"targets: {name}: a head has neither levels nor a decoder of its own; leave out "
                    f"'{'deep_supervision' if target.deep_supervision else 'decoder'}'"
                )
        if base is not None and in_channels is None:
            in_channels, spatial_dims = embedding_channels(base), spatial_dims_of(base)
        elif base is not None or in_channels is None:
            raise ValueError(
                f"give a base, or in_channels of the input, one of both; got in_channels = {in_channels!r}"
            )
        self.base = base
        self.plan = getattr(base, "plan", None)
        self.is_frozen = base is not None and freeze_base
        hidden = hidden_channels or in_channels
        self.heads = nn.ModuleDict()
        for name, target in self.targets.items():
            self.heads[name] = (
                SimpleSegHead(spatial_dims, in_channels, target.channels, hidden)
                if head == "simple"
                else LinearSegHead(in_channels, target.channels)
                if head == "linear"
                else SparseSegHead(in_channels, target.channels, hidden)
            )
        if base is not None and freeze_base:
            base.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all but a frozen base."""
        super().train(mode)
        if self.base is not None and self.is_frozen:
            self.base.eval()
        return self

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Predict every target.

        Args:
            x: B C D H W (2D: B C H W): image, or embeddings where there is no base; sparse heads without a base take
                points B N C, too.

        Returns:
            per target, in their order, logits B K D H W (or B N K).
        """
        if self.base is not None:
            with torch.set_grad_enabled(torch.is_grad_enabled() and not self.is_frozen):
                x = self.base(x)[EMBEDDING]
        return {name: head(x) for name, head in self.heads.items()}

    def shared_parameters(self) -> list[nn.Parameter]:
        """Parameters of the layer that makes the base's embedding, on which all heads stand.

        Raises:
            ValueError: where no parameter that is trained is shared: for a frozen base, and without one.
        """
        if self.base is None or self.is_frozen:
            raise ValueError(
                "loss_balance 'gradient_norm' compares gradients where all heads share parameters that are trained; "
                f"here {'there is no base' if self.base is None else 'the base is frozen'}: "
                "choose another loss_balance, or train the base too (freeze_base: false)"
            )
        return list(self.base.get_submodule(f"heads.{EMBEDDING}").parameters())
