"""A signal ends an engine where its state is whole; whole trainings are in tests/bundle/test_interrupts.py."""

import os
import signal
import threading

import pytest
from ignite.engine import Engine, Events

from scripts.engines import StopOnSignal, StoppedBySignal, TrainingEvents, on_stop


class Run:
    """A trainer of three steps that notes what happens."""

    def __init__(self, step=lambda engine, item: None):
        self.seen = []
        self.trainer = Engine(step)
        StopOnSignal().attach(self.trainer)
        self.trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: self.seen.append("step"))
        on_stop(self.trainer, lambda: self.seen.append("saved"))

    def run(self, data=(0, 0, 0)):
        self.trainer.run(data, max_epochs=1)


@pytest.fixture(autouse=True)
def handlers_are_restored():
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    yield
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before


def send(number=signal.SIGINT):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_step_is_finished_and_saved_and_the_status_is_the_shell_s(number, status):
    run = Run(lambda engine, item: send(number) if engine.state.iteration == 2 else None)
    with pytest.raises(StoppedBySignal, match=f"^stopped by {number.name}$") as stopped:
        run.run()
    assert stopped.value.code == status
    assert run.seen == ["step", "step", "saved"]


def data(place):
    """Three items, the signal while one of them is made."""
    for number in range(3):
        if number == place:
            send()
            raise AssertionError("the loader was waited for")
        yield number


@pytest.mark.parametrize("place", [0, 2])
def test_who_waits_for_data_leaves_at_once(place):
    run = Run()
    with pytest.raises(StoppedBySignal):
        run.run(data(place))
    assert run.seen == ["step"] * place + ["saved"]


def test_the_second_signal_in_a_step_saves_nothing():
    def step(engine, item):
        send()
        send(signal.SIGTERM)

    run = Run(step)
    with pytest.raises(StoppedBySignal, match="SIGTERM"):
        run.run()
    assert run.seen == []


def test_a_second_signal_while_saving_ends_the_saving():
    run = Run(lambda engine, item: send())
    run.trainer.add_event_handler(TrainingEvents.STOPPED, lambda: send())
    on_stop(run.trainer, lambda: run.seen.append("never"))
    with pytest.raises(StoppedBySignal):
        run.run()
    assert run.seen == ["step", "saved"]


def test_a_run_that_is_done_ends_with_the_signal_too():
    run = Run()
    run.trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: send())
    with pytest.raises(StoppedBySignal):
        run.run()
    assert run.seen == ["step"] * 3 + ["saved"]


def test_other_errors_are_raised_and_nothing_is_saved():
    def fail(engine, item):
        raise KeyError("lost")

    run = Run(fail)
    with pytest.raises(KeyError, match="lost"):
        run.run()
    assert run.seen == []


def test_outside_the_main_thread_signals_are_left_alone():
    run = Run()
    thread = threading.Thread(target=run.run)
    thread.start()
    thread.join()
    assert run.seen == ["step"] * 3


def test_an_engine_that_runs_twice_stops_once():
    run = Run(lambda engine, item: send() if engine.state.iteration == 5 else None)
    run.run()
    with pytest.raises(StoppedBySignal):
        run.trainer.run([0, 0, 0], max_epochs=2)
    assert run.seen == ["step"] * 5 + ["saved"]
