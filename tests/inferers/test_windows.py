"""Window positions against MONAI's own."""

import itertools

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from monai.data.utils import dense_patch_slices
from monai.inferers.utils import _get_scan_interval

from scripts.inferers import window_grid

OVERLAPS = st.tuples(*[st.sampled_from([0.0, 0.25, 0.3, 0.5, 0.9])] * 3)


def monai_windows(shape, roi, overlap):
    """First voxels of MONAI's windows, counted from the first voxel of the volume before it is padded."""
    padded = tuple(max(n, r) for n, r in zip(shape, roi, strict=True))
    interval = _get_scan_interval(padded, roi, 3, overlap)
    shift = [(p - n) // 2 for p, n in zip(padded, shape, strict=True)]
    slices = dense_patch_slices(padded, roi, interval)
    return [tuple(part.start - s for part, s in zip(window, shift, strict=True)) for window in slices]


def windows_of(grid):
    return list(itertools.product(*(axis.tolist() for axis in grid.starts)))


@settings(max_examples=200, deadline=None)
@given(shape=st.tuples(*[st.integers(1, 40)] * 3), roi=st.tuples(*[st.integers(1, 24)] * 3), overlap=OVERLAPS)
def test_windows_are_those_of_monai(shape, roi, overlap):
    grid = window_grid(shape, roi, overlap)
    assume(len(grid) <= 5000)
    expected = monai_windows(shape, roi, overlap)
    assert sorted(windows_of(grid)) == sorted(expected)
    assert len(grid) == len(expected)
    assert (grid.shape, grid.roi_size, grid.offset) == (shape, roi, (0, 0, 0))


@st.composite
def regions(draw):
    """A shape, and a region of it."""
    shape = draw(st.tuples(*[st.integers(1, 40)] * 3))
    first = tuple(draw(st.integers(0, n - 1)) for n in shape)
    stop = tuple(draw(st.integers(low + 1, n)) for low, n in zip(first, shape, strict=True))
    return shape, first, stop


@settings(max_examples=200, deadline=None)
@given(region=regions(), roi=st.tuples(*[st.integers(1, 24)] * 3), overlap=OVERLAPS)
def test_windows_of_a_region_are_those_of_the_volume_that_touch_it(region, roi, overlap):
    shape, first, stop = region
    assume(len(window_grid(shape, roi, overlap)) <= 5000)
    touching = [
        window
        for window in monai_windows(shape, roi, overlap)
        if all(w < high and w + r > low for w, r, low, high in zip(window, roi, first, stop, strict=True))
    ]
    grid = window_grid(shape, roi, overlap, [list(first), list(stop)])
    assert grid.shape == tuple(high - low for low, high in zip(first, stop, strict=True))
    assert sorted(map(grid.in_volume, windows_of(grid))) == sorted(touching)


def test_a_box_is_cut_to_what_is_predicted():
    grid = window_grid((20, 20, 20), (8, 8, 8), (0, 0, 0), [[4, 4, 4], [14, 9, 20]])  # 10 x 5 x 16
    assert list(grid.inside((-3, 2, 12), (8, 2, 8))) == [(0, 5), (2, 4), (12, 16)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((8, 8, 8), (4, 4), (0, 0, 0)), r"roi_size must be three positive lengths z, y, x; got \[4, 4\]"),
        (((8, 8, 8), (4, 0, 4), (0, 0, 0)), r"got \[4, 0, 4\]"),
        (
            ((8, 8, 8), (4, 4, 4), (0, 1.0, 0)),
            r"overlap must be at least 0 and below 1 along each axis; got \[0, 1.0, 0\]",
        ),
        (
            ((8, 8, 8), (4, 4, 4), (0, 0, 0), [[0, 0, 0], [8, 9, 8]]),
            r"region must be .* 0 <= start < stop <= \[8, 8, 8\]; got \[\[0, 0, 0\], \[8, 9, 8\]\]",
        ),
        (((8, 8, 8), (4, 4, 4), (0, 0, 0), [[0, -1, 0], [8, 8, 8]]), r"got \[\[0, -1, 0\], \[8, 8, 8\]\]"),
        (((8, 8, 8), (4, 4, 4), (0, 0, 0), [[0, 3, 0], [8, 3, 8]]), r"got \[\[0, 3, 0\], \[8, 3, 8\]\]"),
        (((8, 8, 8), (4, 4, 4), (0, 0, 0), [[0, 3], [8, 3]]), r"got \[\[0, 3\], \[8, 3\]\]"),
        (((8, 8, 8), (4, 4, 4), (0, 0, 0), [[0, 3, 0]]), r"got \[\[0, 3, 0\]\]"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        window_grid(*arguments)
