"""Several arrays on one grid, seen as the channels of one volume."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from .placement import open_stack
from .source import ArraySource
from .volume import Triplet, Volume


class StackedVolume(Volume):
    """Volumes whose channels follow each other, such as the contrasts of an MR examination.

    Args:
        parts: of one shape and one geometry.

    Attributes:
        parts: as given.
        path: those of the parts, with ` + ` in between.

    Raises:
        ValueError: for no parts, and where shapes or geometries differ; names the two.
    """

    def __init__(self, parts: Sequence[Volume]) -> None:
        if not parts:
            raise ValueError("expected volumes to be stacked as channels, got none")
        first = parts[0]
        for other in parts[1:]:
            if other.spatial_shape != first.spatial_shape or not np.allclose(other.affine, first.affine, rtol=1e-4):
                raise ValueError(
                    f"volumes to be stacked as channels differ: {first!r} and {other!r}; "
                    "expected the same shape, spacing and translation"
                )
        self.parts = tuple(parts)
        self._grid, self._inside, self._padding_reported = first._grid, first._inside, False
        self.states_geometry = first.states_geometry
        self.path, self.name = " + ".join(part.path for part in parts), first.name
        self.shape = (sum(part.channels for part in parts), *first.spatial_shape)
        self.chunks, self.attributes, self.encoding = first.chunks, first.attributes, None
        self.dtype = np.result_type(*(part.dtype for part in parts))
        self.fill_value = first.fill_value

    @property
    def stored_dtype(self) -> np.dtype:
        """The type that holds those of all parts."""
        return np.result_type(*(part.stored_dtype for part in self.parts))

    @property
    def decoded_bytes(self) -> int:
        """Of all parts together."""
        return sum(part.decoded_bytes for part in self.parts)

    def with_source(self, wrap: Callable[[ArraySource], ArraySource]) -> StackedVolume:
        """The same channels, read from what `wrap` makes of each stored array."""
        twin = copy.copy(self)
        twin.parts = tuple(part.with_source(wrap) for part in self.parts)
        return twin

    def stored_chunks(self, inside_shards: bool = False) -> list[tuple[Triplet, Triplet]]:
        """Boxes of which any part holds data; the whole volume where the parts' fill values differ."""
        if any(part.fill_value != self.fill_value for part in self.parts):
            return [((0, 0, 0), self.spatial_shape)]
        return sorted({box for part in self.parts for box in part.stored_chunks(inside_shards=inside_shards)})

    def fingerprint(self) -> str:
        """Of the parts, in their order."""
        return hashlib.sha256(" ".join(part.fingerprint() for part in self.parts).encode()).hexdigest()

    def _read_inside(self, start: Sequence[int], size: Sequence[int], channels: list[int]) -> np.ndarray:
        blocks, first = {}, 0
        for part in self.parts:
            wanted = [c - first for c in channels if first <= c < first + part.channels]
            if wanted:
                read = part.read(start, size, channels=wanted)
                blocks.update({first + c: block for c, block in zip(wanted, read, strict=True)})
            first += part.channels
        return np.stack([blocks[c] for c in channels]).astype(self.dtype, copy=False)  # C D H W


def open_image(paths: str | Path | Sequence[str | Path], spacing: Sequence[float] | None = None) -> Volume:
    """Open an image: one volume, or several that are stacked as channels.

    Args:
        paths: one path or URL, or several.
        spacing: voxel size z, y, x at which it is read, see `open_resampled`. `None`: as stored.

    Raises:
        FileNotFoundError: where nothing is at a path.
        ValueError: as `StackedVolume` and `open_resampled`.
    """
    volumes = open_stack(paths, spacing)
    return volumes[0] if len(volumes) == 1 else StackedVolume(volumes)
