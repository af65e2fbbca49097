"""Faults of a run, found before it starts, all at once, and shown without a traceback."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Sequence
from traceback import walk_tb
from types import TracebackType

from ..engines import CheckpointWriteError, LabelValueError, NonFiniteLossError
from ..patches import LoaderError, PatchError
from ..volumes import CorruptChunkError, MetadataError, RemoteError, StalledError
from .config_place import config_place

logger = logging.getLogger(__name__)


class RunError(ValueError):
    """A run cannot start; the message lists every fault that was found."""


_UNREADABLE = (CorruptChunkError, MetadataError, RemoteError, StalledError)
_SHOWN_PLAINLY = (
    *(RunError, PatchError, LoaderError, *_UNREADABLE),
    *(LabelValueError, NonFiniteLossError, CheckpointWriteError),
    OSError,  # what the system refuses: a full disk, a file that is gone or closed
)

_MOST_FAULTS = 18
_MOST_LINES = 3
"""Of one fault, before it becomes a single paragraph."""

_MOST_CHARACTERS = 3600
"""Of all faults together: they fit on a screen."""

_RUNS = ("run", "training", "evaluating", "inference", "processing")
"""Ids of what runs once a config has been built: errors in there are of the run, not of the config."""


def raise_faults(faults: Sequence[str], what: str) -> None:
    """Raise `RunError` with one numbered line per fault; do nothing where there is none.

    The command line then shows the message alone and ends with status 1.
    """
    if not faults:
        return
    show_run_errors_plainly()
    listed = list(faults[:_MOST_FAULTS])
    room = _MOST_CHARACTERS // len(listed)
    lines = "\n".join(f"  {number}. {shortened(fault, room)}" for number, fault in enumerate(listed, 1))
    if len(faults) > len(listed):
        lines += f"\n  ... and {len(faults) - len(listed)} more"
    raise RunError(f"{what} cannot start, {len(faults)} {'fault' if len(faults) == 1 else 'faults'}:\n{lines}")


def find_cause(
    error: BaseException | None, kind: type[BaseException] | tuple[type[BaseException], ...]
) -> BaseException | None:
    """The error of the given kind, or of one of several, among an error and what it was raised from."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__
    return error


def root_message(error: BaseException) -> str:
    """What the first error of a chain said, and where: the key of a config that could not be built, and its component.

    A chunk or a server that cannot be read counts as a first error: its message names the store, what is behind it not.
    """
    place = config_place(error)
    component = ""
    while error.__cause__ is not None and not isinstance(error, _UNREADABLE):
        if match := re.search(r"Failed to instantiate component '([^']+)'", str(error)):
            component = f"{match[1]}: "
        error = error.__cause__
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    is_ours = component.startswith("scripts.")  # then the message names what it is about
    said = f"{'' if is_ours else component}{text or type(error).__name__}"
    return said if place is None else place.told(said)


def shortened(text: str, most: int) -> str:
    """A text without its middle where it is longer than `most` characters, and of few lines: networks have hundreds."""
    if text.count("\n") > _MOST_LINES:
        text = " ".join(text.split())
    if len(text) <= most:
        return text
    begin = most * 2 // 3
    return f"{text[:begin]} [...] {text[begin + 7 - most :]}"


def plain_message(error: BaseException) -> str | None:
    """What the command line shows of an error that ends a run; `None` where its traceback is needed.

    Faults of settings, data and numbers speak for themselves, and so does an error on the way from a config to the
    objects that it names, and one that this bundle raises in so many words. What else happens while a run computes is
    shown with its traceback.
    """
    cause = find_cause(error, _SHOWN_PLAINLY)
    if cause is not None:
        return f"error: {cause}"
    place = config_place(error)
    is_being_built = place is not None and not place.is_in(_RUNS)
    if not isinstance(error, Exception) or not (is_being_built or _is_told_by_the_bundle(error)):
        return None
    logger.debug("the error behind the message", exc_info=error)
    return f"error: {shortened(root_message(error), _MOST_CHARACTERS)}"


def _is_told_by_the_bundle(error: BaseException) -> bool:
    """Whether the bundle's own code raised the first error of a chain, of a kind whose messages are for people."""
    while error.__cause__ is not None:
        error = error.__cause__
    frames = list(walk_tb(error.__traceback__))
    raised_in = frames[-1][0].f_globals.get("__name__", "") if frames else ""
    return isinstance(error, (ValueError, TypeError, OSError, ImportError)) and raised_in.startswith("scripts.")


def show_run_errors_plainly() -> None:
    """Let uncaught errors of a run's settings, data or numbers, and Ctrl-C, print their message, and no traceback.

    See `plain_message`.
    """
    previous = sys.excepthook
    if getattr(previous, "shows_run_errors", False):
        return

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        said = "interrupted" if isinstance(error, KeyboardInterrupt) else plain_message(error)
        if said is None:
            previous(kind, error, trace)
        else:
            print(said, file=sys.stderr)

    hook.shows_run_errors = True  # type: ignore[attr-defined]
    sys.excepthook = hook
