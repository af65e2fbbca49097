"""A bar where someone watches, lines where a log is written."""

import io
import logging
import sys

import pytest

from scripts.blockwise import WorkProgress, progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_without_a_terminal_a_line_is_logged_now_and_then(caplog, clock, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with caplog.at_level(logging.INFO), WorkProgress("convert scan", 8, "boxes", interval=10) as work:
        for seconds in (4, 4, 4, 4, 4, 4):
            clock[0] += seconds
            work.advance()
    assert caplog.messages == [
        "convert scan: 3 of 8 boxes, 0:00:20 left",
        "convert scan: 6 of 8 boxes, 0:00:08 left",
    ]


def test_parts_are_counted_by_their_number(caplog, clock, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with caplog.at_level(logging.INFO), WorkProgress("search", 100, "boxes") as work:
        clock[0] += 30
        work.advance(75)
    assert caplog.messages == ["search: 75 of 100 boxes, 0:00:10 left"]


def test_a_terminal_gets_a_bar_and_no_lines(caplog, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with caplog.at_level(logging.INFO), WorkProgress("convert scan", 2, "boxes", interval=0) as work:
        work.advance()
        work.advance()
    assert "convert scan" in terminal.getvalue()
    assert caplog.messages == []
