"""Whether a request to a server of this machine was meant for it."""

from __future__ import annotations

import re

_OWN_NAMES = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?", re.IGNORECASE)


def is_own_host(host: str) -> bool:
    """Whether the Host of a request is this machine, at any port.

    Another site's page can have a name of its own point to 127.0.0.1, and read what answers there as if it were its
    own; the browser then sends that name.
    """
    return _OWN_NAMES.fullmatch(host) is not None
