"""The contrast between points, against MONAI's and against the formula in NumPy."""

import numpy as np
import pytest
import torch
from monai.losses import ContrastiveLoss
from scipy.special import logsumexp
from torch.distributed._tools.mem_tracker import MemTracker

from scripts.losses import PointContrastiveLoss


def views(batch=2, n=12, channels=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(batch, n, channels, generator=generator)
    return first, first + 0.5 * torch.randn(batch, n, channels, generator=generator)


def formula(first, second, temperature):
    """Sum over rows and their number, for n C each."""
    z = np.concatenate([first, second]).astype(float)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    logits = z @ z.T / temperature
    np.fill_diagonal(logits, -np.inf)
    n = len(first)
    positives = logits[np.arange(2 * n), np.roll(np.arange(2 * n), n)]
    return (logsumexp(logits, axis=1) - positives).sum(), 2 * n


@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_it_is_monais_loss_over_all_points_of_the_batch(temperature):
    first, second = views()
    expected = ContrastiveLoss(temperature)(first.reshape(-1, 5), second.reshape(-1, 5))
    torch.testing.assert_close(PointContrastiveLoss(temperature)(first, second), expected)


def test_negatives_of_the_patch_are_those_of_the_same_sample():
    first, second = views(3)
    sums = [formula(a.numpy(), b.numpy(), 0.2) for a, b in zip(first, second, strict=True)]
    found = PointContrastiveLoss(0.2, "patch")(first, second)
    assert float(found) == pytest.approx(sum(total for total, _ in sums) / sum(n for _, n in sums), rel=1e-5)
    assert float(PointContrastiveLoss(0.2)(first, second)) > float(found) + 0.5


@pytest.mark.parametrize("negatives", ["batch", "patch"])
def test_absent_points_change_neither_loss_nor_gradient(negatives):
    first, second = views()
    fewer = [torch.cat([view[:1, :7], view[1:, :7]]) for view in (first, second)]
    first[:, 7:] = torch.nan
    first[0, 7:] = 3.0  # absent in the other view alone
    second[:, 7:] = torch.nan
    first.requires_grad_()
    loss = PointContrastiveLoss(negatives=negatives)
    found = loss(first, second)
    torch.testing.assert_close(found, loss(*fewer))
    found.backward()
    assert torch.isfinite(first.grad).all()
    assert (first.grad[:, 7:] == 0).all()
    assert (first.grad[:, :7] != 0).any(dim=2).all()


@pytest.mark.parametrize("chunk_size", [1, 7, 1000])
def test_parts_give_loss_and_gradients_of_the_whole(chunk_size):
    """`gradcheck` with finite differences, and MONAI's gradient."""
    first, second = (view.requires_grad_() for view in views(1, 15))
    PointContrastiveLoss(0.1, chunk_size=chunk_size)(first, second).backward()
    plain = [view.detach()[0].requires_grad_() for view in (first, second)]
    ContrastiveLoss(0.1)(*plain).backward()
    for found, expected in zip((first, second), plain, strict=True):
        torch.testing.assert_close(found.grad[0], expected.grad, rtol=1e-4, atol=1e-6)
    small = [view.double().requires_grad_() for view in views(2, 3, 4)]
    assert torch.autograd.gradcheck(PointContrastiveLoss(0.3, "patch", chunk_size), small)


def peak_bytes(loss, n):
    first, second = (view.requires_grad_() for view in views(1, n, 8))
    with MemTracker() as tracker:
        loss(first, second).backward()
    return tracker.get_tracker_snapshot("peak")[torch.device("cpu")]["Total"]


def test_memory_grows_with_the_points_not_with_their_square():
    n, square = 3000, (2 * 3000) ** 2 * 4  # bytes of all similarities
    in_parts = peak_bytes(PointContrastiveLoss(chunk_size=100), n)
    assert in_parts < square / 10
    assert in_parts < 8 * 100 * 2 * n * 4
    assert peak_bytes(PointContrastiveLoss(chunk_size=2 * n), n) > square  # the comparison can fail


def test_within_autocast_it_is_computed_in_float32():
    first, second = views(1, 200, 16)
    expected = PointContrastiveLoss()(first, second)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(PointContrastiveLoss()(first, second), expected)
    half = PointContrastiveLoss()(first.bfloat16(), second.bfloat16())
    assert half.dtype == torch.float32


@pytest.mark.parametrize("negatives", ["batch", "patch"])
def test_without_any_point_it_is_nothing(negatives):
    first, second = (torch.full((2, 4, 3), torch.nan, requires_grad=True) for _ in range(2))
    loss = PointContrastiveLoss(negatives=negatives)(first, second)
    loss.backward()
    assert loss.item() == 0
    assert (first.grad == 0).all()


def test_present_points_with_nan_are_a_fault_of_the_network():
    first, second = views()
    first[0, 0] = torch.nan
    assert torch.isfinite(PointContrastiveLoss()(first, second))
    assert PointContrastiveLoss()(first, second, torch.ones(2, 12, dtype=torch.bool)).isnan()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0}, "temperature must be a number above 0; got 0"),
        ({"chunk_size": 0}, "chunk_size must be a whole number of at least 1; got 0"),
        ({"negatives": "path"}, r"must be one of batch, patch; got 'path' \(did you mean 'patch'\?\)"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        PointContrastiveLoss(**options)
