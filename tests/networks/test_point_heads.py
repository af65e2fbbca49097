"""Heads on points and on maps: the same weights give the same numbers."""

import numpy as np
import pytest
import torch

from scripts.networks import SimpleSegHead, SparseSegHead


@pytest.mark.parametrize("size", [(4, 5, 6), (7, 3)], ids=["3D", "2D"])
def test_maps_and_points_give_equal_outputs(size):
    torch.manual_seed(0)
    head = SparseSegHead(5, 2, 8)
    features = torch.randn(2, 5, *size)
    dense = head(features)
    assert dense.shape == (2, 2, *size)
    points = features.flatten(2).transpose(1, 2)  # B C D H W -> B N C
    torch.testing.assert_close(dense.flatten(2).transpose(1, 2), head(points), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(head(points[0]), head(points)[0], rtol=1e-5, atol=1e-6)


def test_the_sparse_head_is_two_products_with_a_relu_between():
    head = SparseSegHead(5, 2, 8)
    points = torch.randn(7, 5)
    weights = {name: value.detach().numpy() for name, value in head.named_parameters()}
    hidden = np.maximum(points.numpy() @ weights["hidden.weight"].T + weights["hidden.bias"], 0)
    expected = hidden @ weights["out.weight"].T + weights["out.bias"]
    np.testing.assert_allclose(head(points).detach(), expected, atol=1e-6)


@pytest.mark.parametrize("dims", [2, 3])
def test_the_simple_head_with_the_same_weights_is_the_sparse_one(dims):
    sparse, simple = SparseSegHead(5, 2, 8), SimpleSegHead(dims, 5, 2, 8)
    for layer, wanted in ((simple[0], sparse.hidden), (simple[2], sparse.out)):
        layer.weight.data = wanted.weight.data.reshape(layer.weight.shape)
        layer.bias.data = wanted.bias.data
    features = torch.randn(2, 5, *[4] * dims)
    torch.testing.assert_close(simple(features), sparse(features), rtol=1e-5, atol=1e-6)


def test_gradients_of_maps_and_points_agree():
    torch.manual_seed(0)
    head = SparseSegHead(3, 2, 4)
    features = torch.randn(2, 3, 2, 2, 2)
    head(features).square().sum().backward()
    dense = [p.grad.clone() for p in head.parameters()]
    head.zero_grad()
    head(features.flatten(2).transpose(1, 2)).square().sum().backward()
    for found, expected in zip(head.parameters(), dense, strict=True):
        torch.testing.assert_close(found.grad, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(5,), (4, 3), (2, 4, 3, 3), (1, 1, 1, 1, 1, 5)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=rf"with C = 5; got shape \[{', '.join(map(str, shape))}\]"):
        SparseSegHead(5, 2, 8)(torch.zeros(shape))
