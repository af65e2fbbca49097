"""Thresholds against scikit-image and morphological reconstruction."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage import filters, morphology

from scripts.segmentation import hysteresis, hysteresis_components, threshold

seeds = st.integers(0, 2**32 - 1)


def smooth_noise(seed, shape=(7, 8, 9)):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 0.7)
    return ((noise - noise.min()) / np.ptp(noise)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, low=st.sampled_from([0.3, 0.5, 0.7]), rise=st.sampled_from([0, 0.1, 0.25]))
def test_hysteresis_equals_scikit_image(seed, low, rise):
    values = smooth_noise(seed)
    assert np.array_equal(
        hysteresis(values, low, low + rise), filters.apply_hysteresis_threshold(values, low, low + rise)
    )


@pytest.mark.parametrize("connectivity", [1, 2, 3])
@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_hysteresis_equals_reconstruction_from_the_high_mask(connectivity, seed):
    values = smooth_noise(seed)
    footprint = ndimage.generate_binary_structure(3, connectivity)
    expected = morphology.reconstruction(values > 0.8, values > 0.55, footprint=footprint)
    assert np.array_equal(hysteresis(values, 0.55, 0.8, connectivity), expected > 0)


def test_components_say_which_of_them_is_strong():
    values = np.array([[0.6, 0.6, 0.1, 0.6, 0.9, 0.2, 0.7]])
    labels, strong = hysteresis_components(values, 0.5, 0.8)
    assert labels.tolist() == [[1, 1, 0, 2, 2, 0, 3]]
    assert strong.tolist() == [False, False, True, False]


def test_limits_themselves_are_outside():
    values = np.array([[0.25, 0.5, 0.75, np.nan]])
    assert threshold(values, 0.25).tolist() == [[False, True, True, False]]
    assert threshold(values, below=0.75).tolist() == [[True, True, False, False]]
    assert threshold(values, 0.25, 0.75).tolist() == [[False, True, False, False]]
    assert hysteresis(values, 0.25, 0.75).tolist() == [[False, False, False, False]]
    assert hysteresis(values, 0.25, 0.5).tolist() == [[False, True, True, False]]


def test_stored_bytes_are_compared_as_they_are():
    assert threshold(np.array([[127, 128]], np.uint8), 127.5).tolist() == [[False, True]]


def test_nothing_above_the_low_limit_gives_nothing():
    labels, strong = hysteresis_components(np.zeros((2, 3)), 0.2, 0.5)
    assert (labels.any(), strong.tolist()) == (False, [False])


def test_faulty_limits_are_refused():
    values = np.zeros((2, 2))
    with pytest.raises(ValueError, match=r"low must not be larger than high, got low=0.6 and high=0.5"):
        hysteresis(values, 0.6, 0.5)
    with pytest.raises(ValueError, match="give above or below"):
        threshold(values)
    with pytest.raises(ValueError, match=r"got above=0.5 and below=0.5"):
        threshold(values, 0.5, 0.5)
    with pytest.raises(ValueError, match=r"values must have shape D H W or H W.*got \(4,\)"):
        threshold(np.zeros(4), 0.5)
