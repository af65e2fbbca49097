"""Small files of a run, by key, in a local folder or under a URL."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from ..volumes import CannotListError, is_url
from ..volumes.stores import list_keys, open_store

_REQUESTS_AT_ONCE = 16


class RunFolder:
    """Files that are written whole or not at all, so that a kill at any moment leaves none that is torn.

    It is cheap to send to other processes, which may write different keys at the same time.

    Args:
        path: local folder, made with the first file, or URL of a place in a bucket.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._is_remote = is_url(self.path)

    def write(self, key: str, content: bytes) -> None:
        """Write one file, in place of one that is there."""
        if self._is_remote:
            sync(open_store(self.path, read_only=False).set(key, default_buffer_prototype().buffer.from_bytes(content)))
            return
        file = Path(self.path) / key
        part = file.with_name(f"{file.name}.{os.getpid()}.part")
        try:
            part.write_bytes(content)
        except FileNotFoundError:
            file.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(content)
        part.replace(file)

    def sweep(self, key: str) -> None:
        """Delete what kills left of a file while it was written; nobody may be writing it now."""
        if not self._is_remote:
            file = Path(self.path) / key
            for part in file.parent.glob(f"{glob.escape(file.name)}.*.part"):
                part.unlink(missing_ok=True)

    def read(self, key: str) -> bytes | None:
        """Content of a file, `None` where there is none."""
        if self._is_remote:
            found = sync(open_store(self.path).get(key, default_buffer_prototype()))
            return None if found is None else found.to_bytes()
        try:
            return (Path(self.path) / key).read_bytes()
        except FileNotFoundError:
            return None

    def read_all(self, prefix: str) -> dict[str, bytes]:
        """Contents of all files whose keys begin with `prefix`, by key."""
        keys = [key for key in self._keys() if key.startswith(prefix)]
        with ThreadPoolExecutor(_REQUESTS_AT_ONCE if self._is_remote else 1) as pool:
            contents = pool.map(self.read, keys)
            return {key: content for key, content in zip(keys, contents, strict=True) if content is not None}

    def delete(self, keys: Iterable[str]) -> None:
        """Delete files; those that are not there do not matter."""
        if self._is_remote:
            store = open_store(self.path, read_only=False)
            for key in keys:
                sync(store.delete(key))
            return
        for key in keys:
            (Path(self.path) / key).unlink(missing_ok=True)

    def remove(self, part: str = "") -> None:
        """Delete everything, or all whose keys begin with `part/`."""
        if self._is_remote:
            sync(open_store(self.path, read_only=False).delete_dir(part))
        else:
            shutil.rmtree(Path(self.path) / part, ignore_errors=True)

    def is_empty(self) -> bool:
        """Whether there is no file, other than such as a kill left unfinished."""
        return next(self._keys(), None) is None

    def _keys(self) -> Iterator[str]:
        if not self._is_remote and not Path(self.path).is_dir():
            return
        with contextlib.suppress(CannotListError):  # of a bucket: where there is nothing
            for key, _ in list_keys(self.path):
                if not key.endswith(".part"):
                    yield key
