"""Parts of a job in threads of this process."""

import contextlib
import threading

import pytest

from scripts.blockwise import DaskWorkers, Threads, choose_workers


class Squares:
    """Squares numbers, and notes how many are at work at the same time."""

    def __init__(self):
        self.together = self.most = self.prepared_for = 0
        self.lock = threading.Lock()
        self.met = threading.Barrier(2, timeout=10)

    @contextlib.contextmanager
    def prepared(self, worker):
        self.prepared_for += 1
        yield

    def square(self, part):
        with self.lock:
            self.together += 1
            self.most = max(self.most, self.together)
        with self.lock:
            self.together -= 1
        return part[0] ** 2

    def meet(self, part):
        self.met.wait()  # fails unless two are at work
        return part[0]

    def fail(self, part):
        raise ValueError(f"part {part[0]}")


@pytest.mark.parametrize("threads", [1, 3])
def test_every_call_is_made_once(threads):
    job = Squares()
    with Threads(threads).pool() as pool:
        assert sorted(pool.map(job, [("square", (n,)) for n in range(50)])) == [n * n for n in range(50)]
    assert job.most <= threads
    assert job.prepared_for == 1


def test_threads_work_at_the_same_time():
    assert sorted(Threads(2).map(Squares(), [("meet", (n,)) for n in range(4)])) == [0, 1, 2, 3]


def test_calls_that_follow_are_made_too():
    def follow(call, result):
        return [("square", (result,))] if result < 100 else []

    assert sorted(Threads(2).map(Squares(), [("square", (3,))], follow)) == [9, 81, 6561]


def test_an_error_ends_the_run():
    with pytest.raises(ValueError, match="part 7"):
        list(Threads(2).map(Squares(), [("square", (1,)), ("fail", (7,))]))


def test_workers_are_dask_s_where_any_are_named():
    assert choose_workers(threads=3) == Threads(3)
    assert choose_workers(None, 2, 4) == DaskWorkers(None, 2, 4)
    assert choose_workers("tcp://host:1") == DaskWorkers("tcp://host:1")
    with pytest.raises(ValueError, match=r"cluster must be the address of a scheduler, .* got 7"):
        choose_workers(7)
