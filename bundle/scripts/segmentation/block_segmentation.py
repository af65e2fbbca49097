"""Objects of volumes of any size: blocks find pieces, pieces become objects, blocks write them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..blockwise import (
    DaskWorkers,
    RunFolder,
    RunGroup,
    Threads,
    WorkProgress,
    full_disk_told,
    going_on,
    report_place,
    run_folder_path,
)
from ..volumes import (
    CannotListError,
    Grid,
    OmeZarrWriter,
    create_ome_zarr,
    is_url,
    open_volume,
    touched_blocks,
)
from ..volumes.paths import join, repair_url
from ..volumes.pyramid import count_levels
from .block_grid import Block, BlockGrid, Triplet, usual_block
from .block_holes import filled
from .filters import keep_objects
from .inputs import Array
from .object_job import DONE, LINKS, MAPS, PIECES, ObjectJob, block_of, key
from .objects import ObjectTable
from .piece_files import gather_links, gather_pieces, offsets_of
from .pieces import Pieces, number_objects, table_csv, to_bytes
from .segmenter import Segmenter

logger = logging.getLogger(__name__)

_CHUNK: Triplet = (64, 64, 64)
_USUAL_BLOCK = 192**3
_BYTES_PER_VOXEL = 64
"""Of a block: inputs as float32, labels, and what algorithms make of them."""


class BlockSegmentation:
    """Finds the objects of a volume block by block and writes them as `<output>.zarr/<segmentation>`.

    A run that is killed goes on where it stopped. Beside the output comes a table of the objects of each segmentation,
    `<output>_<segmentation>.csv`: id, size in voxels, physical size, box, whether it touches the volume's border.

    Args:
        inputs: name -> path of a volume; all on one grid.
        segmenter: what finds objects.
        output: the zarr group that is written.
        min_size, max_size: sizes of objects that stay, voxels, both included; `None`: no limit.
        physical_sizes: whether those are physical volumes.
        largest: how many of the largest objects stay; `None`: all.
        drop_border: whether objects that touch the volume's border go.
        fill_holes: voxels that a hole of an object may have to be filled: background that faces this object alone and
            does not reach the volume's border; `None`: holes stay. Holes count for the sizes.
        block_size: z, y, x, multiples of `chunk_size`; `None`: as memory allows. Fragments depend on it,
            components do not.
        chunk_size: z, y, x of a chunk of the output.
        levels: pyramid levels; `None`: until the longest axis is short.
        ome_version: `0.5` (zarr v3) or `0.4` (zarr v2).
        memory_limit: bytes for the blocks that are worked on at the same time; `None`: no limit.
        workers: `Threads(n)` of this process, or `DaskWorkers`; `None`: one thread.
        scratch: folder for what an unfinished run needs; `None`: beside the output.
        resume: whether to go on with an unfinished run of the same settings.
        overwrite: whether to replace what the output holds.

    Raises:
        ValueError: for inputs that are not on one grid, or that the segmenter does not know or lacks.
    """

    def __init__(
        self,
        inputs: Mapping[str, str | Path],
        segmenter: Segmenter,
        output: str | Path,
        *,
        min_size: float | None = None,
        max_size: float | None = None,
        physical_sizes: bool = False,
        largest: int | None = None,
        drop_border: bool = False,
        fill_holes: int | None = None,
        block_size: Sequence[int] | int | None = None,
        chunk_size: Sequence[int] | int | None = None,
        levels: int | None = None,
        ome_version: str = "0.5",
        memory_limit: int | None = None,
        workers: Threads | DaskWorkers | None = None,
        scratch: str | Path | None = None,
        resume: bool = True,
        overwrite: bool = False,
    ) -> None:
        missing = [name for name in segmenter.names if name not in inputs]
        if missing or not segmenter.names:
            wanted = f"{type(segmenter).__name__} reads {', '.join(segmenter.names)}"
            raise ValueError(f"{wanted}; inputs are {', '.join(inputs) or 'none'}")
        self.volumes = {name: open_volume(inputs[name]) for name in segmenter.names}
        if fill_holes is not None and segmenter.shares_ids:
            raise ValueError(f"fill_holes does not go with {type(segmenter).__name__}; fill the holes of its mask")
        self.segmenter, self.fill_holes = segmenter, fill_holes
        self.filters = {
            "min_size": min_size,
            "max_size": max_size,
            "largest": largest,
            "drop_border": drop_border,
            "physical_sizes": physical_sizes,
        }
        self.levels, self.ome_version, self.resume, self.overwrite = levels, ome_version, resume, overwrite
        self.workers = workers or Threads()
        first = next(iter(self.volumes.values()))
        for volume in self.volumes.values():
            if volume.spatial_shape != first.spatial_shape:
                raise ValueError(
                    f"inputs must lie on one grid: {first.path} has {first.spatial_shape} voxels, "
                    f"{volume.path} has {volume.spatial_shape}"
                )
        count_levels(first.spatial_shape, first.spacing, levels)  # refused here, not after all blocks
        self.shape, self.geometry = first.spatial_shape, Grid(first.spacing, first.translation, first.unit)
        self.chunk = _triple(chunk_size) or _CHUNK
        at_once = self.workers.threads if isinstance(self.workers, Threads) else 1
        voxels = _USUAL_BLOCK if memory_limit is None else memory_limit // (_BYTES_PER_VOXEL * at_once)
        block = _triple(block_size) or usual_block(self.shape, self.chunk, min(voxels, _USUAL_BLOCK))
        if any(b % c for b, c in zip(block, self.chunk, strict=True)):
            raise ValueError(f"block_size {list(block)} must hold whole chunks of {list(self.chunk)} voxels")
        self.grid = BlockGrid(self.shape, block)
        path = repair_url(str(output)).rstrip("/")
        path = path if path.endswith(".zarr") else f"{path}.zarr"
        self.group = RunGroup(path, run_folder_path(path, None if scratch is None else str(scratch)))
        self._pieces_path = f"{self.group.folder.path}.pieces.zarr"

    def run(self) -> dict[str, str]:
        """Find the objects, or go on, or see that it is done.

        Returns:
            path of each segmentation.
        """
        path = self.group.path
        with (
            full_disk_told(path, lambda: "What is finished stays"),
            going_on(lambda: f"{path}: start the same run again to go on from there"),
        ):
            return self._run()

    def _run(self) -> dict[str, str]:
        begun = time.monotonic()
        if self.overwrite:
            self.group.remove()
            _remove(self._pieces_path)
        header = self._header()
        if self.group.begin(header, resume=self.resume):
            return {name: join(self.group.path, name) for name in self._finished()}
        self.group.create_group(self.ome_version)
        job = self._job()
        with self.workers.pool() as pool:
            blocks = self._active_blocks()
            self._step(pool, job, "label", PIECES, blocks)
            pieces, counts, job.n_objects = gather_pieces(self.group.folder, blocks, self.segmenter.shares_ids)
            job.offsets = {} if self.segmenter.shares_ids else offsets_of(counts)
            if self.segmenter.connectivity or self.segmenter.reach or job.has_background:
                self._step(pool, job, "link", LINKS, blocks)
                gather_links(self.group.folder, pieces)
            tables = self._solve(job, pieces, counts)
            self._step(pool, job, "write", DONE, list(counts))
        for writer in job.outputs.values():
            writer.finish(workers=2)
        outputs = {name: writer.path for name, writer in job.outputs.items()}
        inputs = {name: volume.path for name, volume in self.volumes.items()}
        summary = {
            "inputs": inputs,
            "outputs": outputs,
            "objects": {name: len(table) for name, table in tables.items()},
            "blocks": len(blocks),
            "pieces": len(pieces.table),
            "seconds": round(time.monotonic() - begun, 3),
            "settings": header,
        }
        self.group.finish(inputs, header, lambda: self._report(summary, tables))
        _remove(self._pieces_path)
        return outputs

    def _job(self) -> ObjectJob:
        writer = create_ome_zarr(
            self._pieces_path,
            (1, *self.shape),
            "uint64" if self.segmenter.shares_ids else "uint32",
            spacing=self.geometry.spacing,
            chunks=self.chunk,
            keep=True,
        )
        return ObjectJob(
            self.volumes,
            self.segmenter,
            self.grid,
            self.group.folder,
            writer,
            has_background=self.fill_holes is not None,
        )

    def _step(self, pool: Any, job: ObjectJob, method: str, part: str, blocks: Iterable[Block]) -> None:
        """Call a method for all blocks that have no file of this part yet."""
        done = {block_of(name) for name in self.group.folder.read_all(f"{part}/")}
        calls = [(method, block) for block in blocks if block not in done]
        begun = time.monotonic()
        with WorkProgress(f"{method} {Path(self.group.path).name}", len(calls), "blocks") as progress:
            for _ in pool.map(job, calls):
                progress.advance()
        logger.info(
            "%s: %s %d blocks, %d were done, %.1f s", self.group.path, method, len(calls), len(done),
            time.monotonic() - begun,
        )  # fmt: skip

    def _solve(self, job: ObjectJob, pieces: Pieces, counts: Mapping[Block, Array]) -> dict[str, ObjectTable]:
        """Objects of each segmentation; tells every block what becomes of its pieces."""
        solved = self.segmenter.solve(pieces) if len(pieces.table) else {}
        maps: dict[str, Array] = {}
        tables = {}
        is_background = np.concatenate(
            [np.zeros(0, bool), *(np.arange(len(ids)) >= job.n_objects[block] for block, ids in counts.items())]
        )
        for name, objects in solved.items():
            if self.fill_holes is not None:
                objects = filled(pieces, objects, is_background, self.fill_holes)
            maps[name], tables[name] = number_objects(pieces.table, objects, self._kept)
        if not solved:
            maps, tables = {"objects": np.zeros(0, np.uint8)}, {"objects": pieces.table}
        job.outputs = {name: self._writer(name, maps[name].dtype) for name in maps}
        at = 0
        for block, ids in counts.items():
            part = {name: numbers[at : at + len(ids)] for name, numbers in maps.items()}
            self.group.folder.write(key(MAPS, block), to_bytes({"pieces": ids, **part}))
            at += len(ids)
        return tables

    def _kept(self, table: ObjectTable) -> Array:
        filters = {name: value for name, value in self.filters.items() if name != "physical_sizes"}
        spacing = self.geometry.spacing if self.filters["physical_sizes"] else None
        return keep_objects(table, **filters, spacing=spacing)  # type: ignore[arg-type]

    def _writer(self, name: str, dtype: np.dtype[Any]) -> OmeZarrWriter:
        return create_ome_zarr(
            join(self.group.path, name),
            (1, *self.shape),
            dtype,
            spacing=self.geometry.spacing,
            translation=self.geometry.translation,
            unit=self.geometry.unit,
            chunks=self.chunk,
            levels=self.levels,
            version=self.ome_version,
            downsample="mode",
            attributes={"polytome": {"kind": "instances"}},
            name=name,
            keep=True,
        )

    def _active_blocks(self) -> list[Block]:
        """Blocks that may hold something, found without reading, in array order."""
        where = self.segmenter.where if self.fill_holes is None else None  # holes may be where nothing is stored
        volume = None if where is None else self.volumes[where]
        if volume is not None and not volume.decode(np.full((volume.channels, 1, 1, 1), volume.fill_value)).any():
            with contextlib.suppress(CannotListError):
                return sorted(touched_blocks(volume.stored_chunks(inside_shards=True), self.grid.block_size))
        return list(self.grid)

    def _header(self) -> dict[str, Any]:
        return {
            "inputs": {name: [volume.path, volume.fingerprint()] for name, volume in self.volumes.items()},
            "segmenter": [type(self.segmenter).__name__, _described(dataclasses.asdict(self.segmenter))],
            "filters": {**self.filters, "fill_holes": self.fill_holes},
            "block_size": list(self.grid.block_size),
            "chunk_size": list(self.chunk),
            "levels": self.levels,
            "ome_version": self.ome_version,
        }

    def _finished(self) -> list[str]:
        folder, name = report_place(self.group.path)
        report = RunFolder(folder).read(name)
        return list(json.loads(report)["outputs"]) if report else []

    def _report(self, summary: Mapping[str, Any], tables: Mapping[str, ObjectTable]) -> None:
        folder, name = report_place(self.group.path)
        place, stem = RunFolder(folder), name.removesuffix(".json")
        for segmentation, table in tables.items():
            place.sweep(f"{stem}_{segmentation}.csv")
            place.write(f"{stem}_{segmentation}.csv", table_csv(table, self.geometry.spacing))
        place.sweep(name)
        place.write(name, (json.dumps(summary, indent=1) + "\n").encode())


def _described(value: Any) -> Any:
    """Settings as JSON; functions by their names."""
    if isinstance(value, Mapping):
        return {name: _described(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_described(entry) for entry in value]
    if callable(value):
        return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__name__)}"
    return value


def _remove(path: str) -> None:
    RunFolder(path).remove() if is_url(path) else shutil.rmtree(path, ignore_errors=True)


def _triple(value: Sequence[int] | int | None) -> Triplet | None:
    if value is None:
        return None
    z, y, x = (value,) * 3 if isinstance(value, int) else value
    return int(z), int(y), int(x)
