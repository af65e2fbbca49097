"""A zarr group that one run fills, which may be killed at any moment and go on."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import zarr
from zarr.core.sync import sync

from ..volumes import is_url
from ..volumes.encoding import ATTRIBUTE
from ..volumes.stores import open_store
from ..volumes.zarr_nodes import open_group
from .headers import as_json, header_differences
from .run_folder import RunFolder

logger = logging.getLogger(__name__)

_HEADER = "header.json"
_RUN = "run"

_UNFINISHED_FILES = ("*.partial", "*.__lock")
"""Of zarr-python and of tensorstore."""


class RunGroup:
    """The output of one run, local or in a bucket; may be sent to other processes.

    While the run is unfinished, what it is stands in a folder beside the output, `x.run` for `x.zarr`, with everything
    that is needed to go on; when it is finished, in the output's own attributes.

    Args:
        path: the zarr group, `.zarr` at the end.
        folder: that folder, where it is another one.
        may_differ: entries of the header with which a run may go on though they have changed.
    """

    def __init__(self, path: str, folder: str | None = None, may_differ: tuple[str, ...] = ()) -> None:
        self.path = path
        self.folder = RunFolder(folder or f"{path.removesuffix('.zarr')}.run")
        self.may_differ = may_differ

    def stored_header(self) -> dict[str, Any] | None:
        """What the run was that is here, finished or not; `None` where there is none."""
        finished = self._finished_header()
        if finished is not None:
            return finished
        content = self.folder.read(_HEADER)
        return None if content is None else json.loads(content)

    def remove(self) -> None:
        """Delete the output, and what an unfinished run left beside it.

        Raises:
            FileExistsError: where the path holds anything but a zarr group.
        """
        if not self._is_free() and self.folder.read(_HEADER) is None and self._attributes() is None:
            raise FileExistsError(f"{self.path} exists and is no zarr group, so overwrite = true does not replace it")
        self._check_folder()
        _remove(self.path)
        if self.folder.read(_HEADER) is not None:
            self.folder.remove()

    def begin(self, header: Mapping[str, Any], *, resume: bool) -> bool:
        """Claim the path for a run.

        Args:
            header: all settings on which the bytes depend.
            resume: go on with an unfinished run of the same header.

        Returns:
            whether the run is finished already.

        Raises:
            FileExistsError: if the path exists and is no such run, or `resume` is false.
            ValueError: if it is a run with another header; the message names what differs.
        """
        stored = self.stored_header()
        if stored is None:
            if not self._is_free():
                raise FileExistsError(
                    f"{self.path} exists and was not written by this bundle; choose another output or overwrite = true"
                )
            self._check_folder()
            # this comes first: a run killed before anything else stands here is still known as this bundle's
            self.folder.write(_HEADER, json.dumps(header).encode())
            return False
        if not resume:
            raise FileExistsError(f"{self.path} exists; give resume = true, overwrite = true, or another output")
        wanted, kept = as_json(header), {key: stored[key] for key in self.may_differ if key in stored}
        if differences := header_differences(stored, wanted | kept):
            raise ValueError(
                f"{self.path} holds a run with other settings: {'; '.join(differences)}. Give the same settings to go "
                "on with it, another output, or overwrite = true to start anew"
            )
        if self._finished_header() is not None:
            if self.folder.read(_HEADER) is not None:  # killed before it was gone
                self.folder.remove()
            return True
        if differences := header_differences(kept, {key: wanted.get(key) for key in kept}):
            logger.warning(
                "%s goes on with %s: numbers may be rounded otherwise than in the blocks that are finished",
                self.path,
                "; ".join(differences),
            )
        _sweep(self.path)
        return False

    def forget(self, header: Mapping[str, Any], parts: tuple[str, ...]) -> None:
        """Begin anew, since some of what the run has written is gone.

        Args:
            header: of the run.
            parts: of its folder, which are deleted.
        """
        self.folder.write(_HEADER, json.dumps(header).encode())
        if self._finished_header() is not None:
            group = zarr.open_group(open_store(self.path, read_only=False), mode="r+")
            group.attrs.pop(ATTRIBUTE)
        for part in parts:
            self.folder.remove(part)

    def create_group(self, version: str) -> None:
        """Create the group, or open the one that is there.

        Args:
            version: of OME-Zarr.
        """
        store = open_store(self.path, read_only=False)
        zarr.open_group(store, mode="a", zarr_format=3 if version == "0.5" else 2)

    def finish(self, source: Any, header: Mapping[str, Any], report: Callable[[], None] | None = None) -> None:
        """Note that the run is finished.

        Args:
            source: path of the input; JSON.
            header: of the run.
            report: called when all voxels are written, before the run counts as finished.
        """
        if report is not None:
            report()
        group = zarr.open_group(open_store(self.path, read_only=False), mode="r+")
        group.attrs.update({ATTRIBUTE: {"input": source, _RUN: as_json(header)}})
        self.folder.remove()

    def _check_folder(self) -> None:
        if self.folder.read(_HEADER) is None and not self.folder.is_empty():
            raise FileExistsError(
                f"{self.folder.path} exists and is no unfinished run; give another folder as scratch, or another output"
            )

    def _finished_header(self) -> dict[str, Any] | None:
        own = (self._attributes() or {}).get(ATTRIBUTE)
        return own.get(_RUN) if isinstance(own, dict) else None

    def _attributes(self) -> dict[str, Any] | None:
        """Attributes of the group at the path; `None` where there is none."""
        try:
            return dict(open_group(self.path).attrs)
        except FileNotFoundError:
            return None

    def _is_free(self) -> bool:
        if is_url(self.path):
            return bool(sync(open_store(self.path).is_empty("")))
        target = Path(self.path)
        return not target.exists() or (target.is_dir() and not any(target.iterdir()))


def _remove(path: str) -> None:
    if is_url(path):
        sync(open_store(path, read_only=False).delete_dir(""))
    elif Path(path).exists():
        shutil.rmtree(path)


def _sweep(path: str) -> None:
    """Delete what a kill left of files that were being written, which have other names until they are whole."""
    if not is_url(path):
        for pattern in _UNFINISHED_FILES:
            for file in Path(path).rglob(pattern):
                file.unlink(missing_ok=True)
