"""Segmentations of ideal and of damaged affinities, background, and thresholds."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.metrics import adapted_rand_error

from scripts.segmentation import direct_offsets, labels_to_affinities
from scripts.workflows.sweeps.validation_steps import segment_affinities, segment_foreground

SPACING = (1.0, 1.0, 1.0)


def cells(shape=(16, 20, 24), n=6, seed=0):
    """A truth without background: each voxel has the id of the nearest of some points."""
    rng = np.random.default_rng(seed)
    points = np.zeros(shape, bool)
    points[tuple(rng.integers(0, size, n) for size in shape)] = True
    _, nearest = ndimage.distance_transform_edt(~points, return_indices=True)
    ids, _ = ndimage.label(points)
    return ids[tuple(nearest)]


def affinities_of(truth):
    return np.maximum(labels_to_affinities(truth, direct_offsets(truth.ndim)), 0).astype(np.float32)


@pytest.mark.parametrize("dims", [2, 3])
def test_ideal_affinities_give_the_truth(dims):
    truth = cells() if dims == 3 else cells()[5]
    steps = segment_affinities(affinities_of(truth), SPACING[:dims], [0.5])
    assert adapted_rand_error(truth, steps.segmentations[0.5].astype(int), ignore_labels=())[0] < 0.05


def test_segments_are_nested_from_fragments_to_one():
    rng = np.random.default_rng(1)
    affinities = np.clip(affinities_of(cells()) + rng.normal(0, 0.35, (3, 16, 20, 24)), 0, 1).astype(np.float32)
    steps = segment_affinities(affinities, SPACING, [0.5, 0.0, 1.0])
    fragments = steps.arrays["fragments"]
    assert list(steps.segmentations) == [0.0, 0.5, 1.0]
    np.testing.assert_array_equal(steps.segmentations[0.0], fragments)
    numbers = [len(np.unique(one)) for one in (fragments, *steps.segmentations.values())]
    assert numbers[0] > 3 * numbers[2] > 3 * numbers[3]
    assert numbers[3] == 1
    pairs = np.unique(np.stack([fragments.ravel(), steps.segmentations[0.5].ravel()]), axis=1)
    assert len(pairs[0]) == numbers[0]  # each fragment lies in one segment


def test_the_steps_by_hand():
    affinities = np.ones((2, 1, 7), np.float32)
    affinities[1, 0, 3] = 0.2  # the edge between voxels 3 and 4
    affinities[1, 0, 2] = 0.5
    steps = segment_affinities(affinities, (1.0, 1.0), [0.4, 1.0])
    # along x each voxel has a neighbour on both sides, along y none
    np.testing.assert_allclose(steps.arrays["boundary"][0], [0, 0, 0.25, 0.65, 0.4, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(steps.arrays["distance"][0], [3, 2, 1, 0, 1, 2, 3])  # 0.5 is no wall
    assert np.flatnonzero(steps.arrays["seeds"]).tolist() == [0, 6]
    np.testing.assert_array_equal(steps.segmentations[0.4][0], [1, 1, 1, 1, 2, 2, 2])
    np.testing.assert_array_equal(steps.segmentations[1.0][0], [1] * 7)


def balls():
    grid = np.indices((20, 20, 40))
    centres = ((10, 10, 10), (10, 10, 29))
    return sum(n * (((grid.T - c) ** 2).sum(axis=-1).T < 49) for n, c in enumerate(centres, 1))


def test_seeds_of_the_background_keep_objects_apart_from_it():
    truth = balls()
    affinities = affinities_of(truth)
    without = segment_affinities(affinities, SPACING, [0.9]).segmentations[0.9]
    found = segment_affinities(affinities, SPACING, [0.9], has_background=True, seed=3)
    segmented = found.segmentations[0.9]
    assert (without > 0).all()
    assert 2 * ((segmented > 0) & (truth > 0)).sum() / ((segmented > 0).sum() + (truth > 0).sum()) > 0.9
    seeds = found.arrays["seeds"]
    assert not truth[(seeds == seeds.max()) & (found.arrays["boundary"] == 1)].any()


def test_walls_between_objects_that_touch_are_no_background():
    affinities = affinities_of(cells())
    plain, seeded = (segment_affinities(affinities, SPACING, [0.5], has_background=one) for one in (False, True))
    np.testing.assert_array_equal(plain.segmentations[0.5], seeded.segmentations[0.5])


def test_the_background_is_drawn_by_the_seed():
    truth = np.ones((9, 9 * 40), int)  # 40 columns, each with a region of background of its own
    for n in range(40):
        truth[2:7, 9 * n + 2 : 9 * n + 7] = 0
    affinities = affinities_of(truth)
    seeds = [
        segment_affinities(affinities, (1, 1), [0.5], has_background=True, seed=n).arrays["seeds"] for n in (0, 0, 1)
    ]
    np.testing.assert_array_equal(seeds[0], seeds[1])
    assert (seeds[0] != seeds[2]).any()
    regions = [ndimage.label(one == one.max())[1] for one in seeds]
    assert all(5 < number <= 20 for number in regions)


def test_voxels_of_unequal_edges_count_by_their_length():
    truth = cells()
    affinities = affinities_of(truth)
    found = segment_affinities(affinities, (4.0, 1.0, 1.0), [0.5]).arrays
    wall = np.zeros(truth.shape, bool)
    for axis in range(3):
        changes = np.diff(truth, axis=axis) != 0
        wall |= np.concatenate([changes, np.take(changes, [-1], axis)], axis)
    expected = ndimage.distance_transform_edt(~wall, sampling=(4, 1, 1))
    np.testing.assert_allclose(found["distance"], expected, rtol=1e-6)


def test_a_foreground_is_cut_into_components():
    probability = np.zeros((3, 5, 9))
    probability[1, 1:4, 1:4], probability[1, 1:4, 5:8], probability[1, 2, 4] = 0.9, 0.7, 0.4
    found = segment_foreground(probability, [0.3, 0.5, 0.8]).segmentations
    assert [len(np.unique(one)) - 1 for one in found.values()] == [1, 2, 1]
    np.testing.assert_array_equal(found[0.5] > 0, probability > 0.5)


def test_channels_that_are_not_one_per_axis_are_named():
    with pytest.raises(ValueError, match="expected affinities along each of 3 axes, got 2 channels"):
        segment_affinities(np.zeros((2, 3, 4, 5), np.float32), SPACING, [0.5])
