"""What is told while a run goes on, and the totals that it ends with."""

import io
import logging
import re
import resource
import sys
import threading

import pytest

from scripts.inferers import progress as module
from scripts.inferers.progress import RunProgress, peak_memory
from scripts.inferers.totals import Totals


class Clock:
    """Stands for `time.monotonic`."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module.time, "monotonic", clock)
    return clock


def lines(caplog):
    return [record.getMessage() for record in caplog.records if record.name == module.__name__]


def test_a_line_says_windows_rate_remaining_time_bytes_and_memory(clock, caplog):
    caplog.set_level(logging.INFO)
    progress = RunProgress("brain", Totals(windows=1000, skipped=100, resumed=200), interval=15)
    clock.now += 10
    progress.advance(20)  # too soon for a line
    progress.add(Totals(bytes_read=3_000_000, bytes_written=2500, bad_chunks=["a"]))
    clock.now += 10
    progress.advance(20)  # 40 in 20 s: 2 a second; 1000 - 340 are left
    clock.now += 5
    progress.advance(1)
    (line,) = lines(caplog)
    expected = "predict brain: 340 of 1000 windows, 2 a second, 0:05:30 left, 3 MB read, 2.5 kB written, peak memory "
    assert line.startswith(expected)
    amount, unit = line.removeprefix(expected).split()
    factor = {"MB": 1e6, "GB": 1e9}[unit]
    assert float(amount) * factor == pytest.approx(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, rel=0.1)
    clock.now += 11
    progress.advance(1)
    assert len(lines(caplog)) == 2


def test_before_the_first_window_there_is_no_rate(clock, caplog):
    caplog.set_level(logging.INFO)
    progress = RunProgress("brain", Totals(windows=10), interval=0)
    progress.advance(0)
    assert lines(caplog)[0].startswith("predict brain: 0 of 10 windows, 0 a second, 0:00:00 left")


def test_on_a_terminal_a_bar_takes_the_place_of_the_lines(monkeypatch, caplog):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    caplog.set_level(logging.INFO)
    progress = RunProgress("brain", Totals(windows=8, resumed=2), interval=0)
    progress.advance(6)
    progress.add(Totals(bytes_read=1000))
    progress.close()
    assert re.search(r"predict brain: 100%.* 8/8 .*1 kB read, 0 B written", terminal.getvalue())
    assert lines(caplog) == []


def test_the_totals_are_the_sums_of_all_parts_from_any_thread(clock):
    totals = Totals(windows=400, skipped=10, resumed=30)
    progress = RunProgress("brain", totals)
    part = Totals(evaluated=2, skipped=1, bytes_read=3, bytes_written=4, chunks_written=5, spilled_bytes=6)

    def work():
        for _ in range(30):
            progress.advance(3)
            progress.add(part)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    progress.add(Totals(bad_chunks=["a", "b"]))
    progress.add(Totals(bad_chunks=["b", "c"]))
    clock.now += 1.23456
    assert progress.close() == {
        "windows": 400,
        "evaluated": 240,
        "skipped": 130,
        "resumed": 30,
        "bytes_read": 360,
        "bytes_written": 480,
        "chunks_written": 600,
        "spilled_bytes": 720,
        "bad_chunks": ["a", "b", "c"],  # each once
        "seconds": 1.235,
        "peak_memory_bytes": peak_memory(),
    }
    assert totals.evaluated == 240


@pytest.mark.parametrize(
    ("n_bytes", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1_234_567, "1.23 MB"),
        (5e9, "5 GB"),
        (7e12, "7 TB"),
        (8e15, "8e+03 TB"),
    ],
)
def test_sizes_are_said_in_three_digits(n_bytes, said):
    assert module._size(n_bytes) == said


def test_where_the_system_does_not_say_the_memory_is_left_out(monkeypatch, caplog, clock):
    monkeypatch.setattr(module, "resource", None)
    caplog.set_level(logging.INFO)
    progress = RunProgress("brain", Totals(windows=1), interval=0)
    progress.advance(1)
    assert "memory" not in lines(caplog)[0]
    assert progress.close()["peak_memory_bytes"] is None
