"""Points found again, counted by hand and by NumPy."""

import numpy as np
import pytest
import torch

from scripts.metrics import PointMatching, point_matching

AXES = torch.eye(3)


def test_found_points_are_counted_from_each_view_to_the_other():
    """Of x, y, z the second view has x twice (once weakly) and z: from the first view y is not found."""
    first = AXES.clone()
    second = torch.tensor([[5.0, 0.0, 0.0], [0.9, 0.1, 0.0], [0.0, 0.0, 0.2]])
    found, cosines, count = point_matching(first, second)
    # first to second: x, z and y, whose best is the row 1 of cosine 0.11; second to first: x, z, and row 1 goes to x
    assert (found, count) == (5, 3)
    assert cosines == pytest.approx(1 + 0.1 / 0.82**0.5 + 1)


def test_a_batch_counts_patches_apart_and_leaves_absent_points_out():
    metric = PointMatching()
    first = torch.stack([AXES, AXES])
    second = torch.stack([AXES, AXES.roll(1, 0)])
    second[0, 2] = torch.nan
    metric.update(first, second)
    assert metric.compute() == {"point_matching": 4 / 10, "positive_cosine": 2 / 5}


def test_many_points_are_compared_in_parts():
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(1500, 6, generator=generator)
    second = first + 0.5 * torch.randn(1500, 6, generator=generator)
    a, b = (view.numpy() / np.linalg.norm(view.numpy(), axis=1, keepdims=True) for view in (first, second))
    own = np.arange(1500)
    expected = (np.argmax(a @ b.T, axis=1) == own).sum() + (np.argmax(b @ a.T, axis=1) == own).sum()
    assert 100 < expected < 2900
    assert abs(point_matching(first, second)[0] - expected) <= 2  # ties of rounding


def test_vectors_that_are_all_the_same_are_found_by_chance_alone():
    metric = PointMatching()
    metric.update(torch.ones(2, 50, 4), torch.ones(2, 50, 4))
    numbers = metric.compute()
    assert numbers["point_matching"] <= 0.05
    assert numbers["positive_cosine"] == pytest.approx(1)


def test_parts_add_up_to_the_whole():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(4, 20, 3, generator=generator), torch.randn(4, 20, 3, generator=generator)
    whole, one, other = PointMatching(), PointMatching(), PointMatching()
    whole.update(first, second)
    one.update(first[:1], second[:1])
    other.update(first[1:], second[1:])
    one.merge(other)
    assert one.compute() == pytest.approx(whole.compute())


def test_without_points_nothing_is_known():
    metric = PointMatching()
    metric.update(torch.full((1, 3, 2), torch.nan), torch.zeros(1, 3, 2))
    assert np.isnan(list(metric.compute().values())).all()


def test_shapes_that_differ():
    with pytest.raises(ValueError, match=r"\[1, 3, 2\], but its label has \[1, 4, 2\]"):
        PointMatching().update(torch.zeros(1, 3, 2), torch.zeros(1, 4, 2))
