"""Fragments of volumes whose objects are known."""

import numpy as np
import pytest
from tests.segmentation import volumes

from scripts.segmentation import affinities_to_boundary, direct_offsets, labels_to_affinities, watershed_fragments

CENTRES, RADII = [(15.0, 12.0, 12.0), (15.0, 25.0, 12.0), (15.0, 12.0, 25.0)], [7.5, 7.0, 6.5]


def cells(spacing):
    """Every voxel belongs to the nearest of three centres."""
    shape = tuple(round(n / step) for n, step in zip((30, 36, 36), spacing, strict=True))
    where = np.moveaxis(np.indices(shape), 0, -1) * np.array(spacing)
    distances = [np.linalg.norm(where - np.array(centre), axis=-1) for centre in CENTRES]
    return np.argmin(distances, axis=0) + 1


def overlap_share(labels, truth):
    """Share of the voxels that lie in the main object of their fragment."""
    pairs, counts = np.unique(np.stack([labels.ravel(), truth.ravel()]), axis=1, return_counts=True)
    return sum(counts[pairs[0] == label].max() for label in np.unique(labels)) / labels.size


@pytest.mark.parametrize("spacing", volumes.SPACINGS)
def test_each_cell_is_a_fragment_of_its_own(spacing):
    truth = cells(spacing)
    affinities = labels_to_affinities(truth, direct_offsets()).clip(0).astype(np.float32)
    boundary = affinities_to_boundary(affinities, direct_offsets())
    labels, n = watershed_fragments(boundary, spacing, level=0.1, sigma=1.0, min_distance=8.0)
    assert n == 3
    assert labels.dtype == np.uint8
    assert overlap_share(labels, truth) > 0.97


def test_slices_are_cut_up_one_by_one():
    truth = cells((3.0, 1.0, 1.5))
    affinities = labels_to_affinities(truth, direct_offsets()).clip(0).astype(np.float32)
    boundary = affinities_to_boundary(affinities, direct_offsets(), per_slice=True)
    labels, n = watershed_fragments(boundary, (3.0, 1.0, 1.5), level=0.1, sigma=1.0, min_distance=8.0, per_slice=True)
    of_slices = [set(np.unique(plane).tolist()) for plane in labels]
    assert sum(map(len, of_slices)) == len(set.union(*of_slices)) == n == labels.max()
    assert all(overlap_share(plane, truth_plane) > 0.95 for plane, truth_plane in zip(labels, truth, strict=True))
    alone, count = watershed_fragments(boundary[3], (1.0, 1.5), level=0.1, sigma=1.0, min_distance=8.0)
    assert volumes.same_partition(labels[3], alone)
    assert len(of_slices[3]) == count


def test_the_level_says_what_parts_two_fragments():
    boundary = np.zeros((1, 9))
    boundary[0, 4] = 0.4
    assert watershed_fragments(boundary, (1.0, 1.0), level=0.5)[1] == 1
    labels, n = watershed_fragments(boundary, (1.0, 1.0), level=0.3)
    assert n == 2
    assert labels[0, [0, 3]].tolist() == [1, 1]
    assert labels[0, [5, 8]].tolist() == [2, 2]


def test_close_seeds_make_one_fragment():
    boundary = np.zeros((7, 15))
    boundary[[0, 6]] = 1
    boundary[[1, 2, 4, 5], 7] = 1  # a waist, one voxel wide
    assert watershed_fragments(boundary, (1.0, 1.0))[1] > 1
    assert watershed_fragments(boundary, (1.0, 1.0), min_distance=20.0)[1] == 1


def test_outside_the_mask_there_are_no_fragments():
    mask = np.ones((4, 8), bool)
    mask[:, 4:] = False
    labels, n = watershed_fragments(np.zeros((4, 8)), (1.0, 1.0), mask=mask)
    assert n == 1
    assert np.array_equal(labels > 0, mask)


@pytest.mark.parametrize("per_slice", [False, True])
@pytest.mark.parametrize(("value", "mask"), [(1.0, None), (0.0, np.zeros((2, 3, 4), bool))])
def test_nothing_but_boundary_or_no_mask_gives_no_fragment(per_slice, value, mask):
    labels, n = watershed_fragments(np.full((2, 3, 4), value), (1.0, 1.0, 1.0), mask=mask, per_slice=per_slice)
    assert (n, labels.any(), labels.dtype) == (0, False, np.uint8)


def test_no_boundary_at_all_is_one_fragment():
    labels, n = watershed_fragments(np.zeros((3, 4, 5)), (1.0, 1.0, 1.0))
    assert (n, labels.min(), labels.max()) == (1, 1, 1)
    labels, n = watershed_fragments(np.zeros((3, 4, 5)), (1.0, 1.0, 1.0), per_slice=True)
    assert (n, labels[:, 0, 0].tolist()) == (3, [1, 2, 3])


def test_faulty_input_is_refused():
    boundary = np.zeros((2, 3))
    with pytest.raises(ValueError, match=r"per_slice needs a boundary D H W, got shape \(2, 3\)"):
        watershed_fragments(boundary, (1.0, 1.0), per_slice=True)
    with pytest.raises(TypeError, match="boundary must be floats from 0 to 1, got uint8"):
        watershed_fragments(boundary.astype(np.uint8), (1.0, 1.0))
    with pytest.raises(ValueError, match=r"mask has shape \(3, 2\)"):
        watershed_fragments(boundary, (1.0, 1.0), mask=np.ones((3, 2), bool))
    with pytest.raises(ValueError, match="min_distance must be a finite number from 0 on, got -1"):
        watershed_fragments(boundary, (1.0, 1.0), min_distance=-1)
