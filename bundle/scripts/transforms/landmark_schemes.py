"""Augmentation schemes of landmark programs by name, as lists of transforms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from monai.transforms import RandAffined, RandGaussianSharpend, RandScaleIntensityd, RandShiftIntensityd, Transform

from ..geometry import IMAGE_KEY
from .blur import RandBlurd
from .contrast import RandContrastd
from .labels import check_choice
from .mirror import RandMirrord
from .spatial import ApplySpatiald
from .spatial_draw import RandSpatialDrawd

_VERTICAL = 1  # the axis y, along which these programs flip


@dataclass(frozen=True)
class _Scheme:
    """What a scheme does; 0 is nothing.

    Args:
        prob: probability of the rotation, of the scaling, and of the affine map.
        rotation: largest angle in degrees to each side.
        scaling: how large things become, one factor for all axes.
        stretch: largest change of the scale of each axis by itself.
        shift: largest shift as a share of the patch.
        shear: largest angle in degrees to each side.
        flip: probability.
        elastic: probability, distance between control points and largest displacement, in voxels.
        blur: probability.
        sharpen: probability of more sharpness, and of another contrast.
        intensity: largest shift, and change of scale, of all intensities; of a standard deviation.
    """

    prob: float = 0.5
    rotation: float = 0.0
    scaling: tuple[float, float] = (1.0, 1.0)
    stretch: float = 0.0
    shift: float = 0.0
    shear: float = 0.0
    flip: float = 0.5
    elastic: tuple[float, float, float] = (0.0, 16.0, 0.0)
    blur: float = 0.0
    sharpen: float = 0.0
    intensity: float = 0.0


_COMPLEX = _Scheme(rotation=45, stretch=0.2, shift=0.07, shear=16)
_FINE = (0.5, 10.0, 4.0)  # as much as does not fold

LANDMARK_SCHEMES: dict[str, _Scheme] = {
    "AffineSimple": _Scheme(prob=0.75, rotation=45, scaling=(0.8, 1.2)),
    "AffineComplex": _COMPLEX,
    "AffineComplexElastic": replace(_COMPLEX, elastic=(0.5, 33.0, 10.0)),
    "AffineComplexElasticLight": replace(_COMPLEX, elastic=(0.5, 22.0, 4.0)),
    "AffineComplexElasticBlur": replace(_COMPLEX, elastic=_FINE, blur=0.5),
    "AffineComplexElasticBlurSharp": replace(_COMPLEX, elastic=_FINE, blur=0.5, sharpen=0.25),
    "payer19": _Scheme(
        prob=1, rotation=15, scaling=(0.6, 1.4), shift=0.04, flip=0, elastic=(1.0, *_FINE[1:]), intensity=0.25
    ),
    "thaler21": _Scheme(
        prob=1, rotation=15, scaling=(0.8, 1.2), stretch=0.2, shift=0.02, flip=0, elastic=(1.0, *_FINE[1:]),
        intensity=0.25,
    ),
    "CenterCropOnly": _Scheme(flip=0),
}  # fmt: skip
"""The names of LaNNU-Net, of which the last one is no augmentation."""


def landmark_space(
    scheme: str = "AffineComplex", patch_size: Sequence[int] | None = None, spacing: Sequence[float] | None = None
) -> RandSpatialDrawd:
    """Rotation, common scaling and elastic deformation of a scheme; stands before `LoadZarrPatchd`.

    Rotations and scalings are independent of each other. Elastic deformations have about the roughness and the size of
    those that LaNNU-Net makes of smoothed noise, as far as these do not fold.

    Args:
        scheme: one of `LANDMARK_SCHEMES`.
        patch_size: z, y, x; of a patch of one slice only y and x are turned, scaled and deformed.
        spacing: see `RandSpatialDrawd`.

    Raises:
        ValueError: for an unknown scheme.
    """
    row = LANDMARK_SCHEMES[check_choice("scheme", scheme, list(LANDMARK_SCHEMES))]
    low, high = row.scaling
    prob, elastic_spacing, displacement = row.elastic
    return RandSpatialDrawd(
        prob_rotation=row.prob if row.rotation else 0.0,
        rotation=row.rotation,
        prob_scaling=row.prob if low < high else 0.0,
        scaling=(1 / high, 1 / low),  # a longer step makes things smaller
        prob_elastic=prob,
        elastic_spacing=elastic_spacing,
        elastic_displacement=(0.0, displacement),
        in_plane=_is_slice(patch_size),
        spacing=spacing,
    )


def landmark_augmentation(
    patch_size: Sequence[int],
    scheme: str | None = "AffineComplex",
    keys: Sequence[str] = (IMAGE_KEY,),
    flip: bool = True,
) -> list[Transform]:
    """What else a scheme does to images; stands between `LoadLandmarksd` and `LandmarksToPointsd`.

    Stretches of single axes, shifts and shears are along the axes of the array, and MONAI's. Flips are along y, as
    LaNNU-Net has them; give `LandmarksToPointsd` the pairs. Intensities are those of normalized images. Left out is
    the embossing of `AffineComplexElasticBlurSharp`.

    Args:
        patch_size: z, y, x.
        scheme: one of `LANDMARK_SCHEMES`; `None`: nothing is done.
        keys: keys of images. Labels need `ApplySpatiald` with their table, and no scheme with stretches or shears.
        flip: whether the flips of a scheme are made; a mirrored left landmark is a right one, which only pairs tell.

    Returns:
        MONAI dictionary transforms, of which the first carries out what `landmark_space` has drawn.

    Raises:
        ValueError: for an unknown scheme.

    Source: the schemes of LaNNU-Net (MediMarker); Payer et al. 2019 and Thaler et al. 2021 for those of their name.
    """
    if scheme is None:
        return []
    row = LANDMARK_SCHEMES[check_choice("scheme", scheme, list(LANDMARK_SCHEMES))]
    images = list(keys)
    chain: list[Transform] = [ApplySpatiald(images)]
    if row.stretch or row.shift or row.shear:
        moves = [0.0 if _is_slice(patch_size) else 1.0, 1.0, 1.0]
        shear = math.tan(math.radians(row.shear))
        chain.append(
            RandAffined(
                images,
                prob=row.prob,
                scale_range=[row.stretch * along for along in moves],
                translate_range=[row.shift * n * along for n, along in zip(patch_size, moves, strict=True)],
                shear_range=[shear * moves[0], shear * moves[0], 0.0, shear, 0.0, 0.0],  # of z by y and x, of y by x
                padding_mode="border",
            )
        )
    if row.flip and flip:
        chain.append(RandMirrord(images, row.flip, axes=[_VERTICAL]))
    if row.blur:
        chain.append(RandBlurd(images, row.blur, channel_prob=1.0, sigma=(0.2, 1.4)))
    if row.sharpen:
        chain.append(RandGaussianSharpend(images, alpha=(0.0, 3.0), prob=row.sharpen))
        chain.append(RandContrastd(images, row.sharpen, factor=(0.4, 1.6)))
    if row.intensity:
        chain.append(RandShiftIntensityd(images, offsets=row.intensity, prob=1.0))
        chain.append(RandScaleIntensityd(images, factors=row.intensity, prob=1.0))
    return chain


def _is_slice(patch_size: Sequence[int] | None) -> bool:
    return patch_size is not None and patch_size[0] == 1
