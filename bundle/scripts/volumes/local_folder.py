"""A zarr store in a local folder."""

from __future__ import annotations

import io
from pathlib import Path

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.storage import LocalStore

from .errors import EmptyObjectError
from .metadata_documents import check_document, check_length, is_metadata
from .stalls import in_time_async


class LocalFolder(LocalStore):
    """A zarr store in a local folder, whose metadata are checked as they are read.

    Nothing is waited for without end: the folder may be on a file system of the network (see `stalls`).
    """

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Content of a file, or a part of it; `None` where there is none.

        Raises:
            MetadataError: for a document from which no array or group can be made.
            EmptyObjectError: for a file without content.
            StalledError: where the system does not answer.
        """
        if not self._is_open:
            await self._open()
        path = self.root / key
        try:
            content = await in_time_async(str(path), lambda: _content(path, key, byte_range))
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        if not content and not is_metadata(key):
            raise EmptyObjectError(f"{path}: the file is empty, or ends before what is asked for")
        return (prototype or default_buffer_prototype()).buffer.from_bytes(content)


def _content(path: Path, key: str, byte_range: ByteRequest | None) -> bytes:
    with path.open("rb") as file:
        if is_metadata(key):
            check_length(str(path), path.stat().st_size)
            content = file.read()
            check_document(str(path), content)
            return content
        if byte_range is None:
            return file.read()
        length = file.seek(0, io.SEEK_END)
        if isinstance(byte_range, RangeByteRequest):
            file.seek(byte_range.start)
            return file.read(byte_range.end - byte_range.start)
        if isinstance(byte_range, SuffixByteRequest):
            file.seek(max(length - byte_range.suffix, 0))
        elif isinstance(byte_range, OffsetByteRequest):
            file.seek(byte_range.offset)
        return file.read()
