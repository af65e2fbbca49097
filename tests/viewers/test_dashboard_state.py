"""Running, stopped, finished: what the record, the clock and the list of processes say together."""

import os
import socket
import subprocess
import sys

import pytest

from scripts.viewers.dashboard_state import SILENCE, run_state

NOW = 1_000_000.0


def record(**changes):
    return {"state": "running", "phase": "training", "host": socket.gethostname(), "pid": os.getpid()} | changes


@pytest.fixture(scope="module")
def ended():
    """Number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_process_that_writes_is_running():
    assert run_state(record(), NOW - 5, NOW) == "running"


def test_a_process_that_is_gone_has_stopped(ended):
    assert run_state(record(pid=ended), NOW - 1, NOW) == "stopped"
    assert run_state(record(pid=None), NOW - 1, NOW) == "stopped"


@pytest.mark.parametrize("state", ["finished", "failed"])
def test_an_end_is_an_end_whatever_the_process_does(state, ended):
    assert run_state(record(state=state, pid=ended), NOW - 9999, NOW) == state


def test_silence_is_named_once_it_is_longer_than_slow_steps_explain():
    assert run_state(record(), NOW - SILENCE - 1, NOW) == "silent"
    assert run_state(record(), None, NOW) == "silent"
    slow = record(seconds_per_iteration=30.0)
    assert run_state(slow, NOW - 290, NOW) == "running"
    assert run_state(slow, NOW - 310, NOW) == "silent"


def test_the_first_batch_has_more_time():
    assert run_state(record(phase="start"), NOW - 9 * SILENCE, NOW) == "running"
    assert run_state(record(phase="start"), NOW - 11 * SILENCE, NOW) == "silent"


def test_of_another_machine_only_signs_count(ended):
    assert run_state(record(host="elsewhere", pid=ended), NOW - 5, NOW) == "running"
    assert run_state(record(host="elsewhere", pid=ended), NOW - SILENCE - 1, NOW) == "silent"


def test_without_a_record_nothing_is_known():
    assert run_state(None, NOW, NOW) == "unknown"
