"""Blocks of a volume and what lies around them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.segmentation.block_grid import BlockGrid, usual_block, within

triples = st.tuples(*[st.integers(1, 9)] * 3)


@given(shape=triples, block=triples)
def test_blocks_cover_every_voxel_once(shape, block):
    grid = BlockGrid(shape, block)
    count = np.zeros(shape, int)
    for index in grid:
        count[grid.box(index)] += 1
    assert (count == 1).all()


@given(shape=triples, block=triples, before=st.integers(0, 4), after=st.integers(0, 4))
def test_a_grown_block_holds_its_own_voxels_where_it_says(shape, block, before, after):
    grid, numbers = BlockGrid(shape, block), np.arange(math.prod(shape)).reshape(shape)
    for index in grid:
        box, own = grid.grown(index, (before,) * 3, (after,) * 3)
        np.testing.assert_array_equal(numbers[box][own], numbers[grid.box(index)])
        for around, inside, n in zip(box, grid.box(index), shape, strict=True):
            assert around.start == max(inside.start - before, 0)
            assert around.stop == min(inside.stop + after, n)


@given(shape=triples, block=triples, data=st.data())
def test_the_parts_of_a_box_by_block_are_the_box(shape, block, data):
    ends = [sorted(data.draw(st.tuples(st.integers(0, n - 1), st.integers(1, n)))) for n in shape]
    box = tuple(slice(low, max(high, low + 1)) for low, high in ends)
    grid, count = BlockGrid(shape, block), np.zeros(shape, int)
    for index, part in grid.touching(box):
        inside = within(part, grid.box(index))
        assert all(0 <= s.start < s.stop <= b for s, b in zip(inside, block, strict=True))
        count[part] += 1
    expected = np.zeros(shape, int)
    expected[box] = 1
    np.testing.assert_array_equal(count, expected)


@pytest.mark.parametrize(
    ("shape", "chunk", "voxels", "block"),
    [
        pytest.param((900, 900, 900), (64, 64, 64), 192**3, (192, 192, 192), id="a cube"),
        pytest.param((900, 900, 900), (64, 64, 64), 1, (64, 64, 64), id="a chunk at least"),
        pytest.param((10, 900, 900), (64, 64, 64), 64 * 256 * 256, (64, 256, 256), id="flat volume"),
        pytest.param((900, 900, 900), (16, 64, 64), 128**3, (128, 128, 128), id="flat chunks"),
        pytest.param((60, 60, 60), (64, 64, 64), 10**9, (64, 64, 64), id="no more than there is"),
    ],
)
def test_the_usual_block_is_about_a_cube_of_whole_chunks(shape, chunk, voxels, block):
    assert usual_block(shape, chunk, voxels) == block
