"""Strides and kernels, and the smallest patch that has a number of stages."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.networks import plan_unet, smallest_patch
from scripts.networks.topology import plan_topology

ONE = (1, 1, 1)


def test_axis_halved_alone_needs_three_edges():
    # Only x can be halved: at 12 it is, at 8 it is not.
    assert plan_topology((4, 4, 12), ONE)[0] == (ONE, (1, 1, 2))
    assert plan_topology((4, 4, 8), ONE)[0] == (ONE,)


def test_min_edge_stops_the_halving():
    assert plan_topology((64, 64, 64), ONE, min_edge=8)[0] == (ONE, *[(2, 2, 2)] * 3)
    assert plan_topology((64, 64, 64), ONE, min_edge=9)[0] == (ONE, *[(2, 2, 2)] * 2)


def test_axes_of_twice_the_spacing_wait_and_their_kernels_too():
    # x is halved alone until its spacing of 4 is less than twice that of z and y, 4 and 7
    strides, kernels = plan_topology((64, 64, 64), (4, 7, 1))
    assert strides[:4] == (ONE, (1, 1, 2), (1, 1, 2), (2, 2, 2))
    assert kernels[:3] == ((1, 1, 3), (1, 1, 3), (3, 3, 3))


@given(st.integers(1, 6), st.lists(st.sampled_from([0.5, 1.0, 1.7, 2.0, 3.0, 5.0, 9.0]), min_size=2, max_size=3))
@settings(max_examples=100, deadline=None)
def test_smallest_patch_has_the_stages_and_one_step_less_has_not(n_stages, spacing):
    smallest = smallest_patch(n_stages, spacing)
    strides = plan_unet(smallest, spacing).strides[:n_stages]
    assert len(strides) == n_stages
    divisor = [math.prod(stride[axis] for stride in strides) for axis in range(len(spacing))]
    for axis, step in enumerate(divisor):
        assert smallest[axis] % step == 0
        if step > 1:
            smaller = [size - step * (a == axis) for a, size in enumerate(smallest)]
            assert plan_unet(smaller, spacing).strides[:n_stages] != strides
