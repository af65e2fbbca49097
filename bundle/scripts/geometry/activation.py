"""From the network's raw output to the values that are scored and written."""

from __future__ import annotations

import torch

from .targets import Activation, Kind, Target

_SHORTEST = 1e-6  # length below which a normal is not stretched to 1; float16 can hold it


def activate_prediction(prediction: torch.Tensor, target: Target) -> torch.Tensor:
    """Turn logits into values.

    - Label, 1 channel: probability of the foreground (sigmoid).
    - Label, C > 1 channels: probability of each class (softmax), or of each class for itself (sigmoid) where the
      target's activation is `sigmoid`.
    - Normal: unit length; a vector of zeros stays zero.
    - Every other kind: the target's activation.

    Args:
        prediction: logits, B C D H W or B C H W.
        target: the prediction's row of the `targets` table.

    Returns:
        Values of the same shape.

    Raises:
        ValueError: when the prediction has other channels than the target.
    """
    if prediction.shape[1] != target.channels:
        raise ValueError(
            f"target '{target.name}' has {target.channels} channels, but its prediction has {prediction.shape[1]} "
            f"(shape {list(prediction.shape)})"
        )
    if target.kind == Kind.NORMAL:
        # many times as fast as a norm along an axis that is not the last
        length = prediction.float().square().sum(dim=1, keepdim=True).sqrt()
        return prediction / length.clamp(min=_SHORTEST).to(prediction)
    activation = target.activation
    if target.kind == Kind.LABEL and activation == Activation.NONE:
        activation = Activation.SIGMOID if target.channels == 1 else Activation.SOFTMAX
    if activation == Activation.SIGMOID:
        return torch.sigmoid(prediction)
    if activation == Activation.SOFTMAX:
        return torch.softmax(prediction, dim=1)
    return prediction
