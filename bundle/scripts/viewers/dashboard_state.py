"""Whether a training runs, as far as its files and the list of processes tell."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

SILENCE = 60.0
"""Seconds without a sign of life that mean nothing."""

_SLOW_STEPS = 10  # as many steps without a sign mean nothing either


def run_state(record: Mapping[str, Any] | None, seen: float | None, now: float) -> str:
    """How a training is.

    Args:
        record: content of its `run.json`; `None` where it has none.
        seen: time of the last change of any of its files, seconds since 1970.
        now: the present.

    Returns:
        `running`; `finished`; `failed`; `stopped`: its process is gone; `silent`: no sign of life for long, from a
        process that is there or on another machine; `unknown`: a run that leaves no record.
    """
    if record is None:
        return "unknown"
    state = str(record.get("state", "unknown"))
    if state != "running":
        return state
    if record.get("host") == socket.gethostname() and not _is_alive(record.get("pid")):
        return "stopped"
    patience = max(SILENCE, _SLOW_STEPS * float(record.get("seconds_per_iteration") or 0))
    if record.get("phase") == "start":
        patience *= 10  # the first batch waits for workers, caches and compilers
    return "silent" if seen is None or now - seen > patience else "running"


def _is_alive(pid: Any) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
