"""Samplers and losses hear of an epoch before its first batch."""

from ignite.engine import Engine

from scripts.engines import SetEpoch


class Listener:
    def __init__(self):
        self.epochs = []

    def set_epoch(self, epoch):
        self.epochs.append(epoch)

    def __iter__(self):
        return iter([self.epochs[-1]] * 2)

    def __len__(self):
        return 2


def test_the_first_batch_is_drawn_after_it():
    data, other, drawn = Listener(), Listener(), []
    engine = Engine(lambda engine, item: drawn.append(item))
    SetEpoch([data, other]).attach(engine)
    engine.run(data, max_epochs=3, epoch_length=2)
    assert data.epochs == other.epochs == [1, 2, 3]
    assert drawn == [1, 1, 2, 2, 3, 3]


def test_a_resumed_run_says_where_it_is():
    data = Listener()
    engine = Engine(lambda engine, item: None)
    SetEpoch([data]).attach(engine)
    engine.load_state_dict({"epoch": 4, "epoch_length": 2, "max_epochs": 6})
    engine.run(data, epoch_length=2)
    assert data.epochs == [5, 6]


class Sampler(Listener):
    """One that can skip what was drawn."""

    skipped = ()

    def skip(self, samples):
        self.skipped += (samples,)


class Loader(list):
    batch_size = 4


def test_in_the_midst_of_an_epoch_what_was_drawn_is_skipped_once():
    sampler, other = Sampler(), Listener()
    engine = Engine(lambda engine, item: None)
    SetEpoch([sampler, other]).attach(engine)
    engine.load_state_dict({"iteration": 8, "epoch_length": 3, "max_epochs": 5})
    engine.run(Loader([0, 0, 0]), epoch_length=3)
    assert sampler.epochs == other.epochs == [3, 4, 5]
    assert sampler.skipped == (8,)  # 2 batches of 4
