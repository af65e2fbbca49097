"""Losses of PHD-Net's two branches: near which patch a landmark is, and where it lies as seen from each patch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ..geometry import did_you_mean
from ..landmarks import CLASS_SCHEMES, patch_class_maps, patch_displacements, patch_grid_shape
from ..landmarks.patch_grid import patch_sizes
from .inputs import check_same_shape, full_precision, mean_where, plain
from .masked_regression import MaskedRegressionLoss

_BRANCHES = {"multi": (True, True), "heatmap": (True, False), "displacement": (False, True)}
"""Whether a scheme has class maps, and displacements."""


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

    Missing landmarks do not count. One outside the image has a class map of 0 and is pointed at like any other, so
    that, weighed by its class map, its displacement does not count either.

    Source: PHD-Net (Schobs et al. 2021).

    Args:
        branch_scheme: of `scripts.networks.PHDNet`: `"multi"`, `"heatmap"` or `"displacement"`.
        patch_size: voxels of a patch, one number or one per axis (`scripts.networks.voxels_per_patch`).
        class_scheme: `"gaussian"` of the patch centre's distance to the landmark, or `"binary"`: the patch has it.
        class_sigma: standard deviation of that Gaussian, in patches.
        amplitude: largest value of a class map; the classes' loss grows with its square, that of displacements, where
            the class map weighs them, with itself.
        weigh_by_class: whether the true class map weighs the displacements; otherwise patches far from the landmark
            count as much as near ones.
        log_transform: whether displacements are compared as `scripts.landmarks.encode_displacement` writes them, as
            the network has it.
        clamp_distance: length in voxels to which true displacements are shortened; `None`: they are not.
        displacement_weight: factor of the displacements.

    Raises:
        ValueError: for an unknown scheme, and numbers out of range.
    """

    def __init__(
        self,
        branch_scheme: str = "multi",
        patch_size: int | Sequence[int] = 8,
        *,
        class_scheme: str = "gaussian",
        class_sigma: float = 1.0,
        amplitude: float = 1.0,
        weigh_by_class: bool = True,
        log_transform: bool = True,
        clamp_distance: float | None = None,
        displacement_weight: float = 1.0,
    ) -> None:
        super().__init__()
        for name, value, known in (
            ("branch_scheme", branch_scheme, tuple(_BRANCHES)),
            ("class_scheme", class_scheme, CLASS_SCHEMES),
        ):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}; got {value!r}{did_you_mean(value, known)}")
        for name, length in (
            ("class_sigma", class_sigma),
            ("amplitude", amplitude),
            ("clamp_distance", clamp_distance),
        ):
            if length is None and name == "clamp_distance":
                continue
            if not (isinstance(length, int | float) and length > 0):
                raise ValueError(f"{name} must be above 0; got {length!r}")
        if not (isinstance(displacement_weight, int | float) and displacement_weight >= 0):
            raise ValueError(f"displacement_weight must be at least 0; got {displacement_weight!r}")
        self.branch_scheme = branch_scheme
        self.has_classes, self.has_displacements = _BRANCHES[branch_scheme]
        self.patch_size = patch_size
        self.class_scheme, self.class_sigma, self.amplitude = class_scheme, class_sigma, amplitude
        self.log_transform, self.clamp_distance = log_transform, clamp_distance
        self.displacement_weight = displacement_weight
        self.class_loss = MaskedRegressionLoss("mse")
        self.displacement_loss = PatchDisplacementLoss(weigh_by_class)

    def forward(
        self, packed: torch.Tensor, points: torch.Tensor, full_shape: Sequence[int] | None = None
    ) -> torch.Tensor:
        """Compute the loss.

        Args:
            packed: what the network returns in training: class maps (N channels) and then displacements (N D
                channels), of the branches that there are, B and channels and the patch grid.
            points: landmarks, B N 3 (2D: B N 2), indices z, y, x in the image; NaN is missing.
            full_shape: voxels of the image along each axis, where its last patches reach beyond it; `None`, or the
                patch grid itself: whole patches.

        Raises:
            ValueError: for shapes that do not fit.
        """
        packed, points = plain(packed), plain(points)
        grid = tuple(packed.shape[2:])
        dims, n = len(grid), points.shape[1]
        sizes = patch_sizes(self.patch_size, dims)
        shape = tuple(cells * size for cells, size in zip(grid, sizes, strict=True))
        if full_shape is not None and tuple(full_shape) != grid:
            shape = tuple(full_shape)
        n_classes, n_displacements = n * self.has_classes, n * dims * self.has_displacements
        if packed.shape[1] != n_classes + n_displacements or patch_grid_shape(shape, sizes) != grid:
            expected = [n_classes + n_displacements, *patch_grid_shape(shape, sizes)]
            raise ValueError(
                f"branch_scheme '{self.branch_scheme}' with {n} landmarks in an image of {list(shape)} and patches of "
                f"{list(sizes)} voxels needs a prediction of shape B and {expected}; got {list(packed.shape)}"
            )
        class_maps = patch_class_maps(
            points,
            shape,
            patch_size=sizes,
            scheme=self.class_scheme,
            sigma=self.class_sigma,
            amplitude=self.amplitude,
        )
        losses = []
        if self.has_classes:
            losses.append(self.class_loss(packed[:, :n_classes], class_maps))
        if self.has_displacements:
            away = patch_displacements(
                points, shape, patch_size=sizes, most=self.clamp_distance, log_transform=self.log_transform
            )
            loss = self.displacement_loss(packed[:, n_classes:], away, class_maps)
            losses.append(self.displacement_weight * loss)
        return torch.stack(losses).sum()
