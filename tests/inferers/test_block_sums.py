"""Weighted sums against a loop in float64."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.inferers.block_sums import BlockSums, part_of

SIDES = st.tuples(*[st.integers(1, 7)] * 3)


@settings(max_examples=60, deadline=None)
@given(
    start=st.tuples(*[st.integers(0, 5)] * 3),
    size=SIDES,
    roi=SIDES,
    channels=st.integers(1, 3),
    shifts=st.lists(st.tuples(*[st.integers(0, 12)] * 3), max_size=5),
    seed=st.integers(0, 99),
)
def test_sums_are_those_of_a_loop_also_for_windows_that_reach_beyond_the_box(start, size, roi, channels, shifts, seed):
    rng = np.random.default_rng(seed)
    weight = rng.uniform(0.1, 1, roi).astype(np.float32)
    sums = BlockSums((start, size), channels, "cpu")
    expected = np.zeros((channels + 1, *size))
    for shift in shifts:
        # a window that touches the box
        window = tuple(s - r + 1 + d % (n + r - 1) for s, r, n, d in zip(start, roi, size, shift, strict=True))
        output = rng.normal(size=(channels, *roi)).astype(np.float32)
        sums.add(window, torch.from_numpy(output), torch.from_numpy(weight))
        for voxel in np.ndindex(*roi):
            z, y, x = (w + v - s for w, v, s in zip(window, voxel, start, strict=True))
            if 0 <= z < size[0] and 0 <= y < size[1] and 0 <= x < size[2]:
                expected[:-1, z, y, x] += output[:, *voxel].astype(np.float64) * weight[voxel]
                expected[-1, z, y, x] += weight[voxel]
    assert sums.numpy().dtype == np.float32
    np.testing.assert_allclose(sums.numpy(), expected, atol=1e-5)


def test_a_part_is_cut_by_its_position_and_is_a_view():
    sums = np.arange(2 * 4 * 5 * 6, dtype=np.float32).reshape(2, 4, 5, 6)
    part = part_of(sums, (10, 20, 30), ((11, 20, 33), (2, 5, 1)))
    np.testing.assert_array_equal(part, sums[:, 1:3, 0:5, 3:4])
    part += 1
    assert sums[1, 2, 4, 3] == 120 + 2 * 30 + 4 * 6 + 3 + 1
