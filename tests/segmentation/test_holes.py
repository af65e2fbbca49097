"""Holes against SciPy's hole filling and cases by hand, whole and in blocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage import morphology
from tests.segmentation import volumes

from scripts.segmentation import (
    contacts,
    fill_holes,
    holes_to_fill,
    label_components,
    merge_tables,
    object_table,
    relabel,
)

shapes = st.tuples(*[st.integers(3, 8)] * 3)
seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("connectivity", [1, 2, 3])
@settings(max_examples=40, deadline=None)
@given(shape=shapes, seed=seeds, density=st.sampled_from([0.6, 0.85]))
def test_holes_of_a_mask_equal_scipy(connectivity, shape, seed, density):
    mask = volumes.ids(shape, seed, density=density) > 0
    structure = ndimage.generate_binary_structure(3, connectivity)
    filled = fill_holes(mask, connectivity=connectivity)
    assert filled.dtype == bool
    assert np.array_equal(filled, ndimage.binary_fill_holes(mask, structure))


@settings(max_examples=40, deadline=None)
@given(shape=shapes, seed=seeds)
def test_small_holes_of_a_mask_equal_scikit_image(shape, seed):
    """scikit-image fills small background at the border, too: both have what the border does not reach."""
    mask = volumes.ids(shape, seed, density=0.75) > 0
    small = morphology.remove_small_holes(mask, max_size=2) & ndimage.binary_fill_holes(mask)
    assert np.array_equal(fill_holes(mask, max_size=2), small)


@pytest.mark.parametrize("connectivity", [1, 2, 3])
@settings(max_examples=30, deadline=None)
@given(shape=shapes, seed=seeds)
def test_holes_of_objects_equal_a_look_at_each_hole(connectivity, shape, seed):
    labels = volumes.ids(shape, seed, highest=2, density=0.85)
    structure = ndimage.generate_binary_structure(3, connectivity)
    expected = labels.copy()
    background, n = ndimage.label(labels == 0, structure)
    for number in range(1, n + 1):
        hole = background == number
        around = set(labels[ndimage.binary_dilation(hole, structure) & ~hole].tolist())
        reaches = ndimage.binary_fill_holes(~hole, structure)[hole]  # what the border reaches is not filled
        if reaches.all() and len(around) == 1:
            expected[hole] = around.pop()
    assert np.array_equal(fill_holes(labels, connectivity=connectivity), expected)


def test_a_hole_between_two_objects_stays():
    labels = np.array([[3, 3, 3, 4, 4], [3, 0, 3, 0, 4], [3, 3, 3, 4, 4]])
    expected = labels.copy()
    expected[1, 1] = 3
    assert np.array_equal(fill_holes(labels), expected)


def test_an_object_within_a_hole_keeps_the_hole():
    labels = np.full((5, 5), 3)
    labels[1:4, 1:4] = 0
    labels[2, 2] = 8
    assert np.array_equal(fill_holes(labels), labels)


def test_the_border_of_a_single_slice_does_not_open_its_holes():
    labels = np.full((1, 3, 3), 2)
    labels[0, 1, 1] = 0
    assert fill_holes(labels).tolist() == np.full((1, 3, 3), 2).tolist()


def test_ids_beyond_uint32_fill_their_holes():
    labels = np.full((3, 3), volumes.HUGE, np.uint64)
    labels[1, 1] = 0
    filled = fill_holes(labels)
    assert (filled.dtype, np.unique(filled).tolist()) == (np.uint64, [volumes.HUGE])


@settings(max_examples=50, deadline=None)
@given(shape=shapes, seed=seeds, cuts=volumes.cut_positions(), connectivity=st.sampled_from([1, 2, 3]))
def test_blockwise_equals_the_whole_volume(shape, seed, cuts, connectivity):
    """Given components of the background that agree between blocks, as joining makes them."""
    labels = volumes.ids(shape, seed, highest=2, density=0.85)
    components = label_components(labels == 0, connectivity)[0].astype(np.uint64) * 2**40
    tables, pairs = [], []
    for block in volumes.cut(shape, cuts):
        tables.append(object_table(components[block.box], block.start, shape))
        halo = block.grown(shape)
        own = np.zeros(halo.size, np.uint64)
        own[block.within(halo)] = components[block.box]
        pairs.append(contacts(own, labels[halo.box], connectivity))
    holes, owners = holes_to_fill(merge_tables(tables), np.unique(np.concatenate(pairs), axis=0), max_size=3)
    filled = np.where(labels == 0, relabel(components, holes, owners), labels)
    assert np.array_equal(filled, fill_holes(labels, 3, connectivity))


@pytest.mark.parametrize("fill", [False, True])
def test_arrays_of_one_value_have_no_holes(fill):
    labels = np.full((3, 3, 3), fill)
    assert np.array_equal(fill_holes(labels), labels)


def test_faulty_input_is_refused():
    with pytest.raises(TypeError, match="labels must hold whole numbers in an integer dtype, got float64"):
        fill_holes(np.ones((3, 3)))
    with pytest.raises(ValueError, match="max_size must be a number of voxels from 0 on, or None; got -1"):
        fill_holes(np.ones((3, 3), int), max_size=-1)
    with pytest.raises(ValueError, match=r"labels has shape \(2, 3\), but the array .* has \(3, 3\)"):
        contacts(np.ones((3, 3), int), np.ones((2, 3), int))
    with pytest.raises(ValueError, match="connectivity must be 1, 2 or 3"):
        fill_holes(np.ones((3, 3, 3), int), connectivity=6)
