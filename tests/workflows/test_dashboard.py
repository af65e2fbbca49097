"""`dashboard`: what it prints and writes, when it ends, and the commands of its page in the docs."""

import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import fire
import pytest
from tests.viewers.dashboard_run import make_run

from scripts.workflows.dashboard import dashboard

BUNDLE = Path(__file__).parents[2] / "bundle"
DOCS = (BUNDLE / "docs" / "dashboard.md").read_text()

WAIT = "scripts.workflows.dashboard._wait_for_interrupt"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The run that the docs name lies in the working directory."""
    make_run(tmp_path / "output")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commands():
    blocks = re.findall(r"^```bash\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)
    found = [shlex.split(line) for block in blocks for line in block.splitlines()]
    return [words for words in found if words[:4] == ["python", "-m", "scripts", "dashboard"]]


def test_an_export_says_where_and_how_large(folder, capsys):
    dashboard("output", export="page.html")
    size = (folder / "page.html").stat().st_size / 2**20
    assert capsys.readouterr().out == f"page.html: {size:.1f} MiB\n"
    assert "output</title>" in (folder / "page.html").read_text()


def test_what_is_no_run_is_an_error(folder):
    with pytest.raises(FileNotFoundError, match="nothing is no folder"):
        dashboard("nothing")
    with pytest.raises(ValueError, match=r"port: expected a number from 1 to 65535.*got 70000"):
        dashboard("output", port=70000)


def page_behind(printed):
    with urllib.request.urlopen(printed.split()[0], timeout=20) as answer:
        return answer.read().decode()


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_of_the_docs_does_what_it_says(folder, words, capsys, monkeypatch):
    if "--port" in words:
        words = [*words[: words.index("--port") + 1], "0"]  # the named one may be in use
    pages = []
    monkeypatch.setattr(WAIT, lambda: pages.append(page_behind(capsys.readouterr().out)))
    fire.Fire(dashboard, words[4:])
    if "--export" in words:
        assert re.fullmatch(r"report\.html: \d+\.\d MiB\n", capsys.readouterr().out)
        pages.append((folder / "report.html").read_text())
    (page,) = pages
    assert "output</title>" in page
    assert ('data-refresh="2"' in page) == ("--refresh" in words)


def heed_interrupts():
    """Undo what a shell does to commands in the background: they, and all that they start, ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.long
def test_an_interrupt_ends_it_without_a_word(folder):
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts", "dashboard", "output"],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=heed_interrupts,
        env={"PYTHONPATH": str(BUNDLE), "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert "output</title>" in page_behind(process.stdout.readline())
        assert process.stdout.readline() == "Ctrl-C ends it.\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stdout.read() == ""
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_docs_have_commands():
    assert len(commands()) >= 3


def test_a_browser_is_opened_where_that_is_asked_for(folder, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(WAIT, lambda: None)
    dashboard("output")
    assert opened == []
    dashboard("output", open=True)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", opened[0])
