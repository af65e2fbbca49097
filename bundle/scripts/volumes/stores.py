"""Where zarr arrays are kept: local folders, and URLs."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from zarr.abc.store import Store
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore

from .errors import CannotListError
from .index_pages import list_index_pages
from .paths import is_url
from .remote_store import is_object_url, list_objects, open_object_store


def open_store(path: str, *, read_only: bool = True) -> Store:
    """Open the zarr store at a folder or URL.

    `s3://`, `gs://`, `az://`, `https://` and `http://` are read with retries and time limits, see `open_object_store`;
    any other URL goes through fsspec.

    Raises:
        ImportError: for a URL whose protocol needs a package that is not installed.
        ValueError: for a protocol that fsspec does not know.
    """
    if not is_url(path):
        return LocalStore(path, read_only=read_only)
    if is_object_url(path):
        return open_object_store(path, read_only=read_only)
    try:
        return FsspecStore.from_url(path, read_only=read_only)
    except ImportError as error:
        raise ImportError(f"{path}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}; expected a local path or a URL such as s3://bucket/x.zarr") from error


def list_keys(path: str, *, with_status: bool = False) -> Iterator[tuple[str, str]]:
    """Keys of everything stored under a folder or URL, each with a line that changes when its content does.

    Args:
        path: the folder or URL.
        with_status: false leaves the lines empty, which is cheaper.

    Raises:
        CannotListError: for a server that cannot list.
        RemoteError: for a server that does not answer.
    """
    if not is_url(path):
        yield from _local_keys(path, "", with_status)
    elif path.startswith(("http://", "https://")):
        yield from list_index_pages(path)
    elif is_object_url(path):
        yield from list_objects(path)
    else:
        keys = sync(_collect(open_store(path).list_prefix("")))
        if not keys:
            raise CannotListError(
                f"{path}: the server lists no keys, so that stored chunks cannot be found; "
                "expected a store that can be listed (s3, gs, a local copy)"
            )
        yield from ((key.lstrip("/"), "") for key in keys)


def _local_keys(folder: str, prefix: str, with_status: bool) -> Iterator[tuple[str, str]]:
    with os.scandir(Path(folder) / prefix) as entries:
        for entry in entries:
            key = f"{prefix}{entry.name}"
            if entry.is_dir():
                yield from _local_keys(folder, f"{key}/", with_status)
            else:
                status = entry.stat() if with_status else None
                yield key, f"{status.st_size} {status.st_mtime_ns}" if status else ""


async def _collect(keys: AsyncIterator[str]) -> list[str]:
    return [key async for key in keys]
