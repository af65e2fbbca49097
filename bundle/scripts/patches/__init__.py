"""Which patches to use: search, index, cache, splits."""

from .cellmap_crops import Crop, CropClass, find_crops, find_images, keep_fine
from .cellmap_patches import crop_patches
from .cellmap_split import cellmap_volumes, complete_volumes, crop_volumes, split_crops
from .choose import choose_patches
from .class_counts import ClassCounts, count_classes
from .datalists import read_datalist, read_datasplit, write_datalist, write_datasplit
from .faults import volume_faults
from .intensities import image_statistics
from .jitter import add_start_ranges
from .landmark_folds import read_landmark_folds
from .landmark_patches import choose_landmark_patches, fit_volumes
from .landmark_rows import EXTRA_KEY, ID_KEY, landmark_names, place_landmarks, row_landmarks
from .loader import PatchLoader
from .nnunet_dataset import nnunet_cases, open_nnunet_dataset, read_nnunet_dataset
from .patch_errors import LoaderError, PatchError
from .point_choice import draw_points
from .points_in_patches import point_patches
from .samplers import PatchSampler, select_patches
from .search import find_patches
from .seeded import PatchDataset, SeededIndex, sample_seed
from .slice_views import slice_volumes
from .splits import split_patches
from .table import OPTION_KEYS, array_keys, make_datalist, open_array, open_images, reference_key, volume_box
from .whole_images import image_patches

__all__ = [
    "EXTRA_KEY",
    "ID_KEY",
    "OPTION_KEYS",
    "ClassCounts",
    "Crop",
    "CropClass",
    "LoaderError",
    "PatchDataset",
    "PatchError",
    "PatchLoader",
    "PatchSampler",
    "SeededIndex",
    "add_start_ranges",
    "array_keys",
    "cellmap_volumes",
    "choose_landmark_patches",
    "choose_patches",
    "complete_volumes",
    "count_classes",
    "crop_patches",
    "crop_volumes",
    "draw_points",
    "find_crops",
    "find_images",
    "find_patches",
    "fit_volumes",
    "image_patches",
    "image_statistics",
    "keep_fine",
    "landmark_names",
    "make_datalist",
    "nnunet_cases",
    "open_array",
    "open_images",
    "open_nnunet_dataset",
    "place_landmarks",
    "point_patches",
    "read_datalist",
    "read_datasplit",
    "read_landmark_folds",
    "read_nnunet_dataset",
    "reference_key",
    "row_landmarks",
    "sample_seed",
    "select_patches",
    "slice_volumes",
    "split_crops",
    "split_patches",
    "volume_box",
    "volume_faults",
    "write_datalist",
    "write_datasplit",
]
