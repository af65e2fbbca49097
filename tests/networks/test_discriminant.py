"""The closed-form head, against its formula in NumPy and on classes whose best border is known."""

import numpy as np
import pytest
import torch

from scripts.networks import HeadNetwork, discriminant_weights


def test_weights_by_hand():
    vectors = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    covariance = torch.tensor([[4.0, 0.0], [0.0, 1.0]])
    weight, bias = discriminant_weights(vectors, torch.tensor([0, 0, 1]), covariance, 2, shrinkage=0)
    # means (2, 0) and (0, 4)
    torch.testing.assert_close(weight, torch.tensor([[0.5, 0.0], [0.0, 4.0]]), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(bias, torch.tensor([-0.5, -8.0]), atol=1e-4, rtol=1e-4)


def test_shrinkage_goes_from_the_covariance_to_equal_variances():
    rng = np.random.default_rng(0)
    vectors, labels = rng.normal(size=(9, 3)), np.array([0, 1, 2] * 3)
    covariance = np.cov(rng.normal(size=(50, 3)).T * [[1], [3], [0.5]])
    for shrinkage in (0.3, 1.0):
        pooled = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / 3 * np.eye(3)
        means = np.array([vectors[labels == k].mean(axis=0) for k in range(3)])
        expected = means @ np.linalg.inv(pooled)
        weight, bias = discriminant_weights(
            torch.from_numpy(vectors), torch.from_numpy(labels), torch.from_numpy(covariance), 3, shrinkage
        )
        np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(bias, -0.5 * (expected * means).sum(axis=1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("counts", "share"), [((5, 5), 0.5), ((20, 20), 0.2), ((45, 5), 0.5), ((4, 5, 6), 10 / 22)])
def test_shrinkage_falls_with_the_points_of_the_rarest_class(counts, share):
    rng = np.random.default_rng(3)
    labels = torch.from_numpy(np.repeat(range(len(counts)), counts))
    vectors = torch.from_numpy(rng.normal(size=(len(labels), 3)))
    covariance = torch.from_numpy(np.cov(rng.normal(size=(50, 3)).T * [[1], [3], [0.5]]))
    by_itself = discriminant_weights(vectors, labels, covariance, len(counts))
    given = discriminant_weights(vectors, labels, covariance, len(counts), share)
    for found, expected in zip(by_itself, given, strict=True):
        torch.testing.assert_close(found, expected)


def test_directions_that_vary_anyway_do_not_mislead():
    """Eight points in ten features, of which the loudest say nothing: nearly the best border there is."""
    rng = np.random.default_rng(1)
    scales = np.array([0.5, *[8.0] * 9])
    labels = rng.integers(0, 2, 20_000)
    features = rng.normal(size=(20_000, 10)) * scales
    features[:, 0] += labels * 2
    few = np.concatenate([np.flatnonzero(labels == k)[:4] for k in range(2)])
    covariance = torch.from_numpy(np.cov(features.T))
    weight, bias = discriminant_weights(
        torch.from_numpy(features[few]), torch.from_numpy(labels[few]), covariance, 2, 0
    )
    right = ((torch.from_numpy(features).float() @ weight.T + bias).argmax(dim=1).numpy() == labels).mean()
    plain, offset = discriminant_weights(
        torch.from_numpy(features[few]), torch.from_numpy(labels[few]), torch.eye(10), 2, 0
    )
    of_plain = ((torch.from_numpy(features).float() @ plain.T + offset).argmax(dim=1).numpy() == labels).mean()
    assert right > 0.8
    assert of_plain < 0.65


def test_the_head_is_linear_on_maps():
    network = HeadNetwork({"cell": {"channels": 3}}, in_channels=4, head="linear")
    x = torch.rand(2, 4, 3, 5, 6)
    layer = network.heads["cell"]
    expected = torch.einsum("bcdhw,kc->bkdhw", x, layer.weight) + layer.bias.reshape(-1, 1, 1, 1)
    torch.testing.assert_close(network(x)["cell"], expected)
    assert sum(p.numel() for p in network.parameters()) == 3 * 4 + 3


def test_what_does_not_fit_is_named():
    vectors = torch.rand(2, 3)
    with pytest.raises(ValueError, match="no annotated point of class 1 of 2"):
        discriminant_weights(vectors, torch.tensor([0, 0]), torch.eye(3), 2)
    with pytest.raises(ValueError, match=r"shrinkage must be a number from 0 to 1; got 1\.5"):
        discriminant_weights(vectors, torch.tensor([0, 1]), torch.eye(3), 2, 1.5)
