"""Losses of PHD-Net's two branches: near which patch a landmark is, and where it lies as seen from each patch."""

from __future__ import annotations

import torch
from torch import nn

from .inputs import check_same_shape, full_precision, mean_where
from .masked_regression import MaskedRegressionLoss


class PatchDisplacementLoss(nn.Module):
    """Length of the error of displacements, times the class map: mean(w ||d^ - d||) over patches and known landmarks.

    Without any known landmark the loss is 0, and so is its gradient.

    Source: PHD-Net (Schobs et al. 2021).

    Args:
        weigh_by_class: whether the true class map is the weight w; otherwise patches far from the landmark count as
            much as near ones.
    """

    def __init__(self, weigh_by_class: bool = True) -> None:
        super().__init__()
        self.weigh_by_class = weigh_by_class

    def forward(
        self, prediction: torch.Tensor, target: torch.Tensor, class_maps: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Compute the loss.

        Args:
            prediction: displacements, B (N D) and the patch grid, components z, y, x of one landmark after another.
            target: true displacements, same shape; NaN does not count.
            class_maps: true class maps, B N and the patch grid; needed where they are the weight.

        Raises:
            ValueError: when the shapes do not fit, and without class maps where they are needed.
        """
        check_same_shape(prediction, target)
        dims = prediction.ndim - 2
        if prediction.shape[1] % dims:
            raise ValueError(
                f"displacements in {dims}D must have a multiple of {dims} channels; got {prediction.shape[1]}"
            )
        away = (full_precision(prediction) - torch.nan_to_num(target)).unflatten(1, (-1, dims))  # B N D and the grid
        counts = torch.isfinite(target).unflatten(1, (-1, dims)).all(dim=2)  # B N and the grid
        lengths = torch.linalg.vector_norm(away, dim=2)
        if self.weigh_by_class:
            if class_maps is None:
                raise ValueError("class_maps is missing: give the true class maps, or set weigh_by_class to False")
            check_same_shape(lengths, class_maps)
            lengths = lengths * torch.nan_to_num(class_maps)
            counts = counts & torch.isfinite(class_maps)
        return mean_where(lengths, counts)


class PHDNetLoss(nn.Module):
    """Mean squared error of the class maps plus `PatchDisplacementLoss`, of the branches that a network has.

    Source: PHD-Net (Schobs et al. 2021).

    Args:
        weigh_by_class: whether the true class map weighs the displacements.
        displacement_weight: factor of the displacements.

    Raises:
        ValueError: for a negative factor.
    """

    def __init__(self, weigh_by_class: bool = True, displacement_weight: float = 1.0) -> None:
        super().__init__()
        if not displacement_weight >= 0:
            raise ValueError(f"displacement_weight must be at least 0; got {displacement_weight!r}")
        self.displacement_weight = displacement_weight
        self.class_loss = MaskedRegressionLoss("mse")
        self.displacement_loss = PatchDisplacementLoss(weigh_by_class)

    def forward(
        self,
        class_maps: torch.Tensor | None,
        displacements: torch.Tensor | None,
        true_class_maps: torch.Tensor,
        true_displacements: torch.Tensor,
    ) -> torch.Tensor:
        """Compute the loss.

        Args:
            class_maps: predicted, B N and the patch grid; `None` for the displacement branch alone.
            displacements: predicted, B (N D) and the patch grid; `None` for the heatmap branch alone.
            true_class_maps: NaN for missing landmarks.
            true_displacements: NaN for missing landmarks.

        Raises:
            ValueError: without any prediction, and when the shapes do not fit.
        """
        losses = []
        if class_maps is not None:
            losses.append(self.class_loss(class_maps, true_class_maps))
        if displacements is not None:
            loss = self.displacement_loss(displacements, true_displacements, true_class_maps)
            losses.append(self.displacement_weight * loss)
        if not losses:
            raise ValueError("class_maps and displacements are both None; give at least one")
        return torch.stack(losses).sum()
