"""A disk that is full, in words that say what stays and how to go on."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def full_disk_told(path: str, say: Callable[[], str]) -> Iterator[None]:
    """Say how work goes on, where a full disk, or a quota, ends it.

    Args:
        path: of what is written.
        say: gives the words for what is done and stays.

    Raises:
        OSError: with the number of the system's.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise OSError(
            error.errno,
            f"{path}: no space left on the device. {say()}; free some space and start the same run again, which goes "
            "on from there",
        ) from error
