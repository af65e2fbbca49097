"""Where zarr arrays are kept: local folders, and URLs through fsspec."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from zarr.abc.store import Store
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore

from .paths import is_url


def open_store(path: str, *, read_only: bool = True) -> Store:
    """Open the zarr store at a folder or URL.

    Raises:
        ImportError: for a URL whose protocol needs a package that is not installed.
        ValueError: for a protocol that fsspec does not know.
    """
    if not is_url(path):
        return LocalStore(path, read_only=read_only)
    try:
        return FsspecStore.from_url(path, read_only=read_only)
    except ImportError as error:
        raise ImportError(f"{path}: {error}; for s3 and https: pip install 'polytome[remote]'") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}; expected a local path or a URL such as s3://bucket/x.zarr") from error


def list_keys(path: str, *, with_status: bool = False) -> Iterator[tuple[str, str]]:
    """Keys of everything stored under a folder or URL, each with a line that changes when its content does.

    Args:
        path: the folder or URL.
        with_status: false leaves the lines empty, which is cheaper.

    Raises:
        OSError: for a server that cannot list.
    """
    if not is_url(path):
        yield from _local_keys(path, "", with_status)
        return
    keys = sync(_collect(open_store(path).list_prefix("")))
    if not keys:
        raise OSError(
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
