"""The dashboard's server: one run, this machine alone, reading only."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from .dashboard_data import RunFolder
from .dashboard_files import as_json
from .dashboard_page import page_script, page_style, served_page
from .own_host import is_own_host

ADDRESS = "127.0.0.1"

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)

_JSON = "application/json"


class DashboardServer:
    """Serve a run's page on the loopback interface, until `close`.

    It answers GET under a handful of addresses and no others: page, style, script, numbers, pictures. A request whose
    Host is not this machine is refused: another site's page cannot read the run through a name of its own.

    Args:
        run: the run.
        port: 0 takes one that is free.
        refresh: seconds between two updates of the page.

    Attributes:
        url: what a browser opens.

    Raises:
        OSError: for a port that is in use.
        ValueError: for what is no port, and a refresh below half a second.
    """

    def __init__(self, run: RunFolder, port: int = 0, refresh: float = 5.0) -> None:
        if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port < 2**16:
            raise ValueError(f"port: expected a number from 1 to 65535, or 0 for any that is free; got {port!r}")
        if isinstance(refresh, bool) or not isinstance(refresh, (int, float)) or not refresh >= 0.5:
            raise ValueError(f"refresh: expected seconds, at least 0.5; got {refresh!r}")
        try:
            self._server = _Server((ADDRESS, port), _Handler)
        except OSError as error:
            raise OSError(f"port {port}: {error.strerror}; choose another one, or 0 for any that is free") from error
        self._server.run, self._server.refresh = run, refresh
        self.url = f"http://{ADDRESS}:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the server; a page that is open says that it has gone."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> DashboardServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    run: RunFolder
    refresh: float


class _Handler(BaseHTTPRequestHandler):
    server_version = "polytome"
    sys_version = ""
    timeout = 30
    server: _Server

    def do_GET(self) -> None:
        if not is_own_host(self.headers.get("Host", "")):
            self._refuse(HTTPStatus.FORBIDDEN, "this dashboard is for 127.0.0.1 and localhost alone")
            return
        path = urlsplit(self.path).path  # as sent: nothing is decoded, so that no name is written in two ways
        answer = _FIXED.get(path)
        if answer is not None:
            kind, content = answer
            self._answer(kind, content(self.server))
        elif found := re.fullmatch(r"/previews/(\d{1,9})\.json", path, re.ASCII):
            self._answer(_JSON, _json(self.server.run.preview(int(found[1]))))
        else:
            self._answer("", None)

    def _answer(self, kind: str, content: str | None) -> None:
        if content is None:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")
        else:
            self._send(HTTPStatus.OK, kind, content)

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        self._send(status, "text/plain", f"{text}\n")

    def _send(self, status: HTTPStatus, kind: str, content: str) -> None:
        body = content.encode()
        self.send_response(status)
        for name, value in (
            ("Content-Type", f"{kind}; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("Content-Security-Policy", _POLICY),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a line for every update would bury what matters."""


def _json(content: Any) -> str | None:
    return None if content is None else as_json(content)


_FIXED: dict[str, tuple[str, Callable[[_Server], str | None]]] = {
    "/": ("text/html", lambda server: served_page(server.run.name, server.refresh)),
    "/dashboard.css": ("text/css", lambda server: page_style()),
    "/dashboard.js": ("text/javascript", lambda server: page_script()),
    "/summary.json": (_JSON, lambda server: _json(server.run.summary())),
    "/worst.json": (_JSON, lambda server: _json(server.run.worst_patches())),
}
