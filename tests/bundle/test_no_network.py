"""Nothing is asked of the network while all paths are local: by a training, its workers, a prediction, the demo."""

import socket
import subprocess
import sys

import pytest
from tests.bundle.config_runs import run_config
from tests.bundle.config_scenes import SETS, make_data
from tests.bundle.running import BUNDLE, write_overlay

GUARD = """
import socket

def _is_here(address):
    return not isinstance(address, tuple) or str(address[0]) in ("127.0.0.1", "::1", "localhost", "")

def _refuse(what):
    raise RuntimeError(f"the network was asked: {what}")

class _Socket(socket.socket):
    def connect(self, address):
        return super().connect(address) if _is_here(address) else _refuse(address)

    def connect_ex(self, address):
        return super().connect_ex(address) if _is_here(address) else _refuse(address)

_ask = socket.getaddrinfo
socket.socket = _Socket
socket.getaddrinfo = lambda host, *rest, **more: _ask(host, *rest, **more) if _is_here((host,)) else _refuse(host)
"""


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """A folder whose `sitecustomize` guards processes that start anew, such as data workers; and this one guarded."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "guard"))
    monkeypatch.setattr(socket, "socket", socket.socket)
    monkeypatch.setattr(socket, "getaddrinfo", socket.getaddrinfo)
    exec(GUARD, {})
    return tmp_path


def test_the_guard_refuses(no_network):
    with pytest.raises(RuntimeError, match=r"the network was asked: example\.org"):
        socket.create_connection(("example.org", 80), timeout=1)
    with socket.socket() as one, pytest.raises(RuntimeError, match="the network was asked"):
        one.connect(("192.0.2.1", 80))


@pytest.mark.parametrize("name", ["train", "inference", "process"])
def test_a_run_asks_nothing_of_the_network(no_network, name):
    make_data(no_network / "data")
    (chosen,) = [one for one in SETS if one.name == name]
    config = chosen.merged(no_network / "data", no_network / "run")
    if name == "train":
        config["num_workers"] = 1
    outcome = run_config(config, no_network / "run", seconds=200)
    assert outcome.stage == "ran", outcome.message or repr(outcome.error)


@pytest.mark.stress
def test_the_demo_asks_nothing_of_the_network(no_network):
    """Every process of it is guarded by `sitecustomize`."""
    short = {"max_epochs": 1, "max_steps_per_epoch": 2, "max_val_steps_per_epoch": 1}
    words = [
        "demo",
        "--output",
        no_network / "demo",
        "--size",
        128,
        "--config",
        write_overlay(no_network / "x.json", **short),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "scripts", *map(str, words)], cwd=BUNDLE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (no_network / "demo" / "report.html").is_file()
