"""Moving averages against the recursion written out."""

import pytest
import torch
from ignite.engine import Engine

from scripts.engines import TrainingEvents, WeightAverage


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([0.0]))
        self.register_buffer("seen", torch.tensor(0))


def expected(values, decay):
    """The first value, then k average + (1 - k) value with k = min(decay, (1 + n) / (10 + n)) after n values."""
    average = values[0]
    for n, value in enumerate(values[1:], start=1):
        kept = min(decay, (1 + n) / (10 + n))
        average = kept * average + (1 - kept) * value
    return average


@pytest.mark.parametrize("decay", [0.0, 0.25, 0.999])
def test_the_average_follows_each_step_of_the_optimiser(decay):
    values = [1.0, 3.0, -2.0, 8.0]
    network = Network()

    def step(engine, value):
        with torch.no_grad():
            network.weight.fill_(value)
            network.seen += 1
        if value != 99.0:
            engine.fire_event(TrainingEvents.OPTIMIZER_STEPPED)

    average = WeightAverage(network, decay)
    engine = Engine(step)
    average.attach(engine)
    engine.run([*values, 99.0])
    assert average.network.weight.item() == pytest.approx(expected(values, decay))
    assert network.weight.item() == 99.0
    assert average.network.seen.item() == 4


def test_an_average_that_is_brought_back_goes_on_alike():
    straight, network = WeightAverage(Network(), 0.9), Network()
    for value in (1.0, 2.0, 5.0):
        with torch.no_grad():
            straight.source.weight.fill_(value)
        straight.update()
    first = WeightAverage(network, 0.9)
    for value in (1.0, 2.0):
        with torch.no_grad():
            network.weight.fill_(value)
        first.update()
    second = WeightAverage(network, 0.9)
    second.load_state_dict(first.state_dict())
    with torch.no_grad():
        network.weight.fill_(5.0)
    second.update()
    assert torch.equal(second.network.weight, straight.network.weight)


@pytest.mark.parametrize("decay", [1.0, -0.1])
def test_a_decay_out_of_range_is_an_error(decay):
    with pytest.raises(ValueError, match=f"decay must be at least 0 and below 1, got {decay}"):
        WeightAverage(Network(), decay)
