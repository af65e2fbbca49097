"""A grid for targets that differs from the image's: other voxels, a smaller field of view, the same centre."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch.nn import functional

from .affines import check_spacing
from .targets import Kind
from .vectors import unit_vectors

_ROUNDING = 1e-3

MASK_KIND = "mask"
"""How arrays of masks are told from `Kind`s."""


class TargetGrid:
    """Where a network's input and the truth that it is compared with lie, seen from one patch.

    A patch is read, augmented and turned on one grid with the finer voxels of both, `read_shape` of `read_spacing`.
    Then image and targets each get their own: voxels are joined to larger ones, and what lies beyond the targets'
    field of view is cut off. The network predicts on the input's grid; its outputs are brought onto the targets'.

    Args:
        input_shape: voxels z, y, x of the image that the network sees.
        input_spacing: their size.
        target_shape: voxels z, y, x of the truth.
        target_spacing: their size.

    Raises:
        ValueError: when a target's voxel is no whole number of the input's or the other way round along an axis, the
            targets reach beyond the image, or what they leave out of it on each side is no whole number of voxels.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        input_spacing: Sequence[float],
        target_shape: Sequence[int],
        target_spacing: Sequence[float],
    ) -> None:
        self.input_shape, self.shape = _shape("input", input_shape), _shape("target", target_shape)
        self.input_spacing, self.spacing = check_spacing(input_spacing, 3), check_spacing(target_spacing, 3)
        self.read_spacing = tuple(map(min, self.input_spacing, self.spacing))
        self.input_factors = self._factors(self.input_spacing)
        self.factors = self._factors(self.spacing)
        self.read_shape = tuple(n * f for n, f in zip(self.input_shape, self.input_factors, strict=True))
        self.margin = tuple(
            self._margin(axis, *extents)
            for axis, extents in enumerate(zip(self.read_shape, self._extent(), strict=True))
        )

    def image(self, array: torch.Tensor) -> torch.Tensor:
        """An array on the read grid, C D H W floating point, on the input's: the mean of the voxels that are joined."""
        return join_voxels(array, self.input_factors, "image")

    def target(self, array: torch.Tensor, kind: Kind | str) -> torch.Tensor:
        """An array on the read grid, C D H W, on the targets'; `kind` of a target, or `mask`. See `join_voxels`."""
        return join_voxels(self._cut(array, self.margin, self._extent()), self.factors, kind)

    def outputs(self, outputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Raw outputs of the network on the input's grid, B K D H W, on the targets': means, or linear between voxels.

        Raises:
            ValueError: for outputs of another shape, as networks with deep supervision have them.
        """
        return {name: self._output(name, output) for name, output in outputs.items()}

    def shown_image(self, image: torch.Tensor) -> torch.Tensor:
        """An image on the input's grid, C D H W, as it looks on the targets' grid."""
        return self._output("image", image[None])[0]

    def _output(self, name: str, output: torch.Tensor) -> torch.Tensor:
        if not isinstance(output, torch.Tensor) or tuple(output.shape[2:]) != self.input_shape:
            got = list(output.shape[2:]) if isinstance(output, torch.Tensor) else f"a {type(output).__name__}"
            raise ValueError(
                f"'{name}' must lie on the input's grid of {list(self.input_shape)} voxels to be brought onto the "
                f"targets'; got {got}. Deep supervision does not go with targets on a grid of their own"
            )
        margin = [m // f for m, f in zip(self.margin, self.input_factors, strict=True)]
        extent = [n // f for n, f in zip(self._extent(), self.input_factors, strict=True)]
        cut = self._cut(output, margin, extent)
        coarser = [max(t // i, 1) for t, i in zip(self.factors, self.input_factors, strict=True)]
        if max(coarser) > 1:
            cut = functional.avg_pool3d(cut, coarser)
        if tuple(cut.shape[2:]) != self.shape:
            cut = functional.interpolate(cut, self.shape, mode="trilinear")
        return cut

    @staticmethod
    def _cut(array: torch.Tensor, margin: Sequence[int], extent: Sequence[int]) -> torch.Tensor:
        for axis, (first, n) in enumerate(zip(margin, extent, strict=True), array.ndim - 3):
            array = array.narrow(axis, first, n)
        return array

    def _extent(self) -> tuple[int, ...]:
        """Voxels of the read grid that the targets cover."""
        return tuple(n * f for n, f in zip(self.shape, self.factors, strict=True))

    def _factors(self, spacing: Sequence[float]) -> tuple[int, ...]:
        ratios = [own / read for own, read in zip(spacing, self.read_spacing, strict=True)]
        if any(abs(ratio - round(ratio)) > _ROUNDING for ratio in ratios):
            raise ValueError(
                f"voxels of the input {list(self.input_spacing)} and of the targets {list(self.spacing)} (z, y, x) "
                "must divide each other along each axis, such as 8 and 16"
            )
        return tuple(round(ratio) for ratio in ratios)

    def _margin(self, axis: int, read: int, covered: int) -> int:
        left = read - covered
        where = f"along {'zyx'[axis]} the input covers {self.input_shape[axis]} voxels of {self.input_spacing[axis]:g}"
        targets = f"the targets {self.shape[axis]} of {self.spacing[axis]:g}"
        if left < 0:
            raise ValueError(f"{where}, {targets}: what lies beyond the input cannot be predicted")
        if left % (2 * self.input_factors[axis]):
            raise ValueError(
                f"{where}, {targets}: what they leave out on each side must be whole voxels of the input; change one "
                "of the shapes"
            )
        return left // 2


def join_voxels(array: torch.Tensor, factors: Sequence[int], kind: Kind | str) -> torch.Tensor:
    """Join boxes of voxels to one each.

    Labels become what most voxels of the box are (of equally many the smallest, so that unknown wins, then background);
    masks are 0 where any voxel is; everything else is the mean, unknown (NaN) where any voxel is, and normals get the
    length 1 again where they do not cancel out.

    Args:
        array: C D H W.
        factors: voxels of a box along z, y, x; the shape must be whole multiples.
        kind: `"image"`, `"mask"` or a `Kind`.
    """
    if max(factors) == 1:
        return array
    channels, *size = array.shape
    (d, h, w), (f, g, k) = (n // step for n, step in zip(size, factors, strict=True)), factors
    # C D H W -> C d f h g w k -> C d h w f g k -> C d h w fgk
    boxes = array.reshape(channels, d, f, h, g, w, k).permute(0, 1, 3, 5, 2, 4, 6).reshape(channels, d, h, w, f * g * k)
    if kind == Kind.LABEL or (kind == Kind.POINTS and not array.is_floating_point()):
        return boxes.mode(dim=-1).values
    if kind == MASK_KIND:
        return boxes.amin(dim=-1)
    mean = boxes.mean(dim=-1)
    return unit_vectors(mean) if kind == Kind.NORMAL else mean


def _shape(name: str, values: Sequence[int]) -> tuple[int, ...]:
    shape = tuple(int(n) for n in values)
    if len(shape) != 3 or min(shape) < 1 or list(shape) != list(values):
        raise ValueError(f"the {name}'s shape must be three positive numbers z, y, x; got {list(values)}")
    return shape
