"""Files of tensors that are written whole or not at all, and recognised where they are not."""

from __future__ import annotations

import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch


class CheckpointWriteError(OSError):
    """A file of weights could not be written; the one that was there before is untouched."""


def write_atomically(content: Any, path: Path) -> None:
    """`torch.save` to a neighbouring file, flush to disk, move into place.

    Raises:
        CheckpointWriteError: where the disk does not take it; nothing half-written is left.
    """
    partial = partial_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, RuntimeError) as error:
        partial.unlink(missing_ok=True)
        reason = _disk_error(error)
        if reason is None:
            raise
        raise CheckpointWriteError(
            f"{path} cannot be written: {reason.strerror or reason}; it takes about {tensor_bytes(content):,} bytes"
            f"{_free_bytes(path.parent)}. What was saved before is whole: make room, then go on from there with "
            "--load_model latest"
        ) from error


def partial_of(path: Path) -> Path:
    """Where a file is written before it is moved into place."""
    return path.with_name(f"{path.name}.partial")


def tensor_bytes(content: Any) -> int:
    """Bytes of all tensors of a nested state."""
    if isinstance(content, torch.Tensor):
        return content.numel() * content.element_size()
    if isinstance(content, Mapping):
        content = content.values()
    elif not isinstance(content, (list, tuple)):
        return 0
    return sum(map(tensor_bytes, content))


def is_whole(path: Path) -> bool:
    """Whether a file that `torch.save` wrote is complete and undamaged; it is read once from end to end."""
    status = path.stat()
    return _is_whole(str(path), status.st_mtime_ns, status.st_size)


@cache  # a run looks for its checkpoint more than once
def _is_whole(path: str, changed: int, size: int) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                return False
        torch.load(path, map_location="meta", weights_only=True)  # PyTorch's own reader looks at more of the archive
        return True
    except pickle.UnpicklingError:  # it can be read, but holds what may not be loaded, as whoever loads it says
        return True
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, RuntimeError, struct.error):
        return False


def _disk_error(error: BaseException | None) -> OSError | None:
    """The disk's own error; PyTorch's writer, which closes its archive nonetheless, raises one of its own after it."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


def _free_bytes(folder: Path) -> str:
    try:
        return f", {shutil.disk_usage(folder).free:,} are free"
    except OSError:
        return ""
