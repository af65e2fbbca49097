"""A headless Chromium that is told what to do through a pipe: pages without WebGL, their elements, pictures of them."""

import base64
import json
import os
import select
import subprocess
import tempfile
import time
from pathlib import Path

from tests.viewers.neuroglancer_browser import CHROMIUM

_SECONDS = 30

_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # what a page needs comes from this machine
    "--remote-debugging-pipe",
)


class Page:
    """One tab of Chromium; use it in a `with` statement.

    Attributes:
        errors: what the page's console and the browser's log call an error.
        requests: addresses that the page asked for.
    """

    def __init__(self, url, *, width=1000, height=800, dark=False, offline=False):
        self.url, self.size, self.dark, self.offline = url, (width, height), dark, offline
        self.errors, self.requests = [], []
        self._number, self._received = 0, b""

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        command_in, self._out = os.pipe()
        self._in, command_out = os.pipe()
        words = [CHROMIUM, *_OPTIONS, f"--user-data-dir={self._folder.name}", "about:blank"]
        # Chromium reads commands from descriptor 3 and writes answers to 4
        shell = f'exec "$@" 3<&{command_in} 4>&{command_out}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *words],
            pass_fds=(command_in, command_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(command_in)
        os.close(command_out)
        tabs = self._ask("Target.getTargets")["targetInfos"]
        tab = next(tab["targetId"] for tab in tabs if tab["type"] == "page")
        self._session = self._ask("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        if self.offline:
            self.ask(
                "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0
            )
        self.resize(*self.size)
        theme = [{"name": "prefers-color-scheme", "value": "dark" if self.dark else "light"}]
        self.ask("Emulation.setEmulatedMedia", features=theme)
        self.ask("Page.navigate", url=self.url)
        self.wait_for("location.href !== 'about:blank' && document.readyState === 'complete'")
        return self

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        os.close(self._out)
        self._folder.cleanup()

    def resize(self, width, height):
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def value(self, script):
        """What an expression of JavaScript gives."""
        found = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise AssertionError(f"{script}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def wait_for(self, script, seconds=_SECONDS):
        """Until an expression of JavaScript is true; returns its value."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := self.value(script):
                return found
            time.sleep(0.05)
        raise TimeoutError(f"{script} did not come true in {seconds} s; errors: {self.errors}")

    def press(self, key, code):
        """A key, on the element that has the focus."""
        for kind in ("rawKeyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def picture(self, path=None, whole=True):
        """A PNG of the page, of all of it or of the window."""
        shot = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **self._clip(whole))
        content = base64.b64decode(shot["data"])
        if path is not None:
            Path(path).write_bytes(content)
        return content

    def _clip(self, whole):
        if not whole:
            return {}
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}

    def ask(self, method, **parameters):
        return self._ask(method, self._session, **parameters)

    def _ask(self, method, session=None, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        content = json.dumps(message).encode() + b"\0"
        while content:
            content = content[os.write(self._out, content) :]
        end = time.monotonic() + _SECONDS
        while time.monotonic() < end:
            answer = self._next(end)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self._note(answer)
        raise TimeoutError(f"chromium did not answer {method} in {_SECONDS} s")

    def _next(self, end):
        while b"\0" not in self._received:
            if not select.select([self._in], [], [], max(0.0, end - time.monotonic()))[0]:
                return {}
            part = os.read(self._in, 1 << 20)
            if not part:
                raise RuntimeError("chromium has ended")
            self._received += part
        message, self._received = self._received.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event):
        parameters = event.get("params", {})
        if event.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.errors.append(parameters["entry"]["text"])
        elif event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(parameters["exceptionDetails"]["exception"].get("description", "exception"))
        elif event.get("method") == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
