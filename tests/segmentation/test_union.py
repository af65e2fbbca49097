"""Labels joined across blocks against one labelling of the whole volume."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import measure
from tests.segmentation import volumes

from scripts.segmentation import (
    face_pairs,
    hysteresis,
    hysteresis_components,
    join,
    join_flags,
    label_components,
)

shapes = st.tuples(*[st.integers(1, 8)] * 3)
flat_shapes = st.tuples(*[st.integers(1, 8)] * 2)
seeds = st.integers(0, 2**32 - 1)


def faces(block, shape, connectivity):
    """Where the last plane of a block and the plane after it lie, grown sideways; one pair of boxes per axis."""
    grown = block.grown(shape, by=int(connectivity > 1))
    for axis, (stop, n) in enumerate(zip(block.stop, shape, strict=True)):
        if stop < n:
            sides = list(grown.box)
            yield tuple(
                tuple(side if other != axis else plane for other, side in enumerate(sides))
                for plane in (stop - 1, stop)
            )


def joined(labels, n, blocks, connectivity, values=None):
    """The driver in short: all pairs across all faces, then one table for all labels."""
    pairs = []
    for block in blocks:
        for here, there in faces(block, labels.shape, connectivity):
            of = {} if values is None else {"values_a": values[here], "values_b": values[there]}
            pairs.append(face_pairs(labels[here], labels[there], connectivity, **of))
    return join(np.concatenate([np.zeros((0, 2), np.uint64), *pairs]), n)


def label_blocks(array, blocks, connectivity, label=label_components):
    """Labels of each block, numbered on from those of the blocks before; and what else is said of each label."""
    labels, n, flags = np.zeros(array.shape, np.uint64), 0, [False]
    for block in blocks:
        own, said = label(array[block.box], connectivity)
        count = int(own.max(initial=0))
        labels[block.box] = np.where(own > 0, own + np.uint64(n), 0)
        n += count
        flags += [] if np.isscalar(said) else said[1:].tolist()
    return labels, n, flags


@pytest.mark.parametrize("connectivity", [1, 2, 3])
@pytest.mark.parametrize("as_mask", [True, False])
@settings(max_examples=120, deadline=None)
@given(shape=shapes, seed=seeds, density=st.sampled_from([0.15, 0.4, 0.7]), cuts=volumes.cut_positions())
def test_blockwise_equals_the_whole_volume(connectivity, as_mask, shape, seed, density, cuts):
    array = volumes.ids(shape, seed, density=density)
    array = array > 0 if as_mask else array
    blocks = volumes.cut(shape, cuts)
    labels, n, _ = label_blocks(array, blocks, connectivity)
    table = joined(labels, n, blocks, connectivity, None if as_mask else array)
    whole = measure.label(array, background=0, connectivity=connectivity)
    assert volumes.same_partition(table[labels], whole)
    assert table.max() == whole.max()


@pytest.mark.parametrize("connectivity", [1, 2])
@settings(max_examples=60, deadline=None)
@given(shape=flat_shapes, seed=seeds, cuts=volumes.cut_positions(2))
def test_blockwise_equals_the_whole_image(connectivity, shape, seed, cuts):
    array = volumes.ids(shape, seed, density=0.5)
    blocks = volumes.cut(shape, cuts)
    labels, n, _ = label_blocks(array, blocks, connectivity)
    whole = measure.label(array, background=0, connectivity=connectivity)
    assert volumes.same_partition(joined(labels, n, blocks, connectivity, array)[labels], whole)


@settings(max_examples=60, deadline=None)
@given(shape=shapes, seed=seeds, cuts=volumes.cut_positions(), connectivity=st.sampled_from([1, 2, 3]))
def test_blockwise_hysteresis_equals_that_of_the_whole_volume(shape, seed, cuts, connectivity):
    values = np.random.default_rng(seed).random(shape)
    blocks = volumes.cut(shape, cuts)
    labels, n, strong = label_blocks(
        values, blocks, connectivity, lambda block, c: hysteresis_components(block, 0.6, 0.95, c)
    )
    table = joined(labels, n, blocks, connectivity)
    found = join_flags(strong, table)[table[labels]]
    assert np.array_equal(found, hysteresis(values, 0.6, 0.95, connectivity))


def test_pairs_across_a_face_by_hand():
    above, below = np.array([[1, 0], [0, 2]]), np.array([[3, 4], [0, 4]])
    assert face_pairs(above, below).tolist() == [[1, 3], [2, 4]]
    assert face_pairs(above, below, 2).tolist() == [[1, 3], [1, 4], [2, 4]]
    assert face_pairs(above, below, 3).tolist() == [[1, 3], [1, 4], [2, 3], [2, 4]]
    classes_above, classes_below = np.array([[5, 0], [0, 6]]), np.array([[5, 6], [0, 6]])
    assert face_pairs(above, below, 3, values_a=classes_above, values_b=classes_below).tolist() == [[1, 3], [2, 4]]


def test_labels_beyond_uint32_make_pairs():
    huge = np.array([[volumes.HUGE, 0]], np.uint64)
    assert face_pairs(huge, huge + np.uint64(1)).tolist() == [[volumes.HUGE, volumes.HUGE + 1]]


def test_faces_without_labels_have_no_pairs():
    assert face_pairs(np.zeros((3, 4), int), np.ones((3, 4), int), 3).shape == (0, 2)
    assert face_pairs(np.zeros((0, 4), int), np.zeros((0, 4), int), 3).shape == (0, 2)


@given(st.integers(1, 12), st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), max_size=15))
def test_joined_labels_are_numbered_by_their_smallest_members(n, pairs):
    pairs = [(a, b) for a, b in pairs if max(a, b) <= n]
    group = {label: {label} for label in range(1, n + 1)}
    for a, b in pairs:  # sets that are merged one by one
        union = group[a] | group[b]
        group.update(dict.fromkeys(union, union))
    order = sorted({min(members) for members in group.values()})
    expected = [0] + [order.index(min(group[label])) + 1 for label in range(1, n + 1)]
    assert join(pairs, n).tolist() == expected


@pytest.mark.parametrize(("n", "dtype"), [(255, np.uint8), (256, np.uint16)])
def test_the_table_holds_its_labels(n, dtype):
    table = join([], n)
    assert (table.dtype, table.tolist()) == (dtype, list(range(n + 1)))


def test_no_labels_need_no_joining():
    assert join([], 0).tolist() == [0]
    assert join_flags([False], join([], 0)).tolist() == [False]


def test_an_object_is_flagged_when_a_part_is():
    assert join_flags([False, False, True, False], [0, 1, 1, 2]).tolist() == [False, True, False]


def test_faulty_faces_are_refused():
    face = np.ones((2, 3), int)
    with pytest.raises(ValueError, match=r"face_b has shape \(3, 3\), but the array .* has \(2, 3\)"):
        face_pairs(face, np.ones((3, 3), int))
    with pytest.raises(TypeError, match="face_a must hold whole numbers, got float64"):
        face_pairs(face * 1.0, face)
    with pytest.raises(ValueError, match=r"plane H W of a volume .* got shape \(1, 2, 3\)"):
        face_pairs(face[None], face[None])
    with pytest.raises(ValueError, match="give values_a and values_b, or none"):
        face_pairs(face, face, values_a=face)
    with pytest.raises(ValueError, match=r"values_b has shape \(2, 2\)"):
        face_pairs(face, face, values_a=face, values_b=face[:, :2])
    with pytest.raises(ValueError, match="in 3D, got 4"):
        face_pairs(face, face, 4)


def test_faulty_tables_are_refused():
    with pytest.raises(ValueError, match="labels from 1 to n=3, got 2 to 4"):
        join([[2, 4]], 3)
    with pytest.raises(ValueError, match="labels from 1 to n=3, got 0 to 2"):
        join([[2, 0]], 3)
    with pytest.raises(ValueError, match=r"flags has shape \(2,\)"):
        join_flags([True, False], [0, 1, 1])
