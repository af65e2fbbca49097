"""Widths learnt from noisy annotations, against the minimum of the expected loss in closed form."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from scripts.landmarks import LearnedSigma, gaussian_heatmaps
from scripts.losses import MultiTaskLoss, SigmaRegressionLoss

NAN = float("nan")
SHAPE = (32, 32)


def test_values_by_hand():
    """Two landmarks in two images, one of them missing once."""
    points = torch.tensor([[[9.0, 8.0], [12.0, 12.0]], [[7.0, 9.3], [NAN, 3.0]]])
    heatmaps = LearnedSigma(2, 2, initial=2.0)
    prediction = torch.full((2, 2, 20, 22), 0.25)
    truth = gaussian_heatmaps(points, (20, 22), 2.0, 100 / (2 * math.pi * 4)).numpy()
    squares = [((0.25 - truth[b, n]) ** 2).sum() for b, n in ((0, 0), (0, 1), (1, 0))]
    product = SigmaRegressionLoss(heatmaps)(prediction, points)
    assert product.item() == pytest.approx((0.5 * sum(squares) + 5 * 3 * 4) / 2, rel=1e-5)
    norm = SigmaRegressionLoss(heatmaps, "norm")(prediction, points)
    assert norm.item() == pytest.approx(sum(squares) / (3 * 440) + 0.005 * math.sqrt(8), rel=1e-5)
    heavier = SigmaRegressionLoss(heatmaps, weight=7.0)(prediction, points)
    assert (heavier - product).item() == pytest.approx(2 * 3 * 4 / 2, rel=1e-4)


def test_widths_get_their_gradient_from_the_truth_too():
    """A narrow truth beside a wide prediction has to widen, whatever the penalty says."""
    points = torch.tensor([[[16.0, 16.0]]])
    heatmaps = LearnedSigma(1, 2, initial=2.0)
    wide = LearnedSigma(1, 2, initial=4.0)(points, SHAPE).detach()
    SigmaRegressionLoss(heatmaps, weight=0.0)(wide, points).backward()
    assert heatmaps.log_sigma.grad.item() < 0
    heatmaps.log_sigma.grad = None
    SigmaRegressionLoss(heatmaps, weight=100.0)(wide, points).backward()
    assert heatmaps.log_sigma.grad.item() > 0


def expected_loss(sigmas, noise, gamma=100.0, weight=5.0):
    """Least expected loss, over all predictions, for annotations with normal noise along the Gaussian's axes.

    The best prediction is the mean heatmap; what remains is half the variance, whose integral is known.
    """
    squares = np.square(sigmas)
    remaining = 1 / math.sqrt(squares.prod()) - 1 / math.sqrt((squares + np.square(noise)).prod())
    return gamma**2 / (8 * math.pi) * remaining + weight * np.prod(sigmas)


def learn(heatmaps, points, steps=100):
    """Descend with the prediction that fits all annotations best: their mean heatmap."""
    loss = SigmaRegressionLoss(heatmaps)
    optimiser = torch.optim.Adam(loss.heatmaps.parameters(), lr=0.08)
    for _ in range(steps):
        optimiser.zero_grad()
        prediction = heatmaps(points, SHAPE).mean(dim=0, keepdim=True).detach()
        loss(prediction.expand(len(points), -1, -1, -1), points).backward()
        optimiser.step()


def annotations(noise, angle=0.0):
    """All pairs of 10 equally likely places along two axes: B 1 D around the middle of the map."""
    steps = torch.special.ndtri((torch.arange(10, dtype=torch.float64) + 0.5) / 10)
    steps = (steps / steps.std(correction=0)).float()
    own = torch.stack(torch.meshgrid(steps * noise[0], steps * noise[1], indexing="ij"), dim=2).reshape(-1, 1, 2)
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return own @ torch.tensor([[cosine, sine], [-sine, cosine]]) + 16.0


@pytest.mark.parametrize("noise", [(3.0, 0.5), (0.5, 3.0)])
def test_widths_grow_along_the_noisy_direction(noise):
    heatmaps = LearnedSigma(1, 2, initial=2.0, anisotropic=True)
    learn(heatmaps, annotations(noise))
    best = minimize(expected_loss, (2.0, 2.0), (noise,), bounds=[(0.3, 12)] * 2).x
    np.testing.assert_allclose(heatmaps.sigmas[0].detach(), best, rtol=0.1)
    noisy = int(np.argmax(noise))
    assert heatmaps.sigmas[0, noisy] > 1.5 * heatmaps.sigmas[0, 1 - noisy]


def test_the_direction_of_the_noise_is_found():
    heatmaps = LearnedSigma(1, 2, initial=2.0, anisotropic=True)
    with torch.no_grad():
        heatmaps.log_sigma[0, 0] += 0.1  # equal widths have no direction
    learn(heatmaps, annotations((3.0, 0.5), angle=30.0), 150)
    assert heatmaps.angles.item() == pytest.approx(30, abs=3)
    best = minimize(expected_loss, (2.0, 2.0), ((3.0, 0.5),), bounds=[(0.3, 12)] * 2).x
    np.testing.assert_allclose(heatmaps.sigmas[0].detach(), best, rtol=0.1)


def test_one_width_grows_with_the_noise():
    found = []
    for noise in (0.5, 2.0):
        heatmaps = LearnedSigma(1, 2, initial=2.0)
        learn(heatmaps, annotations((noise, noise)))
        best = minimize(lambda s, n=noise: expected_loss((s[0], s[0]), (n, n)), (2.0,), bounds=[(0.3, 12)]).x
        assert heatmaps.widths.item() == pytest.approx(best[0], rel=0.1)
        found.append(heatmaps.widths.item())
    assert found[1] > 1.3 * found[0]


@pytest.mark.parametrize("penalty", ["product", "norm"])
def test_missing_landmarks_pass_no_gradient(penalty):
    points = torch.tensor([[[NAN, NAN], [16.0, 16.0]]])
    heatmaps = LearnedSigma(2, 2, anisotropic=True)
    prediction = torch.rand(1, 2, *SHAPE, generator=torch.Generator().manual_seed(0)).requires_grad_()
    SigmaRegressionLoss(heatmaps, penalty, weight=0.0)(prediction, points).backward()
    assert (prediction.grad[0, 0] == 0).all()
    assert (prediction.grad[0, 1] != 0).any()
    assert (heatmaps.log_sigma.grad[0] == 0).all()
    assert (heatmaps.log_sigma.grad[1] != 0).all()


def test_a_target_may_have_points_for_its_label():
    """The optimiser finds the widths among the parameters of the sum of all losses."""
    loss = SigmaRegressionLoss(LearnedSigma(2, 2))
    total = MultiTaskLoss({"marks": {"channels": 2, "kind": "points", "loss": loss, "weight": 3.0}})
    prediction, points = torch.rand(1, 2, 9, 8), torch.tensor([[[4.0, 4.0], [NAN, 3.0]]])
    torch.testing.assert_close(total({"marks": prediction}, {"marks": points}), 3 * loss(prediction, points))
    assert any(parameter is loss.heatmaps.log_sigma for parameter in total.parameters())


def test_its_parameters_are_those_of_the_heatmaps():
    heatmaps = LearnedSigma(2, 3, anisotropic=True)
    assert {id(p) for p in SigmaRegressionLoss(heatmaps).parameters()} == {id(p) for p in heatmaps.parameters()}


def test_what_does_not_fit_is_refused():
    heatmaps = LearnedSigma(1, 2)
    with pytest.raises(ValueError, match=r"one of product, norm; got 'produkt' \(did you mean 'product'\?\)"):
        SigmaRegressionLoss(heatmaps, "produkt")
    with pytest.raises(ValueError, match="weight must be at least 0; got -1"):
        SigmaRegressionLoss(heatmaps, weight=-1)
    with pytest.raises(ValueError, match=r"prediction has shape \[1, 2, 8, 8\], but its label has \[1, 1, 8, 8\]"):
        SigmaRegressionLoss(heatmaps)(torch.zeros(1, 2, 8, 8), torch.zeros(1, 1, 2))
