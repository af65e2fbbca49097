"""A `python` that need not import the libraries: its processes are forked from one that has imported them.

The bundle's own package is imported anew. What a process starts by `sys.executable -m ...`, be it the demo's steps,
folds or the processes of torchrun, is forked in the same way: `sys.executable` is a small program that asks for it.
"""

import atexit
import json
import multiprocessing
import os
import runpy
import shutil
import socket
import socketserver
import sys
import tempfile
import threading
from collections.abc import Sequence
from functools import cache
from multiprocessing import connection
from multiprocessing.context import ForkServerProcess
from multiprocessing.forkserver import ensure_running
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

_IMPORTED = [
    *("monai.bundle", "ignite.engine", "zarr", "ome_zarr_models", "scipy.ndimage", "skimage.measure"),
    *("torch.utils.tensorboard", "torch._dynamo"),  # every optimiser imports the last one when it is built
    "distributed",
]
_LAUNCHER = multiprocessing.get_context("forkserver")
_LAUNCHER.set_forkserver_preload(_IMPORTED)
# a process has one server: what a loader asks for comes on top
multiprocessing.set_forkserver_preload = lambda names: _LAUNCHER.set_forkserver_preload([*_IMPORTED, *names])
_STARTING = threading.Lock()  # multiprocessing looks after its processes whenever one is started

_PROGRAM = """#!{python} -IS
import json, os, socket, sys

words = sys.argv[2:] if sys.argv[1:2] == ["-u"] else sys.argv[1:]
if not words or words[0].startswith("-") and words[0] not in ("-m", "-c"):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect({address!r})
    said = json.dumps([words, os.getcwd(), dict(os.environ)]) + "\\n"
    socket.send_fds(asked, [b"!"], [0, 1, 2])
    asked.sendall(said.encode())
    sys.exit(int(asked.recv(16) or b"1"))
"""


def prepared_process(
    arguments: Sequence[str], folder: str, environment: dict[str, str], streams: Sequence[int]
) -> ForkServerProcess:
    """Start what `python ARGUMENTS` does.

    Args:
        arguments: `-m` and a module, `-c` and a program, or a file; then those of their own.
        folder: where it runs.
        environment: its variables.
        streams: descriptors of its input, output and errors.
    """
    given = (list(arguments), folder, environment, prepared_python())
    with _STARTING:
        process = _LAUNCHER.Process(target=_main, args=(*given, [DupFd(stream) for stream in streams]))
        process.start()
    return process


def ended(process: ForkServerProcess, timeout: float | None = None, *others: Any) -> int | None:
    """Wait until a process or one of others is ready; end the process where it is not done, and return its status.

    Returns:
        None where it was not done.
    """
    is_done = process.sentinel in connection.wait([process.sentinel, *others], timeout)
    with _STARTING:
        if not is_done:
            process.kill()
        process.join()
    return process.exitcode if is_done else None


def start_server() -> None:
    """Have the libraries imported, for processes that others fork, too."""
    ensure_running()


@cache
def prepared_python() -> str:
    """Path of a program that does what `python` does, as long as this process lives."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    server = _Server(str(folder / "socket"), _Request)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    program = folder / "python"
    program.write_text(_PROGRAM.format(python=sys.executable, address=server.server_address))
    program.chmod(0o755)
    return str(program)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


class _Request(socketserver.BaseRequestHandler):
    """One process that is asked for; it ends with the program that asks."""

    def handle(self) -> None:
        _, streams, *_ = socket.recv_fds(self.request, 1, 3)
        with self.request.makefile() as file:
            asked = json.loads(file.readline())
        process = prepared_process(*asked, streams)
        for stream in streams:
            os.close(stream)
        status = ended(process, None, self.request)
        if status is not None:
            self.request.sendall(str(status if status >= 0 else 128 - status).encode())


def _main(arguments: list[str], folder: str, environment: dict[str, str], python: str, streams: list[Any]) -> None:
    """What Python does, in a process that has imported the libraries already."""
    for number, stream in enumerate(streams):
        os.dup2(stream.detach(), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    kind, sys.executable = arguments[0], python
    sys.argv = arguments[1:] if kind in ("-m", "-c") else arguments
    try:
        if kind == "-m":
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        elif kind == "-c":
            exec(compile(sys.argv[0], "<string>", "exec"), {"__name__": "__main__"})
        else:
            runpy.run_path(kind, run_name="__main__")
    except Exception:
        sys.excepthook(*sys.exc_info())  # which the bundle replaces
        sys.exit(1)
    finally:
        atexit._run_exitfuncs()
