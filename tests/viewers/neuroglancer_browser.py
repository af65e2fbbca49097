"""A headless Chromium that shows a page of neuroglancer, and pictures of what it shows."""

import contextlib
import copy
import io
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

import numpy as np
from PIL import Image

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NO_BROWSER = "no chromium, chromium-browser or google-chrome is on the PATH"

EDGE = 400
"""Pixels of a picture along either axis."""

_SECONDS = 40
_TRIES = 2

_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),  # WebGL without a graphics card
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # what the page needs comes from this machine
    *("--window-size=900,700", "--remote-debugging-port=0"),
)


class Browser:
    """Chromium on a page; use it in a `with` statement."""

    def __init__(self, page):
        self.page, self._stack, self._number = page, contextlib.ExitStack(), 0
        self.first_state = page.viewer.state.to_json()  # later the client leaves out what it takes for granted

    def __enter__(self):
        self._start()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def _start(self):
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        self._log = folder / "log"
        with self._log.open("w") as log:
            command = [CHROMIUM, *_OPTIONS, f"--user-data-dir={folder / 'profile'}", self.page.url]
            process = subprocess.Popen(command, stdout=log, stderr=log)
        self._stack.callback(_end, process)

    def picture(self, visible, layout="xy", **state):
        """What a single panel shows, once all chunks are there: `EDGE` x `EDGE` x 3 uint8.

        Args:
            visible: names of the layers to show.
            layout: `xy`, `xz` or `yz`.
            state: further entries of the page's state.
        """
        self._number += 1
        title = f"picture {self._number}"
        wanted = copy.deepcopy(self.first_state) | {
            "layout": layout, "title": title, "showAxisLines": False, "showScaleBar": False, **state,
        }  # fmt: skip
        for layer in wanted["layers"]:
            layer["visible"] = layer["name"] in visible
        self.page.viewer.set_state(wanted)
        with self.page.viewer.config_state.txn() as config:
            config.show_ui_controls = config.show_panel_borders = False
            config.viewer_size = [EDGE, EDGE]
        for _ in range(_TRIES):
            for _ in range(10):  # the first ones may show the state before
                reply = self._screenshot()
                if reply is None:
                    break
                shown = reply.screenshot
                if reply.viewer_state.title == title and (shown.width, shown.height) == (EDGE, EDGE):
                    return np.asarray(Image.open(io.BytesIO(shown.image)).convert("RGB"))
            log = self._log.read_text(errors="replace")
            self._stack.close()
            self._start()
        raise TimeoutError(
            f"chromium showed no complete picture in {_TRIES} x {_SECONDS} s; its log ends:\n{log[-2000:]}"
        )

    def _screenshot(self):
        replies, arrived = [], threading.Event()

        def take(reply):
            replies.append(reply)
            arrived.set()

        self.page.viewer.async_screenshot(take)
        return replies[0] if arrived.wait(_SECONDS) else None


def _end(process):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
