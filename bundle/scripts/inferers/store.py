"""The zarr group that a run's predictions go to: one OME-Zarr image per target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ..blockwise import RunGroup
from ..volumes import Grid, OmeZarrWriter, create_ome_zarr
from ..volumes.paths import join
from ..volumes.zarr_nodes import open_array
from .outputs import OutputFormat
from .partial_sums import SUMS
from .run_header import MACHINE

DONE, MERGED = "done", "merged"
"""Ledgers of a run's folder: of its blocks, and of chunks that no block could write."""

_PYRAMID_THREADS = 4

PARTS = (DONE, MERGED, SUMS)
"""Of the run's folder, besides the header."""


class PredictionStore(RunGroup):
    """The output of one run; may be sent to other processes, which write other chunks.

    Args:
        path: the zarr group, `.zarr` at the end.
        folder: where an unfinished run keeps what it needs to go on; `None`: beside it.
    """

    def __init__(self, path: str, folder: str | None = None) -> None:
        super().__init__(path, folder, MACHINE)
        self._writers: dict[str, OmeZarrWriter] = {}

    @property
    def paths(self) -> dict[str, str]:
        """Where each target's image is."""
        return {name: writer.path for name, writer in self._writers.items()}

    @property
    def writers(self) -> list[OmeZarrWriter]:
        return list(self._writers.values())

    def lacks(self, names: Iterable[str]) -> bool:
        """Whether the image of any of these targets is not there."""
        return not all(_exists(join(self.path, f"{name}/0")) for name in names)

    def create(
        self,
        formats: Mapping[str, OutputFormat],
        shape: Sequence[int],
        grid: Grid,
        *,
        chunk_size: Sequence[int],
        shard_size: Sequence[int] | None,
        levels: int | None,
        version: str,
    ) -> None:
        """Create the images, or open those that are there.

        Args:
            formats: per target, what is written.
            shape: D, H, W.
            grid: geometry.
            chunk_size: z, y, x.
            shard_size: z, y, x; `None`: no shards.
            levels: pyramid levels; `None`: until the longest axis is short.
            version: of OME-Zarr.
        """
        self.create_group(version)
        for name, form in formats.items():
            self._writers[name] = create_ome_zarr(
                join(self.path, name),
                (form.channels, *shape),
                form.dtype,
                spacing=grid.spacing,
                translation=grid.translation,
                unit=grid.unit,
                chunks=chunk_size,
                shards=shard_size,
                levels=levels,
                version=version,
                downsample=form.downsample,
                attributes=form.store_attributes(),
                name=name,
                keep=True,
            )

    def write(self, name: str, start: Sequence[int], values: np.ndarray) -> None:
        """Write one chunk C D H W of a target."""
        self._writers[name].write(start, values)

    def build_levels(self, memory: int | None = None) -> None:
        """Build the coarser levels of every image, in threads.

        Args:
            memory: bytes; `None`: no limit.
        """
        for writer in self._writers.values():
            threads = _PYRAMID_THREADS if memory is None else memory // writer.bytes_per_worker
            writer.finish(workers=min(max(threads, 1), _PYRAMID_THREADS))


def _exists(path: str) -> bool:
    try:
        open_array(path)
    except FileNotFoundError:
        return False
    return True
