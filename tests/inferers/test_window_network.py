"""Which of passes and views stand around a network."""

from tests.inferers.runs import TARGETS, TwoOutputs

from scripts.inferers import SlicePasses, TestTimeAugmentation, ZarrSlidingWindowInferer
from scripts.inferers.window_network import window_network


def around(network, **options):
    return window_network(network, TARGETS, ZarrSlidingWindowInferer(8, 4, **options).settings, (1, 1, 1))


def test_a_network_stays_alone_where_nothing_further_is_wanted():
    network = TwoOutputs()
    assert around(network) is network


def test_views_stand_around_passes_and_these_around_the_network():
    network = TwoOutputs()
    assert isinstance(around(network, mirror_axes=["z"]), TestTimeAugmentation)
    passes = around(network, slice_axes=["x"])
    assert isinstance(passes, SlicePasses)
    assert passes.slices_at_once == 4
    both = around(network, mirror_axes=["z"], slice_axes=["x"])
    assert isinstance(both, TestTimeAugmentation)
    assert isinstance(both.network, SlicePasses)
    assert both.network.network is network
