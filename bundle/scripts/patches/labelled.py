"""Which voxels of a stored array count as labelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..geometry import Kind, parse_targets, stored_kinds
from ..volumes import ResampledVolume, Volume, lattice
from .bits import Bits, pack
from .groups import Box, join_boxes
from .table import open_array

RUN_VOXELS = 4 * 2**20
"""Most voxels that are read at once, unless a single chunk has more."""

_MOST_CHUNKS = 20_000


class LabelledVoxels:
    """The labelled voxels of one array of a volume, read box by box.

    A voxel of a label is labelled where it is above 0 and not the `ignore_label` of a target that is read from the
    array; of another kind, where a channel is neither 0 nor NaN. Where such a target names a mask that the volume
    carries, voxels with mask 0 do not count.

    Args:
        row: the volume's row of the `volumes` table.
        key: the array.
        targets: the `targets` table, if there is one.
        low: first voxel of the range that is looked at, z, y, x.
        high: its last voxel plus one.
    """

    def __init__(
        self,
        row: Mapping[str, Any],
        key: str,
        targets: Mapping[str, Any] | None,
        low: Sequence[int] | None = None,
        high: Sequence[int] | None = None,
    ) -> None:
        self.key = key
        self.array: Volume = _by_nearest(open_array(row, key, targets))
        readers = [t for t in parse_targets(targets).values() if t.stored_key == key] if targets else []
        self.ignored = sorted({t.ignore_label for t in readers if t.ignore_label is not None})
        masks = [t.mask for t in readers if t.mask is not None and row.get(t.mask) is not None]
        self.mask_key = masks[0] if masks and masks[0] != key else None
        self.mask: Volume | None = None if self.mask_key is None else open_array(row, self.mask_key, targets)
        kinds = stored_kinds(targets) if targets else {}
        is_label = self.array.dtype.kind != "f" and self.array.encoding is None and self.array.channels == 1
        self.kind = kinds.get(key, Kind.LABEL if is_label else Kind.SCALAR)
        self.low = [0, 0, 0] if low is None else list(low)
        self.high = list(self.array.spatial_shape) if high is None else list(high)

    def describe(self) -> dict[str, Any]:
        """Everything on which the answer depends, for the header of a cache."""
        arrays = {"array": self.array} | ({} if self.mask is None else {"mask": self.mask})
        return {
            "key": self.key,
            "ignore_label": self.ignored,
            **{
                name: {
                    "path": array.path,
                    "shape": list(array.shape),
                    "spacing": list(array.spacing),
                    "dtype": str(array.dtype),
                    "fingerprint": array.fingerprint(),
                }
                for name, array in arrays.items()
            },
        }

    def boxes(self) -> list[Box]:
        """Start and size of what is read at once: neighbouring stored chunks, cut at the range's border.

        Raises:
            ValueError: where absent chunks count as labelled and there are too many of them to read.
        """
        return join_boxes(self._clipped(self._stored()), RUN_VOXELS)

    def bits(self, box: Box) -> Bits:
        """Read a box and pack its labelled voxels."""
        return pack(self._labelled_box(box), box[0])

    def labelled_box(self, box: Box) -> np.ndarray:
        """D H W bool: which voxels of a box are labelled."""
        return np.asarray(self._labelled_box(box) != 0)

    def _labelled_box(self, box: Box) -> np.ndarray:
        labelled = self.labelled(self.array.read(*box))
        if self.mask is not None and labelled.any():
            labelled = (labelled != 0) & (self.mask.read(*box) > 0).any(axis=0)
        return labelled

    def labelled(self, block: np.ndarray) -> np.ndarray:
        """C D H W as stored -> D H W, not 0 where labelled."""
        if self.kind is not Kind.LABEL:
            if self.array.encoding is not None and not self.array.encoding.zero_is_missing:
                block = self.array.decode(block)
            return np.asarray(((block != 0) & (block == block)).any(axis=0))  # NaN differs from itself
        if block.dtype.kind not in "bu":
            marked = block > 0
        elif len(block) == 1 and not self.ignored and block.dtype.itemsize == 1:
            return np.asarray(block[0])
        else:
            marked = block != 0
        for value in self.ignored:
            marked &= block != value
        return np.asarray(marked.any(axis=0))

    def _stored(self) -> list[Box]:
        fill = np.full((self.array.channels, 1, 1, 1), self.array.fill_value, self.array.dtype)
        if not self.labelled(fill).any():
            return self.array.stored_chunks(inside_shards=True)
        every = lattice(self.array.spatial_shape, self.array.chunks)
        boxes = [box for box, _ in zip(every, range(_MOST_CHUNKS + 1), strict=False)]
        if len(boxes) > _MOST_CHUNKS:
            raise ValueError(
                f"{self.array.path}: chunks that are not stored have the value {self.array.fill_value}, which counts "
                f"as labelled, so that all of its more than {_MOST_CHUNKS} chunks would be read. Write the array with "
                f"fill value 0, name {self.array.fill_value} in 'ignore_label', or give a 'region'"
            )
        return boxes

    def _clipped(self, boxes: Sequence[Box]) -> list[Box]:
        if not boxes:
            return []
        start = np.array([box[0] for box in boxes])
        stop = np.minimum(start + [box[1] for box in boxes], self.high)
        start = np.maximum(start, self.low)
        kept = (start < stop).all(axis=1)
        pairs = zip(start[kept].tolist(), (stop - start)[kept].tolist(), strict=True)
        return sorted(((z, y, x), (d, h, w)) for (z, y, x), (d, h, w) in pairs)


def _by_nearest(array: Volume) -> Volume:
    """An array whose stored boxes share no voxel: what lies between voxels of two chunks belongs to one of them."""
    return array.with_mode("nearest") if isinstance(array, ResampledVolume) else array
