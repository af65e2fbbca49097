"""`dashboard RUN_DIR`: a page on a training, while it runs or afterwards."""

from __future__ import annotations

import contextlib
import threading
import webbrowser
from pathlib import Path

from ..viewers import DashboardServer, RunFolder, write_dashboard


def dashboard(
    run_dir: str | Path,
    port: int = 0,
    open: bool = False,
    export: str | Path | None = None,
    refresh: float = 5.0,
) -> None:
    """Show a training on a page that this machine alone can reach, until Ctrl-C; or write that page as one file.

    Args:
        run_dir: the training's `output_dir`.
        port: of the page; default one that is free.
        open: open the page in this machine's browser.
        export: HTML file to write instead, with everything inside.
        refresh: seconds between two updates of the page.

    Raises:
        FileNotFoundError: where there is no training.
        OSError: for a port that is in use.
        ValueError: for what is no port, and a refresh below half a second.
    """
    run = RunFolder(run_dir)
    if export is not None:
        path = write_dashboard(run, export)
        print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB")
        return
    with DashboardServer(run, port, refresh) as server:
        print(f"{server.url}\nCtrl-C ends it.", flush=True)
        if open:
            webbrowser.open(server.url)
        _wait_for_interrupt()


def _wait_for_interrupt() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
