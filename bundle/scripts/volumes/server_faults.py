"""What the exceptions of the libraries that speak to servers mean."""

from __future__ import annotations

import re
from dataclasses import dataclass

_STATUS = re.compile(r"non-2xx status code: ((\d{3})[^:\n]*):? ?([^\n]*)")
_ADDRESS = re.compile(r"Error performing \w+ (\S+) in ")
_DETAILS = re.compile(r'(?:message|error): "([^"]+)"')
_OBSTORE_HINT = "\n\nDebug source:"
_REFUSED = (401, 403)
_BUSY = (408, 425, 429)
_NEVER = (501, 505)
_LONGEST = 200


@dataclass(frozen=True)
class Fault:
    """Why one request failed.

    Args:
        reason: in words.
        temporary: whether the same request may succeed later.
        unreachable: whether no server was there at all.
        status: of the HTTP answer, 0 where there was none.
        address: what was in fact asked, where the library says so.
    """

    reason: str
    temporary: bool = False
    unreachable: bool = False
    status: int = 0
    address: str = ""

    @property
    def refused(self) -> bool:
        return self.status in _REFUSED

    @classmethod
    def of_status(cls, status: int, words: str, body: str = "", address: str = "") -> Fault:
        """The server answered, but not with what was asked for."""
        temporary = status in _BUSY or (status >= 500 and status not in _NEVER)
        reason = f"the server answered {status} {words}".strip()
        text = " ".join(re.sub(r"<[^>]*>", " ", body).split())[:_LONGEST]
        return cls(f"{reason} ({text})" if text else reason, temporary, status=status, address=address)


class AnsweredError(Exception):
    """A request that this package made itself was answered by an error status."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(status, words)
        self.fault = Fault.of_status(status, words)


def fault_of(error: Exception) -> Fault | None:
    """What an exception says about the server; `None` where it is about something else."""
    if isinstance(error, AnsweredError):
        return error.fault
    if type(error).__module__.split(".")[0] == "obstore":
        return _fault_of_obstore(error)
    if isinstance(error, TimeoutError):
        return Fault("the answer was not complete in time", temporary=True)
    if isinstance(error, PermissionError):
        return Fault(str(error) or "permission denied", status=403)
    if isinstance(error, ConnectionRefusedError):
        return Fault(str(error), temporary=True, unreachable=True)
    if isinstance(error, OSError) or type(error).__module__.startswith("aiohttp."):
        return Fault(f"{type(error).__name__}: {error}", temporary=True)
    return None


def _fault_of_obstore(error: Exception) -> Fault:
    """obstore puts everything into the text: one line in words, then the structure of the Rust error."""
    words, _, structure = str(error).partition(_OBSTORE_HINT)
    words = words.strip()
    found = _ADDRESS.search(words)
    address = found.group(1) if found else ""
    status = _STATUS.search(words)
    if status is not None:
        number = int(status.group(2))
        return Fault.of_status(number, status.group(1)[3:].strip(), status.group(3), address)
    if "RangeNotSupported" in structure or "NotPartial" in structure:
        return Fault("the server ignores byte ranges, without which no single chunk of a shard can be read")
    if "BareRedirect" in structure:
        return Fault("the server says that the bucket is in another region; set AWS_REGION", address=address)
    if "HttpError" not in structure:
        return Fault(words)
    if "TimedOut" in structure:
        return Fault("no answer in time", temporary=True, address=address)
    details = _DETAILS.findall(structure)
    why = details[-1] if details else "the connection broke"
    return Fault(why, temporary=True, unreachable="kind: Connect" in structure, address=address)
