"""What a volume is: open, describe, read and write it, whatever its format."""

from .blocks import bundle, lattice, touched_blocks
from .encoding import NORMAL_INT8, NORMAL_UINT16, Encoding, decode, encode
from .errors import CorruptChunkError
from .grid import Grid, unit_symbol
from .monai_reader import ZarrReader
from .volume import Volume, open_volume
from .writer import OmeZarrWriter, create_ome_zarr

__all__ = [
    "NORMAL_INT8",
    "NORMAL_UINT16",
    "CorruptChunkError",
    "Encoding",
    "Grid",
    "OmeZarrWriter",
    "Volume",
    "ZarrReader",
    "bundle",
    "create_ome_zarr",
    "decode",
    "encode",
    "lattice",
    "open_volume",
    "touched_blocks",
    "unit_symbol",
]
