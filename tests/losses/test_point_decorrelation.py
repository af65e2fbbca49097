"""Barlow Twins against MONAI's, VICReg against its formula in NumPy."""

import numpy as np
import pytest
import torch
from monai.losses import BarlowTwinsLoss

from scripts.losses import PointBarlowTwinsLoss, PointVICRegLoss


def views(n=20, channels=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    first = 0.6 * torch.randn(2, n, channels, generator=generator)
    return first, first + 0.3 * torch.randn(2, n, channels, generator=generator)


def test_barlow_twins_is_monais_over_all_points_of_the_batch():
    first, second = views()
    for factor in (5e-3, 0.5):
        expected = BarlowTwinsLoss(factor)(first.reshape(-1, 4), second.reshape(-1, 4))
        torch.testing.assert_close(PointBarlowTwinsLoss(factor)(first, second), expected)


def vicreg(first, second):
    """Invariance, variance and covariance of n C each."""
    spread, shared = [], []
    for view in (first, second):
        deviation = np.sqrt(view.var(axis=0, ddof=1) + 1e-4)
        spread.append(np.maximum(0, 1 - deviation).mean())
        covariance = np.cov(view.T)
        shared.append((covariance**2).sum() - (np.diag(covariance) ** 2).sum())
    return ((first - second) ** 2).mean(), np.mean(spread), sum(shared) / first.shape[1]


@pytest.mark.parametrize("factors", [(25.0, 25.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])
def test_vicreg_is_the_weighted_sum_of_its_terms(factors):
    first, second = views()
    terms = vicreg(*(view.reshape(-1, 4).double().numpy() for view in (first, second)))
    found = PointVICRegLoss(*factors)(first, second)
    assert float(found) == pytest.approx(np.dot(factors, terms), rel=1e-4)


@pytest.mark.parametrize("loss", [PointBarlowTwinsLoss(), PointVICRegLoss()], ids=["barlow_twins", "vicreg"])
def test_absent_points_do_not_count(loss):
    first, second = views()
    expected = loss(first[:, :9], second[:, :9])
    first[:, 9:] = torch.nan
    first.requires_grad_()
    found = loss(first, second)
    torch.testing.assert_close(found, expected)
    found.backward()
    assert torch.isfinite(first.grad).all()


@pytest.mark.parametrize("loss", [PointBarlowTwinsLoss(), PointVICRegLoss()], ids=["barlow_twins", "vicreg"])
def test_one_point_is_nothing_to_correlate(loss):
    first, second = (view[:, :1].clone() for view in views())
    first[1] = torch.nan
    first.requires_grad_()
    found = loss(first, second)
    found.backward()
    assert found.item() == 0
    assert (first.grad == 0).all()


@pytest.mark.parametrize("loss", [PointBarlowTwinsLoss(), PointVICRegLoss()], ids=["barlow_twins", "vicreg"])
def test_within_autocast_they_are_computed_in_float32(loss):
    first, second = views(200)
    expected = loss(first, second)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(loss(first, second), expected)


@pytest.mark.parametrize("factors", [(-0.5, 25.0, 1.0), (25.0, -0.5, 1.0), (25.0, 25.0, -0.5), (0, 0, 0)])
def test_factors_out_of_range(factors):
    got = "invariance = {}, variance = {}, covariance = {}".format(*factors)
    with pytest.raises(ValueError, match=f"not be negative nor all 0; got {got}"):
        PointVICRegLoss(*factors)
