"""nnU-Net's augmentation as a list of transforms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monai.transforms import RandScaleIntensityd, Transform

from ..geometry import IMAGE_KEY
from .blur import RandBlurd
from .contrast import RandContrastd
from .gamma import RandGammad
from .low_resolution import RandLowResolutiond
from .mirror import RandMirrord
from .noise import RandNoised
from .random_spatial import RandSpatiald
from .spatial import ApplySpatiald
from .spatial_draw import RandSpatialDraw

_THICK = 3  # a patch more than so many times as wide as it is deep is augmented in its planes


def nnunet_augmentation(
    keys: Sequence[str],
    targets: Mapping[str, Any] | None = None,
    *,
    patch_size: Sequence[int] | None = None,
    is_drawn: bool = False,
    image_keys: Sequence[str] = (IMAGE_KEY,),
) -> list[Transform]:
    """Transforms with the order, probabilities and ranges of nnU-Net 2's default trainer (Isensee et al.).

    Noise presumes images with a standard deviation of about 1. Unlike in nnU-Net it differs between channels.

    Args:
        keys: keys of all arrays that share a grid: images, labels and other targets.
        targets: the `targets` table, which says what kind each key is (see `ApplySpatiald`).
        patch_size: z, y, x; decides whether rotation, scaling and loss of resolution stay in the planes, as they do
            where a patch is more than three times as wide as it is deep. `None`: they do not.
        is_drawn: whether `RandSpatialDrawd` has drawn what happens in space, before the patch was read.
        image_keys: those of the keys whose intensities change.

    Returns:
        MONAI dictionary transforms; directions need `ReorientVectorsd` after them.
    """
    in_plane = patch_size is not None and max(patch_size) > _THICK * patch_size[0]
    draw = RandSpatialDraw(rotation=180.0 if in_plane else 30.0, in_plane=in_plane)
    images = list(image_keys)
    return [
        ApplySpatiald(keys, targets) if is_drawn else RandSpatiald(keys, targets, draw),
        RandNoised(images, prob=0.1, std=(0.0, 0.1)),
        RandBlurd(images, prob=0.2, channel_prob=0.5, sigma=(0.5, 1.0)),
        RandScaleIntensityd(images, factors=0.25, prob=0.15, channel_wise=True),
        RandContrastd(images, prob=0.15, factor=(0.75, 1.25)),
        RandLowResolutiond(images, prob=0.25, channel_prob=0.5, factor=(0.5, 1.0), axes=(1, 2) if in_plane else None),
        RandGammad(images, prob=0.1, gamma=(0.7, 1.5), invert=True),
        RandGammad(images, prob=0.3, gamma=(0.7, 1.5)),
        RandMirrord(keys, prob=0.5),
    ]
