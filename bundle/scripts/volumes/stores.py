"""Where zarr arrays are kept: local folders, buckets, web servers, and whatever else fsspec knows."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from pathlib import Path

from zarr.abc.store import Store
from zarr.core.sync import sync
from zarr.storage import FsspecStore

from .bucket_store import open_bucket
from .errors import CannotListError
from .http_store import open_http
from .local_folder import LocalFolder
from .paths import is_url
from .remote_store import Entry, RemoteStore

_AT_ONCE = 1000


def open_store(path: str, *, read_only: bool = True) -> Store:
    """Open the zarr store at a folder or URL.

    `bucket_store` says how buckets are signed in to, `retries` how long servers are waited for.

    Raises:
        ImportError: for a URL whose protocol needs a package that is not installed.
        ValueError: for a protocol that nobody knows, or a web address that is to be written.
    """
    return open_remote(path, read_only=read_only) if is_url(path) else LocalFolder(path, read_only=read_only)


def open_remote(url: str, *, read_only: bool = True) -> RemoteStore:
    """Open the zarr store at a URL; raises as `open_store` does."""
    scheme = url.partition("://")[0]
    if scheme in ("s3", "gs", "az"):
        return open_bucket(url, read_only=read_only)
    if scheme in ("https", "http"):
        if not read_only:
            raise ValueError(
                f"{url}: web servers are only read; expected a local path or a bucket, such as s3://b/x.zarr"
            )
        return open_http(url)
    try:
        inner = FsspecStore.from_url(url, read_only=read_only)
    except ImportError as error:
        raise ImportError(f"{url}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{url}: {error}; expected a local path or a URL such as s3://bucket/x.zarr") from error
    return RemoteStore(url, inner, read_only=read_only)


def list_keys(path: str, *, with_status: bool = False) -> Iterator[Entry]:
    """Keys of everything stored under a folder or URL, each with a line that changes when its content does.

    Of a web server without checksums (ETag) only size and time of change count, the latter in whole seconds.

    Args:
        path: the folder or URL.
        with_status: false leaves the lines empty, which is cheaper: a web server is asked for every single key.

    Raises:
        CannotListError: at once, for a server that does not tell what it stores.
        RemoteError: for one that does not answer.
    """
    if not is_url(path):
        return _local_keys(path, "", with_status)
    pages = open_remote(path).pages("", with_status=with_status)
    first = sync(_next(pages))
    if not first:
        raise CannotListError(
            f"{path}: the server lists no keys, so that stored chunks cannot be found; "
            "expected a store that can be listed (s3, gs, a local copy)"
        )
    return _flat(first, pages)


def ask_keys(path: str, keys: Iterable[str]) -> Iterator[Entry]:
    """Of some keys under a URL those that are stored, each with its line, where the server cannot list them.

    It takes one request per key.

    Raises:
        RemoteError: for a server that does not answer.
    """
    store, waiting = open_remote(path), iter(keys)
    while batch := list(islice(waiting, _AT_ONCE)):
        lines = sync(store.statuses(batch))
        yield from ((key, line) for key, line in zip(batch, lines, strict=True) if line is not None)


def _local_keys(folder: str, prefix: str, with_status: bool) -> Iterator[Entry]:
    with os.scandir(Path(folder) / prefix) as entries:
        for entry in entries:
            key = f"{prefix}{entry.name}"
            if entry.is_dir():
                yield from _local_keys(folder, f"{key}/", with_status)
            else:
                status = entry.stat() if with_status else None
                yield key, f"{status.st_size} {status.st_mtime_ns}" if status else ""


def _flat(first: list[Entry], pages: AsyncIterator[list[Entry]]) -> Iterator[Entry]:
    page: list[Entry] | None = first
    while page is not None:
        yield from page
        page = sync(_next(pages))


async def _next(pages: AsyncIterator[list[Entry]]) -> list[Entry] | None:
    return await anext(pages, None)
