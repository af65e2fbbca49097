"""`view`: what it says, when it ends, and the commands of its page in the docs."""

import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import zarr

pytest.importorskip("neuroglancer", reason="the extra `view` is not installed")

from scripts.__main__ import main
from scripts.viewers import LayerKind
from scripts.volumes import NORMAL_INT8, Encoding, create_ome_zarr
from scripts.workflows.view import view

BUNDLE = Path(__file__).parents[2] / "bundle"
DOCS = (BUNDLE / "docs" / "viewing.md").read_text()


def write(path, array, **options):
    writer = create_ome_zarr(path, array.shape, array.dtype, spacing=(8, 4, 4), unit="nm", levels=2, **options)
    writer.write((0, 0, 0), array, aligned=False)
    writer.finish()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The volumes that the docs name; the working directory."""
    rng = np.random.default_rng(0)
    write(tmp_path / "scan.zarr", rng.integers(1, 255, (1, 30, 128, 96)).astype("uint8"))
    zarr.create_group(tmp_path / "prediction.zarr")
    sheet = rng.integers(1, 255, (1, 30, 128, 96)).astype("uint8")
    write(tmp_path / "prediction.zarr" / "sheet", sheet, attributes=Encoding(scale=1 / 255).as_attributes())
    normals = rng.integers(1, 127, (3, 30, 128, 96)).astype("int8")
    write(tmp_path / "prediction.zarr" / "normals", normals, attributes=NORMAL_INT8.as_attributes())
    tifffile.imwrite(tmp_path / "cells.tif", np.ones((30, 128, 96), "uint16"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["scripts", "view", *map(str, arguments)])
    main()


def test_it_says_what_is_shown(folder, capsys):
    view("scan.zarr", "prediction.zarr", "cells.tif", no_wait=True)
    url, *table = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v/[0-9a-f]{40}/", url)
    assert [re.split(r"  +", line) for line in table] == [
        ["layer", "shown as", "voxels z y x", "levels", "type", "chunks"],
        ["scan", "image", "30 128 96", "2", "uint8", "as stored"],
        ["prediction/normals", "normals", "30 128 96", "2", "int8, 3 channels",
         "read by Python: its channels are in chunks of their own"],
        ["prediction/sheet", "probability", "30 128 96", "2", "uint8", "as stored"],
        ["cells", "labels", "30 128 96", "1", "uint16", "read by Python: it is no zarr"],
    ]  # fmt: skip


@pytest.mark.parametrize("kinds", ["{sheet: image, cells: instances}", {"sheet": "image", "cells": "instances"}])
def test_kinds_that_are_asked_for(folder, capsys, kinds):
    view("scan.zarr", "prediction.zarr", "cells.tif", kinds=kinds, no_wait=True)
    assert re.findall(r"(?:sheet|cells) +(\w+)", capsys.readouterr().out) == ["image", "instances"]


@pytest.mark.parametrize("open_browser", [False, True])
def test_it_serves_until_interrupted(folder, capsys, monkeypatch, open_browser):
    opened, seen = [], []

    def look():
        seen.append(capsys.readouterr().out.splitlines()[0])
        with urllib.request.urlopen(seen[0], timeout=30) as answer:
            assert b"neuroglancer" in answer.read()

    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("scripts.workflows.view._wait_for_interrupt", look)
    view("scan.zarr", open=open_browser)
    assert opened == (seen if open_browser else [])
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(seen[0], timeout=30)


def heed_interrupts():
    """Undo what a shell does to commands in the background: they, and all that they start, ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.long
def test_ctrl_c_ends_the_command(folder):
    command = [sys.executable, "-m", "scripts", "view", str(folder / "scan.zarr")]
    with subprocess.Popen(
        command, cwd=BUNDLE, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts,
    ) as process:  # fmt: skip
        try:
            lines = [process.stdout.readline() for _ in range(4)]
            assert lines[-1] == "Ctrl-C ends it.\n"
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.zarr"], "error: nothing.zarr does not exist; the nearest folder that does is"),
        (["scan.zarr", "--kinds", "{scan: lables}"], r"error: kinds: scan: .* got 'lables' \(did you mean 'labels'"),
        (["scan.zarr", "--kinds", "{scan: "], "error: kinds: expected names and kinds, such as .*, got '{scan: '"),
        (["scan.zarr", "--position", "1,2"], r"error: position: expected three numbers \[z, y, x\], got \(1, 2\)"),
        (["scan.zarr", "--position", "30,2,3"], r"error: position: the voxel \[30.0, 2.0, 3.0\] lies outside of"),
        (["scan.zarr", "--port", "123456"], "error: port: expected a number from 1 to 65535, .* got 123456"),
    ],
)  # fmt: skip
def test_faults_end_with_one_line(folder, monkeypatch, arguments, message):
    with pytest.raises(SystemExit, match=message):
        run(monkeypatch, *arguments)


def test_time_position_and_port_that_are_asked_for(folder, monkeypatch):
    asked = []

    def open_layers(paths, kinds, time):
        asked.append(time)
        return [SimpleNamespace(name="scan")]

    def page(layers, **options):
        asked.append(options)
        raise ValueError("enough")

    monkeypatch.setattr("scripts.workflows.view.open_layers", open_layers)
    monkeypatch.setattr("scripts.workflows.view.NeuroglancerPage", page)
    with pytest.raises(SystemExit, match="error: enough"):
        run(monkeypatch, "scan.zarr", "--time", "4", "--position", "1,2,3", "--port", "8765")
    assert asked == [4, {"position": (1, 2, 3), "port": 8765, "title": "scan"}]


COMMANDS = re.findall(r"^python -m scripts view (.*)$", DOCS, re.M)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_of_the_docs(folder, capsys, monkeypatch, command):
    run(monkeypatch, *shlex.split(command.replace("8765", "0")), "--no-wait")
    shown = capsys.readouterr().out
    assert shown.startswith("http://127.0.0.1:")
    if "cells: labels" in command:
        assert re.findall(r"(?:sheet|cells) +(\w+)", shown) == ["image", "labels"]


def test_the_docs_have_commands_and_name_every_kind(folder):
    assert len(COMMANDS) >= 4
    assert re.findall(r"^\| `(\w+)` \|", DOCS, re.M) == [str(kind) for kind in LayerKind]


def test_the_python_of_the_docs(folder, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", DOCS, re.S)
    exec(compile(code, "viewing.md", "exec"), {})
    assert capsys.readouterr().out.endswith("/ [48. 64. 15.]\n")
