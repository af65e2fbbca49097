"""Faults of a run, found before it starts, all at once, and shown without a traceback."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from types import TracebackType

from ..engines import CheckpointWriteError, NonFiniteLossError
from ..patches import LoaderError, PatchError
from ..volumes import CorruptChunkError, RemoteError


class RunError(ValueError):
    """A run cannot start; the message lists every fault that was found."""


_UNREADABLE = (CorruptChunkError, RemoteError)
_SHOWN_PLAINLY = (RunError, PatchError, LoaderError, *_UNREADABLE, NonFiniteLossError, CheckpointWriteError)


def raise_faults(faults: Sequence[str], what: str) -> None:
    """Raise `RunError` with one numbered line per fault; do nothing where there is none.

    The command line then shows the message alone and ends with status 1.
    """
    if not faults:
        return
    show_run_errors_plainly()
    lines = "\n".join(f"  {number}. {fault}" for number, fault in enumerate(faults, 1))
    raise RunError(f"{what} cannot start, {len(faults)} {'fault' if len(faults) == 1 else 'faults'}:\n{lines}")


def find_cause(
    error: BaseException | None, kind: type[BaseException] | tuple[type[BaseException], ...]
) -> BaseException | None:
    """The error of the given kind, or of one of several, among an error and what it was raised from."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__
    return error


def root_message(error: BaseException) -> str:
    """What the first error of a chain said, and which component of a config said it.

    A chunk or a server that cannot be read counts as a first error: its message names the store, what is behind it not.
    """
    component = ""
    while error.__cause__ is not None and not isinstance(error, _UNREADABLE):
        if match := re.search(r"Failed to instantiate component '([^']+)'", str(error)):
            component = f"{match[1]}: "
        error = error.__cause__
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    is_ours = component.startswith("scripts.")  # then the message names what it is about
    return f"{'' if is_ours else component}{text or type(error).__name__}"


def show_run_errors_plainly() -> None:
    """Let uncaught errors of a run's settings, data or numbers, and Ctrl-C, print their message, and no traceback."""
    previous = sys.excepthook
    if getattr(previous, "shows_run_errors", False):
        return

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        cause = find_cause(error, _SHOWN_PLAINLY)
        if isinstance(error, KeyboardInterrupt):
            print("interrupted", file=sys.stderr)
        elif cause is None:
            previous(kind, error, trace)
        else:
            print(f"error: {cause}", file=sys.stderr)

    hook.shows_run_errors = True  # type: ignore[attr-defined]
    sys.excepthook = hook
