"""Blocks, windows and chunks against loops over all windows and all voxels."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scripts.inferers.block_layout import BlockLayout, usual_block_size, usual_chunk_size
from scripts.inferers.windows import window_grid


@st.composite
def layouts(draw, longest=15):
    """Odd shapes, windows larger than the volume or than blocks, regions."""
    shape = draw(st.tuples(*[st.integers(1, longest)] * 3))
    roi = draw(st.tuples(*[st.integers(1, 11)] * 3))
    overlap = draw(st.tuples(*[st.sampled_from([0.0, 0.25, 0.5, 0.8])] * 3))
    chunk = draw(st.tuples(*[st.integers(1, 7)] * 3))
    block = tuple(c * draw(st.integers(1, 3)) for c in chunk)
    region = None
    if draw(st.booleans()):
        first = tuple(draw(st.integers(0, n - 1)) for n in shape)
        region = [first, tuple(draw(st.integers(low + 1, n)) for low, n in zip(first, shape, strict=True))]
    grid = window_grid(shape, roi, overlap, region)
    assume(len(grid) <= 1000)
    return BlockLayout(grid, chunk, block)


def all_windows(layout):
    return list(itertools.product(*(axis.tolist() for axis in layout.grid.starts)))


def all_chunks(layout):
    counts = (math.ceil(n / c) for n, c in zip(layout.grid.shape, layout.chunk_size, strict=True))
    return list(itertools.product(*map(range, counts)))


def block_of(layout, window):
    """A window belongs to the block that holds its first voxel, or the first voxel where that lies before all."""
    return tuple(max(w, 0) // b for w, b in zip(window, layout.block_size, strict=True))


def mark(voxels, start, size, grid_start=(0, 0, 0)):
    """Set a box, of which a part may lie outside."""
    here = (slice(max(s - g, 0), max(s - g + n, 0)) for s, n, g in zip(start, size, grid_start, strict=True))
    voxels[tuple(here)] = True


def coverage(layout):
    """Per block the voxels of what is predicted that its windows cover."""
    covered = {}
    for window in all_windows(layout):
        voxels = covered.setdefault(block_of(layout, window), np.zeros(layout.grid.shape, bool))
        mark(voxels, window, layout.grid.roi_size)
    return covered


def voxels_of(layout, box):
    voxels = np.zeros(layout.grid.shape, bool)
    mark(voxels, *box)
    assert voxels.sum() == math.prod(box[1])  # the box lies inside
    return voxels


@settings(max_examples=100, deadline=None)
@given(layout=layouts())
def test_every_window_belongs_to_exactly_one_block(layout):
    found = [(window, block) for block in layout.blocks() for window in layout.windows(block)]
    assert sorted(found) == sorted((window, block_of(layout, window)) for window in all_windows(layout))
    blocks = list(layout.blocks())
    assert blocks == sorted(set(blocks))
    assert len(layout) == len(blocks)
    for block in blocks:
        assert layout.n_windows(block) == len(list(layout.windows(block)))


@settings(max_examples=100, deadline=None)
@given(layout=layouts())
def test_boxes_of_blocks_and_chunks_are_those_that_windows_cover(layout):
    covered = coverage(layout)
    for block in layout.blocks():
        np.testing.assert_array_equal(voxels_of(layout, layout.sum_box(block)), covered[block])
        windows = np.array(list(layout.windows(block)))
        start, size = layout.read_box(block)
        assert start == tuple(windows.min(axis=0))
        assert size == tuple(windows.max(axis=0) + layout.grid.roi_size - start)
        for chunk in layout.chunks(block):
            in_chunk = voxels_of(layout, layout.chunk_box(chunk))
            np.testing.assert_array_equal(voxels_of(layout, layout.shared_box(block, chunk)), covered[block] & in_chunk)


@settings(max_examples=100, deadline=None)
@given(layout=layouts())
def test_blocks_and_chunks_know_each_other(layout):
    covered = coverage(layout)
    chunks_of = {block: [] for block in layout.blocks()}
    times = np.zeros(layout.grid.shape, int)
    for chunk in all_chunks(layout):
        in_chunk = voxels_of(layout, layout.chunk_box(chunk))
        times += in_chunk
        over = [block for block in sorted(covered) if (covered[block] & in_chunk).any()]
        assert list(layout.blocks_over(chunk)) == over
        for block in over:
            chunks_of[block].append(chunk)
    assert (times == 1).all()  # chunks are disjoint and leave nothing out
    for block in layout.blocks():
        assert list(layout.chunks(block)) == chunks_of[block]


@settings(max_examples=100, deadline=None)
@given(layout=layouts(), data=st.data())
def test_blocks_are_found_by_boxes_that_their_windows_touch(layout, data):
    """Boxes may lie outside of what is predicted, where windows may reach."""
    sides = st.tuples(*[st.integers(-8, 15)] * 3)
    boxes = data.draw(st.lists(st.tuples(sides, st.tuples(*[st.integers(1, 9)] * 3)), min_size=1, max_size=4))
    touched = [
        {
            block_of(layout, window)
            for window in all_windows(layout)
            if all(
                w < s + n and w + r > s for w, r, s, n in zip(window, layout.grid.roi_size, start, size, strict=True)
            )
        }
        for start, size in boxes
    ]
    for (start, size), expected in zip(boxes, touched, strict=True):
        assert list(layout.blocks_touching(start, size)) == sorted(expected)
    assert layout.touched_by(iter(boxes)) == set.union(*touched)


def test_a_block_holds_whole_chunks():
    grid = window_grid((20, 20, 20), (8, 8, 8), (0, 0, 0))
    with pytest.raises(ValueError, match=r"block_size \[10, 12, 10\] must hold whole chunks of \[5, 5, 5\] voxels"):
        BlockLayout(grid, (5, 5, 5), (10, 12, 10))


@settings(max_examples=200, deadline=None)
@given(roi=st.integers(1, 300), overlap=st.sampled_from([0.0, 0.25, 0.5, 0.6, 0.75, 0.9]))
def test_usual_chunks_begin_where_windows_begin(roi, overlap):
    (chunk, *_) = usual_chunk_size((roi,) * 3, (overlap,) * 3)
    starts = window_grid((2000,) * 3, (roi,) * 3, (overlap,) * 3).starts[0].tolist()
    step = starts[1] - starts[0]
    assert set(range(0, starts[-2], chunk)) <= set(starts)
    assert chunk == step or abs(chunk - 96) <= step / 2  # about 96 voxels


def test_usual_chunks_of_the_usual_windows():
    assert usual_chunk_size((128, 128, 128), (0.25, 0.25, 0.25)) == (96, 96, 96)
    assert usual_chunk_size((64, 96, 160), (0.5, 0.25, 0.0)) == (96, 72, 160)


SIZES = {
    "shape": st.tuples(*[st.integers(1, 700)] * 3),
    "roi": st.tuples(*[st.integers(1, 150)] * 3),
    "overlap": st.sampled_from([0.0, 0.25, 0.5]),
    "chunk": st.tuples(*[st.integers(20, 130)] * 3),
    "cost": st.integers(1, 80),
    "counts": st.tuples(*[st.integers(1, 6)] * 3),  # of chunks in a block for which there is just enough memory
}


def enough_for(counts, chunk, roi, cost):
    return math.prod(n * c + r for n, c, r in zip(counts, chunk, roi, strict=True)) * cost


def largest_read(grid, chunk, block):
    """Voxels of the largest box that any block reads."""
    layout = BlockLayout(grid, chunk, block)
    return max(math.prod(layout.read_box(index)[1]) for index in layout.blocks())


@settings(max_examples=150, deadline=None)
@given(**SIZES)
def test_usual_blocks_keep_to_the_memory_that_there_is(shape, roi, overlap, chunk, cost, counts):
    grid, memory = window_grid(shape, roi, (overlap,) * 3), enough_for(counts, chunk, roi, cost)
    block = usual_block_size(grid, chunk, cost, memory)
    assert all(b % c == 0 and b >= c for b, c in zip(block, chunk, strict=True))
    assert block == chunk or largest_read(grid, chunk, block) * cost <= memory


@settings(max_examples=150, deadline=None)
@given(**SIZES, low=st.tuples(*[st.floats(0, 0.5)] * 3))
def test_usual_blocks_of_a_region_keep_to_the_memory_that_there_is(shape, roi, overlap, chunk, cost, counts, low):
    first = [int(n * share) for n, share in zip(shape, low, strict=True)]
    grid = window_grid(shape, roi, (overlap,) * 3, [first, shape])
    memory = enough_for(counts, chunk, roi, cost)
    block = usual_block_size(grid, chunk, cost, memory)
    assert block == chunk or largest_read(grid, chunk, block) * cost <= memory


@settings(max_examples=150, deadline=None)
@given(**SIZES, factors=st.lists(st.floats(0, 20), min_size=1, max_size=5))
def test_more_memory_never_gives_smaller_usual_blocks(shape, roi, overlap, chunk, cost, counts, factors):
    grid = window_grid(shape, roi, (overlap,) * 3)
    memories = [int(f * enough_for(counts, chunk, roi, cost)) for f in [1, *factors]]
    blocks = [usual_block_size(grid, chunk, cost, memory) for memory in [*sorted(memories), None]]
    for less, more in itertools.pairwise(blocks):
        assert all(a <= b for a, b in zip(less, more, strict=True))


def test_usual_blocks_without_limit_are_about_256_voxels():
    grid = window_grid((1000, 1000, 100), (64, 64, 64), (0.25,) * 3)
    assert usual_block_size(grid, (96, 48, 96), 50, None) == (288, 240, 192)  # no more than the volume needs
