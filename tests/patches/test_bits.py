"""Packed labels: what comes out is what went in, and boxes hold every label."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.patches.bits import label_boxes, pack, unpack_x


def random_labels(seed, shape, density):
    return (np.random.default_rng(seed).random(shape) < density).astype(np.uint8) * 7


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 3, 64), (1, 1, 200)])
@pytest.mark.parametrize("kind", [np.uint8, bool])
def test_unpacking_gives_the_labels_back(shape, kind):
    labelled = random_labels(0, shape, 0.4).astype(kind)
    bits = pack(labelled, (1, 2, 3))
    assert bits.start == (1, 2, 3)
    assert bits.words.shape == (-(-shape[2] // 64), *shape[:2])
    unpacked = unpack_x(np.moveaxis(bits.words, 0, -1))  # words D H -> D H words -> D H W
    np.testing.assert_array_equal(unpacked[..., : shape[2]], labelled != 0)
    assert not unpacked[..., shape[2] :].any()


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(1, 90)),
    density=st.sampled_from([0.0, 0.003, 0.05, 0.6]),
    seed=st.integers(0, 999),
)
def test_boxes_hold_every_label_and_fit(shape, density, seed):
    labelled, start = random_labels(seed, shape, density), np.array([5, 0, 61])
    boxes = label_boxes(pack(labelled, start)) - start
    covered = np.zeros(shape, int)
    for low, high in boxes:
        inside = labelled[tuple(map(slice, low, high))] != 0
        covered[tuple(map(slice, low, high))] += 1
        for axis in range(3):
            planes = inside.any(axis=tuple({0, 1, 2} - {axis}))
            assert planes[0]
            assert planes[-1]
            assert planes.all() or len(boxes) == 1  # scattered labels come as one box
    assert covered.max(initial=0) <= 1
    assert (covered[labelled != 0] == 1).all()


def test_empty_planes_part_labels_and_scattered_ones_come_as_one_box():
    labelled = np.zeros((8, 8, 80), np.uint8)
    labelled[0:2, 1:3, 70:75] = 1
    labelled[5, 1:8, 0] = 1
    boxes = label_boxes(pack(labelled, (0, 0, 0)))
    assert sorted(boxes.tolist()) == [[[0, 1, 70], [2, 3, 75]], [[5, 1, 0], [6, 8, 1]]]
    scattered = np.zeros((20, 20, 20), np.uint8)
    scattered[1::2, ::2, ::2] = 1
    assert label_boxes(pack(scattered, (0, 0, 0))).tolist() == [[[1, 0, 0], [20, 19, 19]]]
