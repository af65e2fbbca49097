"""What the page's server answers where the client asks for voxels; tornado comes with neuroglancer."""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.web import Application, ErrorHandler, HTTPError, RequestHandler, StaticFileHandler

from ..volumes import RemoteError
from .neuroglancer_chunks import ReadArray
from .neuroglancer_store import LayerStore
from .own_host import is_own_host

logger = logging.getLogger(__name__)

_BYTES = "application/octet-stream"
"""Type of every answer: a browser never takes what is in a store for a page or a script."""


class DocumentHandler(RequestHandler):
    """Answers with one document."""

    def initialize(self, document: bytes) -> None:
        """Take the document."""
        self.document = document

    def get(self) -> None:
        """Send it."""
        self.set_header("Content-Type", _BYTES)
        self.finish(self.document)


class FileHandler(StaticFileHandler):
    """Answers with files below a folder, whole or in ranges; folders are not listed, links out of it not followed."""

    def get_content_type(self) -> str:
        """Of whatever there is."""
        return _BYTES

    def compute_etag(self) -> str:
        """A mark that changes with the file, without reading it: shards are large."""
        status = Path(str(self.absolute_path)).stat()
        return f'"{status.st_mtime_ns:x}-{status.st_size:x}"'

    def set_extra_headers(self, path: str) -> None:
        """Have the browser ask each time whether the file changed, as predictions do."""
        self.set_header("Cache-Control", "no-cache")


class ChunkHandler(RequestHandler):
    """Answers with chunks of an array that are read when they are asked for."""

    def initialize(self, array: ReadArray) -> None:
        """Take the array."""
        self.array = array

    async def get(self, key: str) -> None:
        """Send metadata or a chunk."""
        loop = asyncio.get_running_loop()
        try:
            content = await loop.run_in_executor(None, self.array.get, key)
        except RemoteError as error:
            logger.warning("%s", error)
            raise HTTPError(500) from error
        if content is None:
            raise HTTPError(404)
        self.set_header("Content-Type", _BYTES)
        self.finish(content)


def refuse_foreign_hosts(app: Application) -> None:
    """Answer 403 to every request whose Host is not this machine, whatever it asks for."""
    find = app.find_handler

    def find_or_refuse(request: HTTPServerRequest, **kwargs: Any) -> Any:
        if is_own_host(request.headers.get("Host", "")):
            return find(request, **kwargs)
        return app.get_handler_delegate(request, ErrorHandler, {"status_code": 403})

    app.find_handler = find_or_refuse  # type: ignore[method-assign]


def store_handlers(prefix: str, store: LayerStore) -> list[tuple[str, type[RequestHandler], dict[str, Any]]]:
    """The answers to requests for a layer.

    Args:
        prefix: of its addresses, such as `/stores/TOKEN/0`.
        store: of the layer.

    Returns:
        rows of a tornado application.
    """
    rows: list[tuple[str, type[RequestHandler], dict[str, Any]]] = [
        (re.escape(f"{prefix}/{name}"), DocumentHandler, {"document": document})
        for name, document in store.documents.items()
    ]
    for number, level in enumerate(store.levels):
        where = f"{re.escape(prefix)}/{number}/(.*)"
        if isinstance(level, ReadArray):
            rows.append((where, ChunkHandler, {"array": level}))
        else:
            rows.append((where, FileHandler, {"path": str(level)}))
    return rows
