import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.volumes.axes import AxisLayout

SIZES = {"t": 1, "c": 2, "z": 3, "y": 4, "x": 5}


@given(st.sampled_from([p for n in (2, 3, 4, 5) for p in itertools.permutations("tczyx", n) if {"y", "x"} <= set(p)]))
def test_any_order_of_axes_becomes_cdhw(names):
    # Each voxel holds 1000 c + 100 z + 10 y + x of its own index, wherever its axes are.
    weights = {"t": 0, "c": 1000, "z": 100, "y": 10, "x": 1}
    shape = [SIZES[n] for n in names]
    stored = sum(
        np.arange(SIZES[n]).reshape([-1 if m == n else 1 for m in names]) * weights[n] for n in names
    ) + np.zeros(shape, dtype=int)
    layout = AxisLayout.of(names, shape, None, "here")
    channels, depth = (SIZES[n] if n in names else 1 for n in "cz")
    c, z, y, x = np.meshgrid(*map(np.arange, (channels, depth, 4, 5)), indexing="ij")
    assert layout.cdhw_shape(shape) == (channels, depth, 4, 5)
    np.testing.assert_array_equal(layout.to_cdhw(stored), 1000 * c + 100 * z + 10 * y + x)
    box = stored[layout.selection((0, 1, 2), (1, 3, 5), (0, 1))]
    np.testing.assert_array_equal(layout.to_cdhw(box), (10 * y + x)[:1, :1, 1:3, 2:5])


def test_time_selects_one_volume():
    stored = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    layout = AxisLayout.of("tyx", stored.shape, 1, "here")
    block = stored[layout.selection((0, 0, 0), (1, 3, 4), (0, 1))]
    np.testing.assert_array_equal(layout.to_cdhw(block), stored[1][None, None])


@pytest.mark.parametrize(
    ("names", "shape", "time", "message"),
    [
        pytest.param(
            "tzyx", (3, 2, 2, 2), None, r"here: .*time axis of length 3.*time=0 \.\.\. time=2", id="many-times"
        ),
        pytest.param("tzyx", (3, 2, 2, 2), 3, r"time = 3 does not exist; the array has 3 \(0 to 2\)", id="time-beyond"),
        pytest.param("zyx", (2, 2, 2), 1, "time = 1 does not exist; the array has 1", id="no-time-axis"),
        pytest.param(None, (1, 2, 3, 4, 5), None, r"5 axes, shape \(1, 2, 3, 4, 5\)", id="plain-5d"),
        pytest.param("zzyx", (1, 2, 3, 4), None, r"names the axes \['z', 'z', 'y', 'x'\]", id="twice"),
        pytest.param("zyx", (1, 2, 3, 4), None, r"array of shape \(1, 2, 3, 4\)", id="too-few"),
    ],
)
def test_faults(names, shape, time, message):
    with pytest.raises(ValueError, match=message):
        AxisLayout.of(list(names) if names else None, shape, time, "here")
