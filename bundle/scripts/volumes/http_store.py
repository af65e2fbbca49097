"""Plain web servers: zarr stores under `https://` and `http://`.

They need no more than to send files. What is stored is found in the index pages that many of them make for folders.
Reading single chunks from shards needs a server that honours byte ranges, as nearly all do.
"""

from __future__ import annotations

import asyncio
import logging
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from zarr.storage import ObjectStore

from .bucket_store import client_options, shared_client
from .errors import CannotListError, RemoteError
from .remote_store import Lines, ObstoreStore, Page
from .retries import Patience, attempt
from .server_faults import AnsweredError

logger = logging.getLogger(__name__)

MAX_ASKED = 20_000
"""Files whose time of change is asked for, one by one."""

_AT_ONCE = 32
_ADVICE = "Its owner decides who may read; a server that wants a login is not supported: copy the volume, or use s3://"


class HttpStore(ObstoreStore):
    """A zarr store on a web server, which is listed by its index pages, and cannot be written."""

    supports_writes: bool = False
    supports_deletes: bool = False

    async def pages(self, prefix: str, *, with_status: bool) -> AsyncIterator[Page]:
        files: list[str] = []
        folders = [prefix if not prefix or prefix.endswith("/") else f"{prefix}/"]
        while folders:
            batch, folders = folders[:_AT_ONCE], folders[_AT_ONCE:]
            for folder, names in zip(batch, await asyncio.gather(*map(self._index, batch)), strict=True):
                files += [folder + name for name in names if not name.endswith("/")]
                folders += [folder + name for name in names if name.endswith("/")]
        lines: Lines = [""] * len(files)
        if with_status and len(files) <= MAX_ASKED:
            lines = await self.statuses(files)
        elif with_status:
            logger.warning(
                "%s: not every one of %d files is asked for its time of change (at most %d are); voxels that change on "
                "the server go unnoticed, unless chunks come or go",
                self.url, len(files), MAX_ASKED,
            )  # fmt: skip
        yield [(key, line) for key, line in zip(files, lines, strict=True) if line is not None]

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        for name in await self._index(f"{prefix.rstrip('/')}/" if prefix else ""):
            yield name.rstrip("/")

    async def _index(self, folder: str) -> list[str]:
        """Names on the index page of a folder; those of folders end with a slash."""
        address = f"{self.url}/{quote(folder)}".rstrip("/") + "/"
        seconds = Patience.of_environment().timeout
        why = "there is none"
        try:
            page = await attempt(address, lambda: asyncio.to_thread(_fetch, address, seconds))
        except FileNotFoundError:
            page = None
        except RemoteError as error:
            page, why = None, str(error).removeprefix(f"{address}: ")
        names = _names(*page) if page else []
        if not names:
            raise CannotListError(
                f"{address}: expected an index page, which tells what the folder holds, but {why}. Let the server make "
                "them (nginx: autoindex on), use the s3:// or gs:// URL where this is a bucket, or copy the volume"
            )
        return names


def open_http(url: str) -> HttpStore:
    """Open the zarr store at a web address.

    Raises:
        ImportError: where obstore is missing.
        ValueError: for a URL with a query, which would have to go behind every object's name.
    """
    parts = urlsplit(url)
    if parts.query or parts.fragment or not parts.netloc:
        raise ValueError(f"{url}: expected {parts.scheme}://HOST/PATH without '?' and '#'")
    server = f"{parts.scheme}://{parts.netloc}"

    def make() -> tuple[Any, str]:
        from obstore.store import HTTPStore

        return HTTPStore.from_url(server, **client_options()), _ADVICE

    client, advice = shared_client(url, (server,), make)
    path = unquote(parts.path).strip("/")
    return HttpStore(url, ObjectStore(client, read_only=True), f"{path}/" if path else "", advice)


class _Links(HTMLParser):
    """Collects where the links of a page lead."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.targets += [value for name, value in attrs if name == "href" and value]


def _fetch(address: str, seconds: float) -> tuple[str, str] | None:
    """Final address and text of a page; `None` where there is something else."""
    request = urllib.request.Request(address, headers={"User-Agent": "polytome", "Accept": "text/html"})
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            if answer.headers.get_content_type() != "text/html":
                return None
            return answer.url, answer.read().decode(answer.headers.get_content_charset() or "utf-8", "replace")
    except urllib.error.HTTPError as error:
        with error:
            if error.code in (404, 410):
                raise FileNotFoundError(address) from None
            raise AnsweredError(error.code, error.reason) from None
    except urllib.error.URLError as error:
        raise error.reason if isinstance(error.reason, OSError) else OSError(str(error.reason)) from None


def _names(address: str, text: str) -> list[str]:
    """What a page links to one step below its own address, in order, without what stands on it twice."""
    links = _Links()
    links.feed(text)
    own = urlsplit(address)
    base = unquote(own.path)
    found: dict[str, None] = {}
    for target in links.targets:
        parts = urlsplit(urljoin(address, target))
        name = unquote(parts.path).removeprefix(base)
        below = parts.netloc == own.netloc and unquote(parts.path).startswith(base) and not parts.query
        if below and name.strip("/") and "/" not in name.rstrip("/"):
            found[name] = None
    return list(found)
