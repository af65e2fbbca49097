"""A zarr store on a server: every request is repeated as `retries` says, and every error names its URL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype

from .errors import EmptyObjectError, RefusedError
from .metadata_documents import check_document, is_metadata
from .retries import attempt
from .server_faults import fault_of

Entry = tuple[str, str]
"""Key of a stored object, and a line that changes when its content does (empty where nobody asked for it)."""

Page = list[Entry]

Buffers = list[Buffer | None]

Lines = list[str | None]

T = TypeVar("T")

_METADATA = frozenset({"zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata"})
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
_OUT_OF_RANGE = 416
_AT_ONCE = 32


class RemoteStore(Store):
    """A zarr store on a server, or whatever else fsspec reaches.

    Attributes:
        refusal: why metadata could not be read, where they might be there; `None` where nothing was refused. Buckets
            that may be read but not listed refuse what does not exist, so that a refusal alone is no error there.

    Args:
        url: of the store's root.
        inner: does the requests.
        root: keys of `inner` begin with it; empty, or with a `/` at its end.
        advice: what to do where the server refuses.
        read_only: whether writing is an error.
    """

    supports_writes: bool = True
    supports_deletes: bool = True
    supports_listing: bool = True

    def __init__(self, url: str, inner: Store, root: str = "", advice: str = "", *, read_only: bool = True) -> None:
        super().__init__(read_only=read_only)
        self.url, self.inner, self.root, self.advice = url.rstrip("/"), inner, root, advice
        self.refusal: str | None = None

    def with_read_only(self, read_only: bool = False) -> RemoteStore:
        return type(self)(self.url, self.inner.with_read_only(read_only), self.root, self.advice, read_only=read_only)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and (self.url, self.read_only) == (other.url, other.read_only)

    def __str__(self) -> str:
        return self.url

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self.url}')"

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        async def request() -> Buffer | None:
            try:
                return await self.inner.get(self.root + key, prototype, byte_range)
            except Exception as error:
                fault = fault_of(error)
                if fault is not None and fault.status == _OUT_OF_RANGE:
                    return prototype.buffer.from_bytes(b"")  # the object is shorter than the metadata say
                raise

        try:
            content = await self.request(key, request)
        except RefusedError as error:
            if key.rpartition("/")[2] not in _METADATA:
                raise
            self.refusal = self.refusal or str(error)
            return None
        if content is not None and is_metadata(key):
            check_document(f"{self.url}/{key}", content.to_bytes())
        elif content is not None and not len(content):
            raise EmptyObjectError(f"{self.url}/{key}: the object is empty, or ends before what is asked for")
        return content

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> Buffers:
        return await asyncio.gather(*(self.get(key, prototype, byte_range) for key, byte_range in key_ranges))

    async def exists(self, key: str) -> bool:
        return await self.request(key, lambda: self.inner.exists(self.root + key))

    async def set(self, key: str, value: Buffer) -> None:
        self._check_writable()
        await self.request(key, lambda: self.inner.set(self.root + key, value))

    async def delete(self, key: str) -> None:
        self._check_writable()
        await self.request(key, lambda: self.inner.delete(self.root + key))

    async def list(self) -> AsyncIterator[str]:
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        async for page in self.pages(prefix, with_status=False):
            for key, _ in page:
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        async def request() -> Sequence[str]:
            return [name async for name in self.inner.list_dir((self.root + prefix).rstrip("/"))]

        for name in await self.request(prefix, request):
            yield name

    async def pages(self, prefix: str, *, with_status: bool) -> AsyncIterator[Page]:
        """Everything stored under a prefix, in portions.

        Raises:
            CannotListError: where the server does not tell.
        """

        async def request() -> Page:
            if not with_status:
                return [(key.lstrip("/"), "") async for key in self.inner.list_prefix(prefix)]
            store: Any = self.inner
            found = await store.fs._find(f"{store.path}/{prefix}".rstrip("/"), detail=True)
            return [(path.removeprefix(store.path).lstrip("/"), status_line(info)) for path, info in found.items()]

        yield await self.request(prefix, request)

    async def status(self, key: str) -> str | None:
        """Line that changes when an object's content does; `None` where it is not there."""
        store: Any = self.inner
        try:
            return await self.request(key, lambda: _awaited_line(store.fs._info(f"{store.path}/{key}")))
        except FileNotFoundError:
            return None

    async def statuses(self, keys: Iterable[str]) -> Lines:
        """The `status` of several keys, some at once."""
        turn = asyncio.Semaphore(_AT_ONCE)

        async def one(key: str) -> str | None:
            async with turn:
                return await self.status(key)

        return await asyncio.gather(*map(one, keys))

    async def request(self, key: str, make: Callable[[], Awaitable[T]]) -> T:
        """Make a request about a key until it succeeds, or cannot."""
        return await attempt(f"{self.url}/{key}".rstrip("/"), make, self.advice)


async def _awaited_line(info: Awaitable[Mapping[str, Any]]) -> str:
    return status_line(await info)


class ObstoreStore(RemoteStore):
    """A zarr store that obstore makes the requests of."""

    async def status(self, key: str) -> str | None:
        import obstore

        inner: Any = self.inner
        try:
            return status_line(await self.request(key, lambda: obstore.head_async(inner.store, self.root + key)))
        except FileNotFoundError:
            return None


def status_line(info: Mapping[str, Any]) -> str:
    """Line from what a listing says of an object: its size, and the server's checksum, or else the time of change."""
    marks = [info[key] for key in ("ETag", "etag", "e_tag", "md5Hash", *_TIMES) if info.get(key)]
    return f"{info.get('size')} {marks[0] if marks else ''}".rstrip()
