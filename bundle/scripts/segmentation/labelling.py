"""Connected components of one array."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage
from skimage import measure

from .inputs import Array, check_connectivity, check_labels
from .relabelling import in_order_of_first, smallest_dtype


def label_components(array: Any, connectivity: int = 1) -> tuple[Array, int]:
    """Number the connected components of a mask, or of every id of a label array.

    Voxels are connected when they are neighbours and hold the same id: different ids that touch stay apart.

    Args:
        array: D H W or H W; boolean, or ids with 0 = background.
        connectivity: along how many axes neighbours may differ: 1, 2 or 3 (6, 18 or 26 neighbours).

    Returns:
        labels 1..n in the order of the components' first voxels, in the smallest unsigned dtype that holds n; and n.

    Raises:
        TypeError: when the array holds floats.
        ValueError: when the connectivity is not known, or an id is below 0.
    """
    is_mask = np.asarray(array).dtype.kind == "b"
    ids = np.ascontiguousarray(check_labels(array, "array"))
    connectivity = check_connectivity(connectivity, ids.ndim)
    if not ids.size:
        return ids.astype(np.uint8), 0
    if is_mask:  # SciPy numbers in the order of the first voxels
        labels, n = ndimage.label(ids, ndimage.generate_binary_structure(ids.ndim, connectivity))
        return labels.astype(smallest_dtype(n)), int(n)
    labels, n = measure.label(ids, background=0, return_num=True, connectivity=connectivity)
    return in_order_of_first(labels, n)[labels], int(n)
