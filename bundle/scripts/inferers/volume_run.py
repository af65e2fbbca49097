"""The prediction of one volume, from its settings to the finished store."""

from __future__ import annotations

import contextlib
import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data.utils import compute_importance_map

from ..blockwise import Ledger, RunFolder, full_disk_told, going_on, report_place, run_folder_path
from ..geometry import Target, parse_targets
from ..volumes import CannotListError, Grid, Volume, open_resampled, tolerant_volume, write_nifti
from .block_job import BlockJob
from .block_layout import Block, BlockLayout, usual_block_size
from .block_reader import BlockReader
from .ensemble import Ensemble
from .executor import Executor
from .output_paths import nifti_suffix, output_path
from .outputs import output_format, raw_format
from .partial_sums import PartialSums
from .predictor import Predictor
from .progress import RunProgress
from .run_header import run_header
from .settings import StreamSettings
from .store import DONE, MERGED, PARTS, PredictionStore
from .streaming import InProcess
from .totals import Totals
from .window_network import window_network
from .window_transform import WindowTransform, bound
from .windows import window_grid

logger = logging.getLogger(__name__)

_CHUNK_CACHE = 1_000_000_000
"""Bytes of decoded input chunks that are kept where there is no limit."""


class VolumeRun:
    """Predicts one volume.

    Args:
        settings: how.
        volume: the input.
        network: windows B C D H W -> dictionary target -> B K D H W of raw output.
        targets: the `targets` table; `None`: that of the network.
        window_transform: of each window.
        region: first voxel and the one after the last of what is predicted, z y x; `None`: all of the volume.
        mask: path of a volume on any grid, or a volume on that of the input, whose voxels other than 0 say where
            windows are predicted; `None`: everywhere.
        executor: where blocks are predicted; `None`: in this process.
    """

    def __init__(
        self,
        settings: StreamSettings,
        volume: Volume,
        network: Callable[..., Any],
        targets: Mapping[str, Any] | None,
        window_transform: WindowTransform | None,
        *,
        region: Sequence[Sequence[int]] | None = None,
        mask: Volume | str | None = None,
        executor: Executor | None = None,
    ) -> None:
        self.settings, self.volume, self.network = settings, volume, network
        self.targets = written_targets(network, targets, settings.output_targets)
        # what is damaged must not stop the statistics either, where it may be damaged
        whole = tolerant_volume(volume) if settings.on_bad_chunk == "fill" else volume
        self.transform = bound(window_transform, whole)
        self.grid = window_grid(volume.spatial_shape, settings.roi_size, settings.overlap, region)
        self.mask = _opened_mask(mask, volume)
        self.executor = executor or InProcess()
        self.formats = {
            name: output_format(
                target,
                class_output=settings.class_output,
                threshold=settings.threshold,
                float_dtype=settings.float_dtype,
            )
            if settings.activate
            else raw_format(target.channels)
            for name, target in self.targets.items()
        }
        self.nifti = nifti_suffix(settings.output)
        if self.nifti:
            self._check_nifti_size()
        path = output_path(settings.output, volume)
        self.store = PredictionStore(path, run_folder_path(path, settings.scratch))

    def run(self) -> tuple[dict[str, str], Totals]:
        """Predict, or go on, or find that it is done.

        Returns:
            path of each target's image, and what the run did.
        """
        with full_disk_told(self.store.path, lambda: "Nothing is predicted yet"):
            layout, header, is_done = self._begin()
        done = Totals(windows=len(self.grid), resumed=len(self.grid))
        totals = done if is_done else self._predict(layout, header)
        return (self._write_nifti() if self.nifti else self.store.paths), totals

    def _begin(self) -> tuple[BlockLayout, Mapping[str, Any], bool]:
        """Claim the output, and create the images; also tells whether the run is finished already."""
        if self.settings.overwrite:
            self.store.remove()
        layout = self._layout(self.store.stored_header())
        machine = _device_of(self.network, self.settings.network_device).type, self.executor.threads
        header = run_header(
            self.settings,
            self.volume,
            self.mask,
            self.network,
            layout,
            self.transform,
            self.targets,
            self.formats,
            machine,
        )
        is_begun = self.store.stored_header() is not None
        is_done = self.store.begin(header, resume=self.settings.resume)
        if is_begun and self.store.lacks(self.formats):  # somebody has deleted what was written
            self.store.forget(header, PARTS)
            is_done = False
        try:
            self._create()
        except (ValueError, OSError):  # a setting that cannot be, a folder that may not be written
            if not is_begun:
                self.store.remove()
            raise
        return layout, header, is_done

    def _create(self) -> None:
        self.store.create(
            self.formats,
            self.grid.shape,
            self._geometry(),
            chunk_size=self.settings.output_chunk,
            shard_size=self.settings.shard_size,
            levels=self.settings.levels,
            version=self.settings.ome_version,
        )

    def _predict(self, layout: BlockLayout, header: Mapping[str, Any]) -> Totals:
        ledger, merged = (Ledger(self.store.folder, part) for part in (DONE, MERGED))
        ledger.load()
        merged.load()
        active = self._active_blocks(layout)
        blocks = [block for block in (layout.blocks() if active is None else sorted(active)) if block not in ledger]
        windows_here = sum(map(layout.n_windows, blocks))
        resumed = sum(layout.n_windows(block) for block, _ in ledger.items())
        totals = Totals(windows=len(self.grid), skipped=len(self.grid) - windows_here - resumed, resumed=resumed)
        n_blocks = len(ledger) + len(blocks)
        progress = RunProgress(self.volume.name, totals)
        job = self._job(layout, active, ledger, merged)

        def finished() -> str:
            return f"{len(ledger)} of {n_blocks} blocks are finished and stay"

        def how_to_go_on() -> str:
            return f"{self.store.path}: {finished()}; start the same run again to go on from there"

        try:
            with full_disk_told(self.store.path, finished), going_on(how_to_go_on):
                self.executor.run(job, blocks, progress)
                self.store.finish(self.volume.path, header, lambda: self._report(progress.close(), header))
        finally:
            progress.close()
        return totals

    def _job(self, layout: BlockLayout, active: frozenset[Block] | None, ledger: Ledger, merged: Ledger) -> BlockJob:
        settings = self.settings
        network = window_network(self.network, self.targets, settings, self.volume.spacing)
        device, cache = _device_of(self.network, settings.network_device), settings.share(1 / 4)
        return BlockJob(
            reader=BlockReader(
                self.volume,
                self.mask,
                layout,
                settings.windows_at_once,
                settings.skip_empty,
                tolerant=settings.on_bad_chunk == "fill",
                pinned=device.type == "cuda",
            ),
            layout=layout,
            active=active,
            predictor=Predictor(
                network, self.targets, self.transform, device, settings.precision, settings.channels_last
            ),
            formats=self.formats,
            weight=window_weight(settings),
            store=self.store,
            partials=PartialSums(self.store.folder, settings.share(1 / 4)),
            ledger=ledger,
            merged=merged,
            sum_device=settings.sum_device,
            cache_bytes=_CHUNK_CACHE if cache is None else min(cache, _CHUNK_CACHE),
            activate=settings.activate,
            level_memory=settings.share(1 / 2),
        )

    def _layout(self, stored: Mapping[str, Any] | None) -> BlockLayout:
        """Blocks and chunks; an unfinished run keeps its blocks, whatever memory there is now."""
        written_together = self.settings.written_together
        block_size = self.settings.block_size
        if block_size is None and stored is not None:
            kept = tuple(stored.get("block_size", ()))
            if len(kept) == 3 and not any(b % c for b, c in zip(kept, written_together, strict=True)):
                block_size = kept
        if block_size is None:
            channels = sum(target.channels for target in self.targets.values())
            # two blocks of voxels, and of float32 sums and weights
            cost = 2 * (self.volume.channels * self.volume.dtype.itemsize + 4 * (channels + 1))
            block_size = usual_block_size(self.grid, written_together, cost, self.settings.share(1 / 2))
        return BlockLayout(self.grid, written_together, block_size)

    def _active_blocks(self, layout: BlockLayout) -> frozenset[Block] | None:
        """Blocks that may hold something to predict, found without reading; `None`: all."""
        found: frozenset[Block] | None = None
        # what is not stored of a mask is as its fill value says
        masks = [self.mask] if self.mask is not None and not self.mask.fill_value else []
        for volume in ([self.volume] if self.settings.skip_empty else []) + masks:
            with contextlib.suppress(CannotListError):
                boxes = (
                    (tuple(s - o for s, o in zip(start, self.grid.offset, strict=True)), size)
                    for start, size in volume.stored_chunks(inside_shards=True)
                )
                touched = frozenset(layout.touched_by(boxes))
                found = touched if found is None else found & touched
        return found

    def _check_nifti_size(self) -> None:
        """NIfTI is written from memory."""
        for name, form in self.formats.items():
            itemsize = 4 if form.encoding is not None else max(np.dtype(form.dtype).itemsize, 1)
            needed = form.channels * math.prod(self.grid.shape) * itemsize
            if self.settings.memory_limit is not None and needed > self.settings.memory_limit:
                raise ValueError(
                    f"'{name}' as NIfTI takes {needed:,} bytes of memory, more than memory_limit = "
                    f"{self.settings.memory_limit:,}; write OME-Zarr (output ending in .zarr), or raise the limit"
                )

    def _write_nifti(self) -> dict[str, str]:
        """Every target as NIfTI beside the OME-Zarr."""
        stem = self.store.path.removesuffix(".zarr")
        return {
            name: write_nifti(f"{stem}_{name}{self.nifti}", path, like=self.volume, overwrite=True)
            for name, path in self.store.paths.items()
        }

    def _geometry(self) -> Grid:
        shift = zip(self.volume.translation, self.volume.spacing, self.grid.offset, strict=True)
        z, y, x = (t + s * o for t, s, o in shift)
        return Grid(self.volume.spacing, (z, y, x), self.volume.unit)

    def _report(self, summary: Mapping[str, Any], header: Mapping[str, Any]) -> None:
        """Log the totals, and write them beside the output."""
        logger.info(
            "%s -> %s: %s",
            self.volume.path,
            self.store.path,
            ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in summary.items() if name != "bad_chunks"),
        )
        for fault in summary["bad_chunks"]:
            logger.warning("%s", fault)
        content = {"input": self.volume.path, "outputs": self.store.paths, **summary, "settings": header}
        folder, name = report_place(self.store.path)
        place = RunFolder(folder)
        place.sweep(name)
        place.write(name, (json.dumps(content, indent=1) + "\n").encode())


def written_targets(
    network: Callable[..., Any], targets: Mapping[str, Any] | None, names: Sequence[str] | None
) -> dict[str, Target]:
    """Rows of the `targets` table that are written.

    Args:
        network: whose `targets` count where the table is `None`.
        targets: the table.
        names: which; `None`: all.

    Raises:
        ValueError: where there is no table, or it lacks a name.
    """
    found = targets or getattr(network, "targets", None)
    if not found:
        raise ValueError("a volume needs 'targets', which say what the network's outputs are; the network names none")
    table = parse_targets(found)
    if isinstance(network, Ensemble):  # what it adds to its members' outputs
        table |= {name: row for name, row in network.targets.items() if name not in network.member_targets}
    wanted = list(table) if names is None else names
    if unknown := [name for name in wanted if name not in table]:
        raise ValueError(f"output_targets {unknown} are no targets; targets: {', '.join(table)}")
    return {name: table[name] for name in wanted}


def window_weight(settings: StreamSettings) -> np.ndarray:
    """Weight of each voxel of a window, D H W float32; MONAI's."""
    return compute_importance_map(
        settings.roi_size, mode=settings.mode, sigma_scale=settings.sigma_scale, dtype=torch.float32
    ).numpy()


def _device_of(network: Callable[..., Any], device: torch.device | str | None) -> torch.device:
    if device is not None:
        return torch.device(device)
    parameters = network.parameters() if isinstance(network, torch.nn.Module) else iter(())
    return next((parameter.device for parameter in parameters), torch.device("cpu"))


def _opened_mask(mask: Volume | str | None, volume: Volume) -> Volume | None:
    if mask is None or isinstance(mask, Volume):
        opened = mask
    else:
        opened = open_resampled(mask, volume.spacing, "nearest", like=volume)
    if opened is not None and opened.spatial_shape != volume.spatial_shape:
        raise ValueError(f"the mask {opened.path} has shape {opened.spatial_shape}, the image {volume.spatial_shape}")
    return opened
