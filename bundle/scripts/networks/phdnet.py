"""PHD-Net: for each patch of an image, how near a landmark is and where it lies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from monai.networks.layers import Conv, Pool
from torch import nn
from torch.nn import functional as F

from ..geometry import Kind, parse_targets
from ..landmarks import patch_displacements, patch_grid_shape, peak_points, scale_points, vote_maps
from .block_options import DEFAULT_ACT, BlockOptions, Layer, check_choice
from .unet_blocks import ResidualBlock, conv_block, initialise
from .unet_plan import is_positive_int

BRANCH_SCHEMES = ("multi", "heatmap", "displacement")
"""Which branches a PHD-Net has: both, the class maps alone, or the displacements alone."""

_FEATURES = (32, 512)  # of the first stage, and the most of any

_VALUES_AT_ONCE = 2**22  # of vote maps that are drawn together: 16 MiB, of which drawing takes several copies


def voxels_per_patch(patch_size: Sequence[int], max_pool_factor: int = 3) -> tuple[int, ...]:
    """Voxels along each axis of the patches that a PHD-Net looks at.

    Args:
        patch_size: voxels z, y, x (2D: y, x) of the images that it is trained on. An axis of one voxel is not pooled.
        max_pool_factor: number of halvings.

    Returns:
        2^max_pool_factor along each axis, 1 along an axis of one voxel.

    Raises:
        ValueError: for sizes that are no whole numbers above 0, and a number of halvings below 1.
    """
    sizes = tuple(patch_size)
    if not sizes or not all(map(is_positive_int, sizes)):
        raise ValueError(f"patch_size must hold whole numbers above 0, one per axis; got {patch_size!r}")
    if not is_positive_int(max_pool_factor):
        raise ValueError(f"max_pool_factor must be a whole number of at least 1, got {max_pool_factor!r}")
    return tuple(2**max_pool_factor if size > 1 else 1 for size in sizes)


class PHDNet(nn.Module):
    """Convolutions down to one voxel per patch, and two branches of 1x1 convolutions.

    The class branch says for each landmark how near the patch is, the displacement branch where the landmark lies as
    seen from the patch's centre. In training the output is what the branches say; in evaluation mode all patches vote,
    and the output is one map per landmark at full resolution, high where votes meet.

    Images may have any size: beyond their far side the last voxels are repeated to whole patches.

    Source: PHD-Net (Schobs et al. 2021), for several landmarks, in 2D and 3D.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        targets: the `targets` table, with one target, of kind `points`; its channels are the landmarks.
        patch_size: voxels z, y, x (2D: y, x) of the images that the network is trained on. Along an axis of one voxel
            neither kernels nor pooling have an extent: a picture as a volume of one slice.
        branch_scheme: `"multi"` (both branches), `"heatmap"` (class maps alone: all patches vote for the peak of a
            Gaussian through the highest patch and its neighbours) or `"displacement"` (displacements alone: every
            patch's vote counts the same).
        max_pool_factor: number of max poolings, each a halving: patches have 2^max_pool_factor voxels along an axis.
        features: channels of each stage, max_pool_factor + 1 of them; `None`: 32, doubled by each stage up to 512.
        residual: whether a stage's two convolutions have a skip beside them.
        norm: `"instance"`, `"batch"` or `"group"`, alone or with arguments.
        act: any activation of MONAI, alone or with arguments.
        log_transform: whether displacements are learnt as `scripts.landmarks.encode_displacement` writes them.
        vote_sigma: standard deviation of a vote in voxels.
        dropout: probability, below 1, with which a convolution's channel is zeroed in training.

    Attributes:
        voxels_per_patch: along each axis.

    Raises:
        ValueError: for other targets, and for options that are not known or do not fit each other.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        targets: Mapping[str, Any],
        patch_size: Sequence[int],
        *,
        branch_scheme: str = "multi",
        max_pool_factor: int = 3,
        features: Sequence[int] | None = None,
        residual: bool = True,
        norm: Layer = "instance",
        act: Layer = DEFAULT_ACT,
        log_transform: bool = True,
        vote_sigma: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.loss_name = "phdnet"  # the one loss that reads this output; checked before a training
        self.targets = parse_targets(targets)
        self.voxels_per_patch = voxels_per_patch(patch_size, max_pool_factor)
        if spatial_dims not in (2, 3) or len(self.voxels_per_patch) != spatial_dims:
            raise ValueError(
                "spatial_dims must be 2 or 3, and patch_size have as many numbers; "
                f"got spatial_dims = {spatial_dims}, patch_size = {patch_size}"
            )
        if math.prod(patch_grid_shape(patch_size, self.voxels_per_patch)) < 2:
            raise ValueError(
                f"patch_size {list(patch_size)} is a single patch of {list(self.voxels_per_patch)} voxels; expected "
                "several: use larger images, or a smaller max_pool_factor"
            )
        if not is_positive_int(in_channels):
            raise ValueError(f"in_channels must be a positive whole number, got {in_channels!r}")
        if not vote_sigma > 0:
            raise ValueError(f"vote_sigma must be above 0; got {vote_sigma!r}")
        check_choice("branch_scheme", branch_scheme, BRANCH_SCHEMES)
        self._target, self.n_landmarks = _landmark_target(self.targets)
        self.log_transform, self.vote_sigma = log_transform, vote_sigma
        options = BlockOptions(norm=norm, act=act, dropout=dropout)
        channels = _stage_features(features, max_pool_factor + 1)
        options.check_features(channels)

        kernel = tuple(1 if size == 1 else 3 for size in self.voxels_per_patch)
        halving = tuple(1 if size == 1 else 2 for size in self.voxels_per_patch)
        self.pool = Pool[Pool.MAX, spatial_dims](halving, halving)
        self.stages = nn.ModuleList(
            _stage(spatial_dims, before, after, kernel, options, residual)
            for before, after in zip([in_channels, *channels[:-1]], channels, strict=True)
        )
        n_channels = {"class": self.n_landmarks, "displacement": self.n_landmarks * spatial_dims}
        if branch_scheme != "multi":
            n_channels.pop("displacement" if branch_scheme == "heatmap" else "class")
        self.branches = nn.ModuleDict(
            {name: _branch(spatial_dims, channels[-1], n, options) for name, n in n_channels.items()}
        )
        self.apply(partial(initialise, negative_slope=options.negative_slope))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Predict the landmarks.

        Args:
            x: image, B C D H W (2D: B C H W), of any size.

        Returns:
            under the target's name, in training at the patch grid: class maps (N channels), then displacements (N D
            channels: components z, y, x of one landmark after another), of the branches that there are; in evaluation
            mode vote maps B N D H W, see `scripts.landmarks.vote_maps`.
        """
        shape = x.shape[2:]
        x = _whole_patches(x, self.voxels_per_patch)
        for number, stage in enumerate(self.stages):
            x = stage(self.pool(x) if number else x)
        # Half precision would place votes only to within a voxel or so; on the patch grid full precision is cheap.
        with torch.autocast(x.device.type, enabled=False):
            outputs = {name: branch(x.float()) for name, branch in self.branches.items()}
            if self.training:
                return {self._target: torch.cat(list(outputs.values()), dim=1)}
            return {self._target: self._vote(outputs, shape)}

    def shared_parameters(self) -> list[nn.Parameter]:
        """Parameters of the last stage, on which both branches stand."""
        return list(self.stages[-1].parameters())

    def _vote(self, outputs: Mapping[str, torch.Tensor], shape: Sequence[int]) -> torch.Tensor:
        """Maps B N D H W, some landmarks at a time, so that drawing them takes little more memory than they do."""
        at_once = max(1, _VALUES_AT_ONCE // (math.prod(shape) * len(next(iter(outputs.values())))))
        maps = []
        for first in range(0, self.n_landmarks, at_once):
            parts: dict[str, torch.Tensor | None] = {"class": None, "displacement": None}
            for name, output in outputs.items():
                per_landmark = output.shape[1] // self.n_landmarks
                parts[name] = output[:, first * per_landmark : (first + at_once) * per_landmark]
            maps.append(self._vote_of(parts["class"], parts["displacement"], shape))
        return maps[0] if len(maps) == 1 else torch.cat(maps, dim=1)

    def _vote_of(
        self, class_maps: torch.Tensor | None, displacements: torch.Tensor | None, shape: Sequence[int]
    ) -> torch.Tensor:
        """Maps of some landmarks, B N D H W."""
        log_transform = self.log_transform
        if class_maps is not None and displacements is None:
            # Interpolated maps have no maximum between the patches' centres, a Gaussian through the patches has.
            displacements, log_transform = self._to_peaks(class_maps, shape), False
        return vote_maps(
            class_maps,
            displacements,
            shape,
            patch_size=self.voxels_per_patch,
            vote_sigma=self.vote_sigma,
            log_transform=log_transform,
        )

    def _to_peaks(self, class_maps: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
        """Displacement of each patch to the peak of each class map, B N and the patch grid -> B (N D) and the grid."""
        grid = class_maps.shape[2:]
        whole = [n * size for n, size in zip(grid, self.voxels_per_patch, strict=True)]
        points = scale_points(peak_points(class_maps), grid, whole)
        points = torch.minimum(points.clamp(min=0), points.new_tensor(list(shape)) - 1)  # NaN stays NaN
        return patch_displacements(points, whole, patch_size=self.voxels_per_patch, log_transform=False)


def _landmark_target(targets: Mapping[str, Any]) -> tuple[str, int]:
    """Name and channels of the one target, which must be landmarks."""
    if len(targets) != 1 or any(target.kind is not Kind.POINTS for target in targets.values()):
        given = ", ".join(f"{name} (kind {target.kind})" for name, target in targets.items())
        raise ValueError(f"targets: PHDNet takes one target, of kind 'points'; got {given}")
    ((name, target),) = targets.items()
    return name, target.channels


def _stage_features(features: Sequence[int] | None, n_stages: int) -> list[int]:
    """Channels of each stage."""
    if features is None:
        first, most = _FEATURES
        return [min(first * 2**stage, most) for stage in range(n_stages)]
    if len(features) != n_stages or not all(map(is_positive_int, features)):
        raise ValueError(
            f"features must hold {n_stages} whole numbers above 0, one per stage: one more than max_pool_factor = "
            f"{n_stages - 1}; got {features!r}"
        )
    return list(features)


def _stage(
    spatial_dims: int, before: int, after: int, kernel: Sequence[int], options: BlockOptions, residual: bool
) -> nn.Module:
    """Two convolutions at one resolution."""
    if residual:
        return ResidualBlock(spatial_dims, before, after, kernel, (1,) * spatial_dims, options)
    return nn.Sequential(*(conv_block(spatial_dims, c, after, kernel, options) for c in (before, after)))


def _branch(spatial_dims: int, features: int, channels: int, options: BlockOptions) -> nn.Module:
    """Two 1x1 convolutions; the second one's output is the answer."""
    one = (1,) * spatial_dims
    hidden = conv_block(spatial_dims, features, features, one, options)
    return nn.Sequential(hidden, Conv[Conv.CONV, spatial_dims](features, channels, kernel_size=1))


def _whole_patches(x: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """Repeat the last voxels along each axis, B C D H W, up to whole patches."""
    missing = [-n % size for n, size in zip(x.shape[2:], sizes, strict=True)]
    if not any(missing):
        return x
    widths = [width for n in reversed(missing) for width in (0, n)]  # torch lists the last axis first
    return F.pad(x, widths, mode="replicate")
