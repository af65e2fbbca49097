"""Colours of embeddings: what varies most becomes red, green and blue."""

from __future__ import annotations

import numpy as np

from .colours import grey

_MOST_VOXELS = 200_000
"""From which the components are computed; more do not change them visibly."""


def embedding_colours(values: np.ndarray, first: int = 0) -> np.ndarray:
    """Three principal components of an embedding as red, green and blue, each from its 1st to its 99th percentile.

    Which colour a place has means nothing; places of the same colour are alike to the network.

    Args:
        values: C D H W.
        first: number of the component that is red, counted from the one of largest variance.

    Returns:
        D H W 3 uint8; components that there are not are mid-grey.
    """
    vectors = np.moveaxis(values, 0, -1).astype(np.float64)  # C D H W -> D H W C
    some = vectors.reshape(-1, vectors.shape[-1])
    some = some[:: max(1, len(some) // _MOST_VOXELS)]
    mean = some.mean(axis=0)
    axes = np.linalg.eigh(np.cov((some - mean).T, ddof=0).reshape(len(mean), len(mean)))[1].T[::-1]  # largest first
    colours = np.full((*vectors.shape[:-1], 3), 127, np.uint8)
    for place, axis in enumerate(axes[first : first + 3]):
        # the sign of a component is a matter of chance: the same one for the same embedding
        sign = np.sign(axis[np.argmax(np.abs(axis))])
        part = (vectors - mean) @ (sign * axis)
        if np.ptp(part) > 0:
            colours[..., place] = grey(part)[..., 0]
    return colours
