"""How volumes are predicted."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..geometry import did_you_mean
from ..volumes import check_slice_axes
from .block_layout import usual_chunk_size
from .outputs import check_format
from .views import AXES, PLANES, check_names, check_square
from .windows import Triplet

ON_BAD_CHUNK = ("error", "fill")


@dataclass(frozen=True)
class StreamSettings:
    """How volumes are predicted; the arguments of `ZarrSlidingWindowInferer`, triples for what is per axis."""

    roi_size: Triplet
    batch_size: int
    overlap: tuple[float, ...]
    mode: str
    sigma_scale: tuple[float, ...]
    output: str | None
    output_targets: tuple[str, ...] | None
    activate: bool
    class_output: str
    threshold: float | None
    float_dtype: str
    levels: int | None
    chunk_size: Triplet | None
    shard_size: Triplet | None
    ome_version: str
    block_size: Triplet | None
    skip_empty: bool
    on_bad_chunk: str
    memory_limit: int | None
    scratch: str | None
    resume: bool
    overwrite: bool
    precision: str
    channels_last: bool
    mirror_axes: tuple[str, ...]
    rotation_planes: tuple[str, ...]
    slice_axes: tuple[str, ...] | None
    network_device: torch.device | str | None
    sum_device: torch.device | str | None

    def __post_init__(self) -> None:
        if self.on_bad_chunk not in ON_BAD_CHUNK:
            raise ValueError(
                f"on_bad_chunk must be one of {', '.join(ON_BAD_CHUNK)}; got {self.on_bad_chunk!r}"
                f"{did_you_mean(self.on_bad_chunk, ON_BAD_CHUNK)}"
            )
        if self.output_targets == ():
            raise ValueError("output_targets must name a target, or be null for all of them; got []")
        if self.shard_size is not None and self.chunk_size is None:
            raise ValueError(f"shard_size {list(self.shard_size)} needs chunk_size, of which it holds whole numbers")
        check_format(self.class_output, self.threshold, self.float_dtype)
        check_names("mirror_axes", self.mirror_axes, AXES)
        check_names("rotation_planes", self.rotation_planes, PLANES)
        check_square(self.rotation_planes, self.roi_size)
        if self.slice_axes is not None:
            check_slice_axes(self.slice_axes)

    @property
    def is_augmented(self) -> bool:
        return bool(self.mirror_axes or self.rotation_planes)

    @property
    def windows_at_once(self) -> int:
        """Windows that are evaluated together: one where it is its slices that fill a batch."""
        return self.batch_size if self.slice_axes is None else 1

    @property
    def output_chunk(self) -> Triplet:
        """z, y, x of an output chunk."""
        return self.chunk_size or usual_chunk_size(self.roi_size, self.overlap)

    @property
    def written_together(self) -> Triplet:
        """z, y, x of what is stored in one piece."""
        return self.shard_size or self.output_chunk

    def share(self, part: float) -> int | None:
        """A part of the memory that may be used, bytes."""
        return None if self.memory_limit is None else int(self.memory_limit * part)
