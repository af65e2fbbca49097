"""Work in another thread: its order, its bounds, its errors."""

import threading

import pytest

from scripts.blockwise import Behind, ahead

PATIENCE = 10
"""Seconds after which a thread that should have done something has failed."""


class Counted:
    """Numbers 0, 1, 2 ..., of which it is known how many were taken."""

    def __init__(self, stop=None):
        self.taken, self.stop = 0, stop
        self._changed = threading.Condition()

    def __iter__(self):
        while self.taken != self.stop:
            with self._changed:
                self.taken += 1
                self._changed.notify_all()
            yield self.taken - 1

    def wait_for(self, count):
        with self._changed:
            return self._changed.wait_for(lambda: self.taken >= count, PATIENCE)


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith(("ahead", "behind"))]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert threads() == []


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_all_items_come_in_their_order(depth, count):
    with ahead(range(count), depth) as items:
        assert list(items) == list(range(count))


def test_items_are_made_before_they_are_wanted_but_only_so_many():
    source = Counted()
    with ahead(source, 3) as items:
        for taken in range(5):
            # taken by the consumer, waiting, and in the hands of the thread
            assert source.wait_for(taken + 3 + 1)
            threading.Event().wait(0.03)
            assert source.taken == taken + 3 + 1
            assert next(items) == taken


def test_an_error_comes_where_its_item_would_have_come():
    def fails():
        yield 1
        yield 2
        raise OSError(28, "full")

    with ahead(fails(), 5) as items:
        assert [next(items), next(items)] == [1, 2]
        with pytest.raises(OSError, match="full"):
            next(items)


def test_whoever_leaves_early_leaves_no_work_behind():
    source = Counted()

    def leave():
        with ahead(source, 2) as items:
            assert next(items) == 0
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave()
    assert threads() == []
    taken = source.taken
    assert taken <= 1 + 2 + 1
    threading.Event().wait(0.05)
    assert source.taken == taken


def test_calls_are_made_one_after_the_other_while_their_caller_goes_on():
    done, may_go = [], threading.Event()

    def slowly(n):
        assert may_go.wait(PATIENCE)
        done.append(n)

    with Behind() as behind:
        behind.submit(slowly, 0)
        assert done == []
        may_go.set()
        for n in range(1, 20):
            behind.submit(slowly, n)
            assert done[:n] == list(range(n))  # the one before it has ended
    assert done == list(range(20))


def test_the_error_of_a_call_is_raised_by_the_next_one_which_is_not_made():
    done = []
    with Behind() as behind:
        behind.submit(lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            behind.submit(done.append, 1)
    assert done == []


def test_the_error_of_the_last_call_is_raised_at_the_end():
    behind = Behind()
    with behind:
        behind.submit(int, "1")
        behind.wait()
        behind.wait()
    with pytest.raises(ValueError, match="invalid literal for int"), Behind() as behind:
        behind.submit(int, "x")


def test_an_error_of_the_caller_waits_for_the_last_call_and_is_not_hidden_by_its_error():
    started, done = threading.Event(), []

    def fails():
        started.set()
        threading.Event().wait(0.03)
        done.append(1)
        raise ValueError("of the call")

    def run():
        with Behind() as behind:
            behind.submit(fails)
            assert started.wait(PATIENCE)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert done == [1]
