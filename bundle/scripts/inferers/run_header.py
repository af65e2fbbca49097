"""What a run is: everything on which its bytes depend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ..geometry import Target
from ..volumes import Volume
from .block_layout import BlockLayout
from .fingerprint import weights_fingerprint
from .outputs import OutputFormat
from .settings import StreamSettings
from .window_transform import WindowTransform, describe

MACHINE = ("device", "threads")
"""Entries in which runs may differ: how the network's sums are rounded."""


def run_header(
    settings: StreamSettings,
    volume: Volume,
    mask: Volume | None,
    network: Callable[..., Any],
    layout: BlockLayout,
    transform: WindowTransform | None,
    targets: Mapping[str, Target],
    formats: Mapping[str, OutputFormat],
    machine: tuple[str, int],
) -> dict[str, Any]:
    """The settings, inputs and weights of a run, as JSON; two runs of equal headers write equal bytes.

    Args:
        settings: of the run.
        volume: its input.
        mask: its mask.
        network: whose weights count.
        layout: its blocks and chunks.
        transform: of each window.
        targets: rows of what is written.
        formats: per target, what is written.
        machine: type of the device, and number of threads, with which the network computes.
    """
    return {
        "input": volume.path,
        "input_fingerprint": volume.fingerprint(),
        "shape": list(volume.shape),
        "region": [list(layout.grid.offset), list(layout.grid.shape)],
        "mask": None if mask is None else [mask.path, mask.fingerprint()],
        "network": weights_hash(network),
        "roi_size": list(settings.roi_size),
        "overlap": list(settings.overlap),
        "mode": settings.mode,
        "sigma_scale": list(settings.sigma_scale),
        "sw_batch_size": settings.batch_size,
        "window_transform": describe(transform),
        "skip_empty": settings.skip_empty,
        "on_bad_chunk": settings.on_bad_chunk,
        "precision": settings.precision,
        "channels_last": settings.channels_last,
        "mirror_axes": list(settings.mirror_axes),
        "rotation_planes": list(settings.rotation_planes),
        "slice_axes": settings.slice_axes and list(settings.slice_axes),
        "chunk_size": list(settings.output_chunk),
        "shard_size": settings.shard_size and list(settings.shard_size),
        "block_size": list(layout.block_size),
        "levels": settings.levels,
        "ome_version": settings.ome_version,
        "outputs": {
            name: [form.channels, form.dtype, str(targets[name].activation), form.attributes]
            for name, form in formats.items()
        },
        **dict(zip(MACHINE, machine, strict=True)),
    }


def weights_hash(network: Callable[..., Any]) -> str | None:
    """Hash of a network's parameters and buffers; `None` for a plain function."""
    return weights_fingerprint(network) if isinstance(network, torch.nn.Module) else None
