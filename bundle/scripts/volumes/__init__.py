"""What a volume is: open, describe, read and write it, whatever its format."""

from .blocks import bundle, lattice, touched_blocks
from .chunk_cache import set_chunk_cache
from .creation import create_ome_zarr
from .encoding import NORMAL_INT8, NORMAL_UINT16, Encoding, decode, encode
from .errors import CannotListError, CorruptChunkError, MetadataError, RemoteError, StalledError
from .grid import Grid, unit_symbol
from .landmark_files import read_landmarks, write_landmarks
from .landmarks import (
    LANDMARKS_KEY,
    Landmarks,
    as_landmarks,
    convert_landmarks,
    landmarks_to_voxels,
    outside_volume,
)
from .monai_reader import ZarrReader
from .nifti_writer import write_nifti
from .paths import is_url
from .permuted import (
    SLICE_AXES,
    STORED_AXES,
    PermutedVolume,
    axis_order,
    check_slice_axes,
    permute_axes,
    to_stored,
    to_view,
)
from .placement import open_resampled, open_stack, resampling_mode
from .points import POINTS_KEY, Point, read_points, write_points
from .resample import ResampledVolume, fit
from .stacked import StackedVolume, open_image
from .statistics import value_statistics, volume_statistics
from .tolerant import read_tolerant, tolerant_volume
from .volume import Volume, open_volume
from .writer import OmeZarrWriter

__all__ = [
    "LANDMARKS_KEY",
    "NORMAL_INT8",
    "NORMAL_UINT16",
    "POINTS_KEY",
    "SLICE_AXES",
    "STORED_AXES",
    "CannotListError",
    "CorruptChunkError",
    "Encoding",
    "Grid",
    "Landmarks",
    "MetadataError",
    "OmeZarrWriter",
    "PermutedVolume",
    "Point",
    "RemoteError",
    "ResampledVolume",
    "StackedVolume",
    "StalledError",
    "Volume",
    "ZarrReader",
    "as_landmarks",
    "axis_order",
    "bundle",
    "check_slice_axes",
    "convert_landmarks",
    "create_ome_zarr",
    "decode",
    "encode",
    "fit",
    "is_url",
    "landmarks_to_voxels",
    "lattice",
    "open_image",
    "open_resampled",
    "open_stack",
    "open_volume",
    "outside_volume",
    "permute_axes",
    "read_landmarks",
    "read_points",
    "read_tolerant",
    "resampling_mode",
    "set_chunk_cache",
    "to_stored",
    "to_view",
    "tolerant_volume",
    "touched_blocks",
    "unit_symbol",
    "value_statistics",
    "volume_statistics",
    "write_landmarks",
    "write_nifti",
    "write_points",
]
