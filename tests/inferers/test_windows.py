"""Window positions against MONAI's own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data.utils import dense_patch_slices
from monai.inferers.utils import _get_scan_interval

from scripts.inferers import window_grid


@settings(max_examples=200, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 60)] * 3),
    roi=st.tuples(*[st.integers(1, 24)] * 3),
    overlap=st.tuples(*[st.sampled_from([0.0, 0.25, 0.3, 0.5, 0.9])] * 3),
    block=st.integers(1, 40),
)
def test_windows_are_those_of_monai(shape, roi, overlap, block):
    padded = tuple(max(n, r) for n, r in zip(shape, roi, strict=True))
    interval = _get_scan_interval(padded, roi, 3, overlap)
    shift = [(p - n) // 2 for p, n in zip(padded, shape, strict=True)]
    expected = {
        tuple(part.start - s for part, s in zip(slices, shift, strict=True))
        for slices in dense_patch_slices(padded, roi, interval)
    }
    grid = window_grid(shape, roi, overlap, block)
    found = [window for windows in grid.blocks() for window in windows]
    assert set(found) == expected
    assert len(found) == len(expected) == len(grid)


def test_windows_over_counts_the_windows_that_touch_a_box():
    grid = window_grid((30, 17, 9), (8, 8, 12), (0.5, 0.25, 0.0))
    windows = [window for windows in grid.blocks() for window in windows]
    rng = np.random.default_rng(0)
    for _ in range(50):
        start = [int(rng.integers(0, n)) for n in grid.shape]
        size = [int(rng.integers(1, n - s + 1)) for n, s in zip(grid.shape, start, strict=True)]
        touching = sum(
            all(w < s + n and w + r > s for w, r, s, n in zip(window, grid.roi_size, start, size, strict=True))
            for window in windows
        )
        assert grid.windows_over(start, size) == touching


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((8, 8, 8), (4, 4), (0, 0, 0)), r"roi_size must be three positive lengths z, y, x; got \[4, 4\]"),
        (((8, 8, 8), (4, 0, 4), (0, 0, 0)), r"got \[4, 0, 4\]"),
        (
            ((8, 8, 8), (4, 4, 4), (0, 1.0, 0)),
            r"overlap must be at least 0 and below 1 along each axis; got \[0, 1.0, 0\]",
        ),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        window_grid(*arguments)
