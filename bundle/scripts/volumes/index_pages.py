"""Lists of files that web servers show as pages of links."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

from .errors import CannotListError
from .remote_store import limits, remote_error


def list_index_pages(url: str) -> Iterator[tuple[str, str]]:
    """Keys of the files below a web folder, as its index pages list them; pages say nothing about changes.

    Raises:
        CannotListError: where the server shows no such pages.
        RemoteError: where it does not answer.
    """
    root = url.rstrip("/") + "/"
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        for link in _links(folder):
            target = urljoin(folder, link).partition("#")[0].partition("?")[0]
            if not target.startswith(folder) or target == folder:
                continue
            if target.endswith("/"):
                waiting.append(target)
            else:
                yield unquote(urlsplit(target).path[len(urlsplit(root).path) :]), ""


def _links(folder: str) -> list[str]:
    page = _get(folder)
    parser = _LinkParser()
    parser.feed(page)
    if not parser.links:
        raise _cannot_list(folder, "its answer holds no links")
    return parser.links


def _get(url: str) -> str:
    tries, seconds = limits()
    for attempt in range(tries):
        try:
            with urllib.request.urlopen(url, timeout=seconds) as response:
                if "html" not in response.headers.get("Content-Type", ""):
                    raise _cannot_list(url, "its answer is no page")
                return response.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500 and error.code != 429:
                raise _cannot_list(url, f"it answers {error.code} {error.reason}") from error
            last: Exception = error
        except OSError as error:
            last = error
        if attempt + 1 < tries:
            time.sleep(min(0.1 * 2**attempt, 10))
    raise remote_error(url, last) from last


def _cannot_list(url: str, reason: str) -> CannotListError:
    return CannotListError(
        f"{url}: the server does not list its files ({reason}), so that stored chunks cannot be found; expected a "
        "server with index pages, an s3 or gs bucket, or a local copy"
    )


class _LinkParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if tag == "a" and name == "href" and value]
