"""Small heads on embeddings: dense, and from points to volumes with the same weights."""

from __future__ import annotations

import torch
from monai.networks.layers import Conv
from torch import nn
from torch.nn import functional as F

_CONVOLUTIONS = {4: F.conv2d, 5: F.conv3d}


class SimpleSegHead(nn.Sequential):
    """1x1 convolution, ReLU, 1x1 convolution, on B C D H W (2D: B C H W); raw output.

    Args:
        spatial_dims: 2 or 3.
        in_channels: C.
        out_channels: channels of the output.
        hidden_channels: channels between.
    """

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int, hidden_channels: int) -> None:
        conv = Conv[Conv.CONV, spatial_dims]
        super().__init__(
            conv(in_channels, hidden_channels, kernel_size=1),
            nn.ReLU(inplace=True),
            conv(hidden_channels, out_channels, kernel_size=1),
        )


class SparseSegHead(nn.Module):
    """Linear, ReLU, Linear, on vectors of points or, with the same weights as 1x1 convolutions, on maps; raw output.

    Args:
        in_channels: C.
        out_channels: channels of the output, K.
        hidden_channels: channels between.
    """

    def __init__(self, in_channels: int, out_channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(in_channels, hidden_channels)
        self.out = nn.Linear(hidden_channels, out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map points N C or B N C to N K or B N K, and maps B C D H W or B C H W to B K D H W or B K H W.

        Raises:
            ValueError: for another shape.
        """
        axis = 1 if x.ndim in _CONVOLUTIONS else -1
        if x.ndim < 2 or x.ndim > 5 or x.shape[axis] != self.hidden.in_features:
            raise ValueError(
                f"expected points N C or B N C, or a map B C D H W or B C H W, with C = {self.hidden.in_features}; "
                f"got shape {list(x.shape)}"
            )
        return _pointwise(self.out, F.relu(_pointwise(self.hidden, x), inplace=True))


class LinearSegHead(nn.Linear):
    """One linear map, on vectors of points or on maps, as `SparseSegHead`; raw output.

    Args:
        in_channels: C.
        out_channels: channels of the output, K.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map points N C or B N C to N K or B N K, and maps B C D H W or B C H W to B K D H W or B K H W."""
        if x.ndim not in _CONVOLUTIONS:
            return super().forward(x)
        weight = self.weight.reshape(*self.weight.shape, *[1] * (x.ndim - 2))  # K C -> K C 1 1 1
        return _CONVOLUTIONS[x.ndim](x, weight, self.bias)


def _pointwise(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    """A linear layer on vectors that stand in the last axis, or in the second of a map."""
    if x.ndim not in _CONVOLUTIONS:
        return layer(x)
    weight = layer.weight.reshape(*layer.weight.shape, *[1] * (x.ndim - 2))  # K C -> K C 1 1 1
    return _CONVOLUTIONS[x.ndim](x, weight, layer.bias)
