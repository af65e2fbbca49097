"""Surface distances against MONAI, distance transforms and planes."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice
from scipy import ndimage

from scripts.metrics import surface_distances


def _blobs(seed, shape=(14, 16, 18)):
    """Two foregrounds that stay away from the border, so that every convention has the same surfaces."""
    noise = np.random.default_rng(seed).random((2, *shape))
    masks = np.zeros((2, *shape), bool)
    for mask, values in zip(masks, noise, strict=True):
        smooth = ndimage.gaussian_filter(values, 2)
        mask[2:-2, 2:-2, 2:-2] = (smooth > np.quantile(smooth, 0.6))[2:-2, 2:-2, 2:-2]
    return masks


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI warns of itself
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 0.5, 1.3)])
def test_equal_monai_away_from_the_border(seed, spacing):
    prediction, truth = _blobs(seed)
    distances = surface_distances(prediction, truth, spacing)
    one_hot = [torch.from_numpy(np.stack([~mask, mask])[None]) for mask in (prediction, truth)]
    options = {"include_background": False, "spacing": spacing}
    assert distances.average == pytest.approx(
        compute_average_surface_distance(*one_hot, symmetric=True, **options).item(), rel=1e-5
    )
    assert distances.hausdorff() == pytest.approx(
        compute_hausdorff_distance(*one_hot, percentile=95, **options).item(), rel=1e-5
    )
    assert distances.hausdorff(100) == pytest.approx(compute_hausdorff_distance(*one_hot, **options).item(), rel=1e-5)
    near, count = distances.near(1.7)
    assert near / count == pytest.approx(compute_surface_dice(*one_hot, [1.7], **options).item(), rel=1e-5)


def test_the_95th_percentile_is_not_the_largest():
    distances = surface_distances(*_blobs(0), (1, 1, 1))
    assert distances.hausdorff(95) < distances.hausdorff(100)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), spacing=st.tuples(*[st.sampled_from([0.1, 0.3, 1.0, 4.0])] * 2), dense=st.booleans())
def test_distances_by_trying_all_pairs(seed, spacing, dense):
    """Anisotropic, in 2D, with unknown voxels and objects at the border."""
    rng = np.random.default_rng(seed)
    prediction, truth, known = rng.random((3, 6, 7)) < (0.7 if dense else 0.2)
    known = ~known

    def surface(mask):
        inside, points = mask & known, []
        for y, x in np.argwhere(inside):
            beside = [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
            beside = [p for p in beside if 0 <= p[0] < 6 and 0 <= p[1] < 7]
            if any(known[p] and not mask[p] for p in beside):
                points.append((y * spacing[0], x * spacing[1]))
        return np.array(points).reshape(-1, 2)

    a, b = surface(prediction), surface(truth)
    between = np.linalg.norm(a[:, None] - b, axis=-1)
    distances = surface_distances(prediction, truth, spacing, known=known)
    np.testing.assert_allclose(distances.to_truth, between.min(axis=1, initial=np.inf))
    np.testing.assert_allclose(distances.to_prediction, between.min(axis=0, initial=np.inf))


def _slab(z, shape=(12, 5, 5)):
    mask = np.zeros(shape, bool)
    mask[z] = True
    return mask


@pytest.mark.parametrize(("tolerance", "share"), [(None, 0), (0.59, 0), (0.6, 1), (3.0, 1)])
def test_planes_within_a_tolerance(tolerance, share):
    """Six voxels of 0.1: 0.6 apart, whatever the rounding."""
    near, count = surface_distances(_slab(2), _slab(8), (0.1, 0.2, 0.1)).near(tolerance)
    assert (near / count, count) == (share, 50)


def test_one_voxel_apart_is_within_the_largest_spacing():
    shifted = surface_distances(_slab(2), _slab(3), (4.0, 1.0, 1.0))
    assert shifted.near() == (50, 50)
    assert surface_distances(_slab(2), _slab(4), (4.0, 1.0, 1.0)).near() == (0, 50)


def test_only_one_surface_is_infinitely_far_and_none_is_nothing():
    one = surface_distances(_slab(2), np.zeros_like(_slab(2)), (1, 1, 1))
    assert one.average == one.hausdorff() == math.inf
    assert one.near(100) == (0, 25)
    none = surface_distances(np.zeros(4, int), np.ones(4, int), (1,))
    assert math.isnan(none.average)
    assert math.isnan(none.hausdorff())
    assert none.near() == (0, 0)


def test_bad_input():
    with pytest.raises(ValueError, match=r"spacing must be 3 numbers above 0, one per axis, got \[1, 1\]"):
        surface_distances(_slab(1), _slab(1), (1, 1))
    with pytest.raises(ValueError, match=r"shape \(12, 5, 5\), but truth has \(12, 5, 4\)"):
        surface_distances(_slab(1), _slab(1, (12, 5, 4)), (1, 1, 1))
    with pytest.raises(TypeError, match="prediction has dtype float64"):
        surface_distances(_slab(1) * 0.5, _slab(1), (1, 1, 1))
