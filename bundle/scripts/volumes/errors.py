"""What goes wrong while voxels are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class CorruptChunkError(OSError):
    """A stored chunk cannot be read; the message names store, chunk and box.

    It takes the message alone, so that it survives the way back from a worker process.
    """


def corrupt_chunk(
    path: str, chunk: str, start: Sequence[int], stop: Sequence[int], reason: BaseException
) -> CorruptChunkError:
    """Build the error for one chunk.

    Args:
        path: store that holds it.
        chunk: its key in the store (or page, or the word for the whole file).
        start: first voxel of the chunk along the stored axes.
        stop: voxel after its last one.
        reason: what the decoder said.
    """
    box = ", ".join(f"{low}:{high}" for low, high in zip(start, stop, strict=True))
    return CorruptChunkError(
        f"{path}: chunk '{chunk}' (stored voxels [{box}]) cannot be read: {type(reason).__name__}: {reason}. "
        "The file is damaged or cut short; restore it from its source, or delete the chunk to read it as empty"
    )


def require_access(path: str | Path, what: str, error: Exception) -> None:
    """Raise what the system refuses, which says nothing about what is stored: it is no damage.

    Args:
        path: of the file that was read.
        what: names it in the message.
        error: which came of reading it.

    Raises:
        OSError: where the system gave that, or does not open the file now: no permission, no such file, no more open
            files, a device that fails.
    """
    refusal = error if isinstance(error, OSError) and error.errno is not None else None
    if refusal is None:
        try:
            with Path(path).open("rb"):
                return
        except OSError as refused:
            refusal = refused
    raise OSError(refusal.errno, f"{what} cannot be opened: {refusal.strerror or refusal}") from error


class EmptyObjectError(OSError):
    """A stored object has no bytes, which no chunk has: zarr-python would take it for one that was never stored."""


class MetadataError(ValueError):
    """What a store says of itself cannot be used; the message names the store, what it says and what was expected."""


class StalledError(TimeoutError):
    """A file system does not answer; the message names store and box, or the file.

    Like `CorruptChunkError` it takes the message alone. It says nothing about the data: they may be whole.
    """


class RemoteError(OSError):
    """A server did not give what was asked for; the message names the URL, the number of tries and the reason.

    Like `CorruptChunkError` it takes the message alone. It says nothing about the data: they may be whole.
    """


class RefusedError(RemoteError):
    """A server answered that the object may not be read (401, 403)."""


class CannotListError(RemoteError):
    """A server reads, but does not tell which objects it stores."""
