"""The zarr group that a run's predictions go to: one OME-Zarr image per target, and the journal of the run."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from ..blockwise import Journal
from ..volumes import OmeZarrWriter, Volume, create_ome_zarr
from .outputs import OutputFormat

JOURNAL = "polytome_run.jsonl"


class PredictionStore:
    """Creates, or goes on with, the output of one run.

    Args:
        path: the zarr group.
        volume: the input, whose geometry the output takes.
        formats: per target, what is written.
        header: all settings on which the bytes depend.
        chunk_size: z, y, x.
        levels: pyramid levels; `None`: until the longest axis is short.
        resume: go on with an unfinished run of the same header.
        overwrite: replace what is there.

    Raises:
        FileExistsError: if the path exists and is no such run, or `resume` is false.
        ValueError: if it is a run with another header.
    """

    def __init__(
        self,
        path: Path,
        volume: Volume,
        formats: Mapping[str, OutputFormat],
        header: Mapping[str, Any],
        *,
        chunk_size: Sequence[int],
        levels: int | None,
        resume: bool,
        overwrite: bool,
    ) -> None:
        self.path = path
        self.paths = {name: str(path / name) for name in formats}
        journal_path = path / JOURNAL
        if overwrite and path.exists():
            shutil.rmtree(path)
        if path.exists() and not journal_path.exists():
            raise FileExistsError(
                f"{path} exists and is no prediction of this bundle; choose another output or overwrite = true"
            )
        if path.exists() and not resume:
            raise FileExistsError(f"{path} exists; give resume = true, overwrite = true, or another output")
        goes_on = journal_path.exists()
        # the journal comes first: a run killed before anything else stands here is still known as this bundle's
        path.mkdir(parents=True, exist_ok=True)
        self.journal = Journal(journal_path, header)
        zarr.open_group(str(path), mode="a", attributes={"polytome": {"input": volume.path}})
        self._writers: dict[str, OmeZarrWriter] = {
            name: create_ome_zarr(
                path / name,
                (form.channels, *volume.spatial_shape),
                form.dtype,
                spacing=volume.spacing,
                translation=volume.translation,
                unit=volume.unit,
                chunks=chunk_size,
                levels=levels,
                downsample=form.downsample,
                attributes=form.store_attributes(),
                name=name,
                keep=goes_on,
            )
            for name, form in formats.items()
        }

    def write(self, name: str, start: Sequence[int], values: np.ndarray) -> None:
        """Write one chunk C D H W of a target."""
        self._writers[name].write(start, values)

    def finish(self) -> None:
        """Build the pyramids and close the journal."""
        for writer in self._writers.values():
            writer.finish()
        self.journal.finish()
