"""Loss of resolution by hand."""

import numpy as np
import pytest
import torch
from scipy import stats

from scripts.transforms import RandLowResolution, RandLowResolutiond, lower_resolution


def test_a_row_by_hand():
    """Eight voxels to four: of each pair the second (its centre is where halves are rounded up), then linear."""
    row = torch.arange(8.0).reshape(1, 1, 8)
    low = np.array([1.0, 3.0, 5.0, 7.0])  # at 0.5, 2.5, 4.5, 6.5
    expected = np.interp(np.arange(8), [0.5, 2.5, 4.5, 6.5], low)
    assert lower_resolution(row, (1, 0.5)).flatten().tolist() == pytest.approx(expected.tolist())


@pytest.mark.parametrize("factor", [0.4, 0.55, 0.75, 0.9])
def test_each_axis_is_read_at_the_nearest_voxels_and_interpolated(factor):
    image = torch.randn(1, 11, 9, 13, generator=torch.Generator().manual_seed(0))
    expected = image[0].double().numpy()
    for axis, n in enumerate(expected.shape):
        coarse = round(n * factor)
        centres = (np.arange(coarse) + 0.5) * n / coarse
        low = np.take(expected, np.floor(centres).astype(int), axis)
        expected = np.apply_along_axis(lambda v: np.interp(np.arange(n) + 0.5, centres, v), axis, low)  # noqa: B023
    found = lower_resolution(image, (factor,) * 3)
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_factors_of_1_change_nothing_and_a_voxel_is_left_at_least():
    image = torch.randn(1, 7, 6)
    torch.testing.assert_close(lower_resolution(image, (1, 1)), image)
    torch.testing.assert_close(lower_resolution(image, (0.01, 0.01)), image[:, 3:4, 3:4].expand(1, 7, 6))


def test_factors_are_drawn_evenly_one_per_channel():
    transform = RandLowResolution(1, 1, (0.5, 0.8)).set_random_state(0)
    drawn = []
    for _ in range(300):
        transform.randomize(torch.zeros(2, 4, 4, 4))
        assert all(len(set(factors)) == 1 for factors in transform.parameters)
        drawn += [factors[0] for factors in transform.parameters]
    assert len(set(drawn)) == 600
    assert stats.kstest(drawn, stats.uniform(0.5, 0.3).cdf).pvalue > 1e-4


def test_axes_that_are_not_named_keep_their_resolution():
    image = torch.randn(1, 8, 8, 8)
    out = RandLowResolution(1, 1, (0.5, 0.5), axes=[1, 2])(image)
    torch.testing.assert_close(out.as_tensor(), lower_resolution(image, (1, 0.5, 0.5)))


def test_the_seed_repeats_it():
    given = {"image": torch.randn(2, 8, 8, 8)}
    transform = RandLowResolutiond("image", 1)
    first, again, other = (transform.set_random_state(seed)(given)["image"].as_tensor() for seed in (2, 2, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_options_out_of_range():
    with pytest.raises(ValueError, match=r"factor must hold two numbers above 0.*got \[0, 1\]"):
        RandLowResolutiond("image", factor=[0, 1])
    with pytest.raises(ValueError, match=r"axes must be spatial axes, of 0, 1 and 2; got \[3\]"):
        RandLowResolutiond("image", axes=[3])
