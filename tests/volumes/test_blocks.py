import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from scripts.volumes import bundle, lattice, touched_blocks

small = st.tuples(*[st.integers(1, 9)] * 3)


@given(st.lists(st.tuples(st.tuples(*[st.integers(0, 9)] * 3), small), max_size=3), small)
def test_touched_blocks_are_those_of_the_voxels(boxes, block):
    voxels = (
        v
        for start, size in boxes
        for v in itertools.product(*(range(s, s + n) for s, n in zip(start, size, strict=True)))
    )
    expected = {tuple(i // b for i, b in zip(v, block, strict=True)) for v in voxels}
    assert touched_blocks(boxes, block) == expected


@given(small, small)
def test_lattice_covers_every_voxel_once(shape, step):
    seen = [
        v for start, size in lattice(shape, step)
        for v in itertools.product(*(range(s, s + n) for s, n in zip(start, size, strict=True)))
    ]  # fmt: skip
    assert sorted(seen) == sorted(itertools.product(*map(range, shape)))


@given(small, small, st.integers(1, 2000))
def test_bundle_holds_whole_blocks_within_the_limit(block, shape, most):
    size = bundle(block, shape, most)
    assert all(s == n or s % b == 0 for s, n, b in zip(size, shape, block, strict=True))
    one = tuple(min(b, n) for b, n in zip(block, shape, strict=True))
    assert math.prod(size) <= max(most, math.prod(one))


def test_bundle_prefers_whole_planes():
    assert bundle((4, 4, 4), (100, 40, 40), 4 * 40 * 40) == (4, 40, 40)
    assert bundle((4, 4, 4), (100, 40, 40), 8 * 40 * 40) == (8, 40, 40)
    assert bundle((4, 4, 4), (100, 40, 40), 4 * 4 * 20) == (4, 4, 20)
