"""Ctrl-C and SIGTERM: the status, the line, and who is left alone."""

import os
import signal
import threading

import pytest

from scripts.blockwise import going_on, orderly_exit, run_orderly

STATUS = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated")}


@pytest.mark.parametrize("number", STATUS)
def test_a_signal_ends_with_its_status_and_one_line(number, capfd):
    status, word = STATUS[number]
    before, closed = [signal.getsignal(one) for one in STATUS], []

    def work():
        try:
            with going_on(lambda: "x.zarr: 2 of 3 blocks are finished"):
                os.kill(os.getpid(), number)
        finally:
            closed.append(True)

    with pytest.raises(SystemExit) as stopped:
        run_orderly(work)
    assert stopped.value.code == status
    assert capfd.readouterr().err == f"{word}. x.zarr: 2 of 3 blocks are finished\n"
    assert closed == [True]
    assert [signal.getsignal(one) for one in STATUS] == before


def test_results_and_errors_come_through():
    assert run_orderly(lambda: 7) == 7
    with pytest.raises(KeyError, match="gone"):
        run_orderly(lambda: {}["gone"])
    with pytest.raises(SystemExit) as ended:  # somebody else's
        run_orderly(lambda: exit(3))
    assert ended.value.code == 3


def test_without_anything_to_say_the_word_alone_is_printed(capfd):
    with pytest.raises(SystemExit), orderly_exit():
        raise KeyboardInterrupt
    assert capfd.readouterr().err == "interrupted\n"


def test_errors_get_no_words():
    with pytest.raises(ValueError, match="wrong") as caught, going_on(lambda: "words"):
        raise ValueError("wrong")
    assert not hasattr(caught.value, "__notes__")


def test_a_process_that_ignores_the_signal_goes_on_ignoring_it():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with orderly_exit():
            os.kill(os.getpid(), signal.SIGTERM)
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_in_another_thread_nothing_is_changed():
    found = []
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=lambda: run_orderly(lambda: found.append(signal.getsignal(signal.SIGTERM))))
    thread.start()
    thread.join()
    assert found == [before]
