"""Which patches to use: search, index, cache, splits."""

from .faults import open_images, volume_faults
from .search import find_patches
from .splits import split_patches
from .table import OPTION_KEYS, array_keys, make_datalist, reference_key, volume_box

__all__ = [
    "OPTION_KEYS",
    "array_keys",
    "find_patches",
    "make_datalist",
    "open_images",
    "reference_key",
    "split_patches",
    "volume_box",
    "volume_faults",
]
