"""Long work that is asked to stop ends in order: with one line, and the status that shells have for it."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")


class Terminated(SystemExit):
    """The system has asked the process to end; its status is 128 + the number of the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.number).name}"


@contextlib.contextmanager
def orderly_exit() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the process with one line on standard error, and status 130 or 143.

    What is inside is left as by an exception, so that everything is closed; whoever knows how to go on says so by
    `add_note`. A second signal interrupts that, too. SIGTERM counts in the process's main thread alone, and while it
    is not ignored.

    Raises:
        SystemExit: with that status.
    """
    previous: Any = None
    is_mine = threading.current_thread() is threading.main_thread()
    is_mine = is_mine and signal.getsignal(signal.SIGTERM) not in (signal.SIG_IGN, None)
    if is_mine:
        previous = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except (KeyboardInterrupt, Terminated) as stop:
        word = "terminated" if isinstance(stop, Terminated) else "interrupted"
        print(". ".join([word, *getattr(stop, "__notes__", [])]), file=sys.stderr)
        status = stop.code if isinstance(stop, Terminated) else 128 + signal.SIGINT
        raise SystemExit(status) from None
    finally:
        if is_mine:
            signal.signal(signal.SIGTERM, previous)


def run_orderly(run: Callable[[], T]) -> T:
    """Call a function so that it ends in order when the process is asked to stop, see `orderly_exit`.

    Args:
        run: without arguments, such as the `run` of an evaluator in a config.
    """
    with orderly_exit():
        return run()


@contextlib.contextmanager
def going_on(say: Callable[[], str]) -> Iterator[None]:
    """Say how work goes on, where it is stopped before its end.

    Args:
        say: gives the words.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        stop.add_note(say())
        raise


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(number)
