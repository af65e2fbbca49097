"""Uncertainties by hand."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import rankdata

from scripts.landmarks import e_cpv, e_mha, gaussian_heatmaps, s_mha, uncertainty_correlation

NAN = float("nan")


def test_activation_of_one_model_is_its_maximum():
    points = torch.tensor([[[5.3, 6.0], [8.0, 9.6]]])
    maps = gaussian_heatmaps(points, (14, 16), 2.0, torch.tensor([3.0, 0.5]))
    found, activation = s_mha(maps)
    torch.testing.assert_close(found, points, rtol=0, atol=1e-3)
    torch.testing.assert_close(activation, maps.flatten(2).amax(dim=2))
    for of_one_or_more in (s_mha(maps, "argmax"), e_mha([maps, maps], "argmax")):
        assert torch.equal(of_one_or_more[0], points.round())


def test_activation_of_an_ensemble_is_that_of_the_mean_map():
    """Two agree and a third is elsewhere: the mean is highest where the two are, at two thirds of their height."""
    agreed, other = torch.tensor([[[5.0, 6.0]]]), torch.tensor([[[25.0, 26.0]]])
    members = [gaussian_heatmaps(points, (32, 32), 2.0, 9.0) for points in (agreed, other, agreed)]
    for heatmaps in (members, torch.stack(members)):
        found, activation = e_mha(heatmaps)
        torch.testing.assert_close(found, agreed, rtol=0, atol=1e-3)
        assert activation.item() == pytest.approx(6.0)


def test_half_precision_members_are_summed_in_single():
    members = [torch.full((1, 1, 4, 4), 60000.0).half().index_fill(2, torch.tensor(1), 59000.0) for _ in range(3)]
    assert e_mha(members, "argmax")[1].item() == pytest.approx(60000, rel=1e-3)


def test_spread_of_coordinates_by_hand():
    """Members at the corners of a right triangle with legs 3 and 6, whose mean is at (1, 2)."""
    members = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 6.0]]).reshape(3, 1, 1, 2)
    spread = e_cpv(members)
    assert spread.points[0, 0].tolist() == [1, 2]
    squares = [1 + 4, 4 + 4, 1 + 16]
    assert spread.distance.item() == pytest.approx(sum(map(math.sqrt, squares)) / 3)
    assert spread.variance.item() == pytest.approx(sum(squares) / 3)
    in_mm = e_cpv(list(members), spacing=(2.0, 0.5))
    assert in_mm.points[0, 0].tolist() == [1, 2]
    assert in_mm.variance.item() == pytest.approx((4 + 1 + 16 + 1 + 4 + 4) / 3)


def test_members_that_found_nothing_do_not_count():
    members = torch.tensor([[[0.0, 0.0], [1.0, 1.0]], [[4.0, NAN], [NAN, NAN]], [[2.0, 0.0], [NAN, NAN]]])[:, None]
    members[0, 0, 1] = NAN
    spread = e_cpv(members)
    assert spread.points[0, 0].tolist() == [1, 0]
    assert spread.distance[0, 0].item() == 1
    assert spread.points[0, 1].isnan().all()
    assert spread.distance[0, 1].isnan()


def test_correlation_is_that_of_ranks_over_known_pairs():
    rng = np.random.default_rng(0)
    error = rng.exponential(size=(8, 5))
    uncertainty = error**3 + rng.normal(0, 0.5, error.shape)
    uncertainty[2, 2], error[4, 1] = NAN, NAN
    known = np.isfinite(uncertainty) & np.isfinite(error)
    expected = np.corrcoef(rankdata(uncertainty[known]), rankdata(error[known]))[0, 1]
    assert uncertainty_correlation(torch.from_numpy(uncertainty), error) == pytest.approx(expected)
    assert uncertainty_correlation([1, 2, 3], [5.0, 7.0, 100.0]) == pytest.approx(1)


@pytest.mark.parametrize("pairs", [([1.0], [2.0]), ([1.0, 1.0], [2.0, 3.0]), ([NAN, 1.0], [2.0, NAN])])
def test_without_variation_there_is_no_correlation(pairs):
    assert math.isnan(uncertainty_correlation(*pairs))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="heatmaps has no members"):
        e_mha([])
    with pytest.raises(ValueError, match=r"shape M B N D with at least one member; got \[2, 3, 2\]"):
        e_cpv(torch.zeros(2, 3, 2))
    with pytest.raises(ValueError, match=r"at least one member; got \[0\]"):
        e_cpv([])
    with pytest.raises(ValueError, match=r"spacing must hold 2 lengths, one per axis; got \[1, 1, 1\]"):
        e_cpv(torch.zeros(2, 1, 3, 2), (1, 1, 1))
    with pytest.raises(ValueError, match=r"uncertainty has shape \[2\], but error has \[3\]"):
        uncertainty_correlation([1, 2], [1, 2, 3])
