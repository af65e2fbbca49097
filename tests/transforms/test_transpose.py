"""Axes that are exchanged: which ones, and the normals of the sphere afterwards."""

import collections

import pytest
import torch
from monai.transforms import Compose, RandFlipd
from scipy import stats
from tests.transforms.sphere import SPACINGS, expected_normals, old_array, unit

from scripts.transforms import RandTranspose, RandTransposed, ReorientVectorsd, transpose_axes


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(3))
def test_the_sphere_keeps_its_normals(spacing, seed):
    size = min(round(45 / edge) for edge in spacing)
    field = old_array(spacing, unit)[:, :size, :size, :size]  # all axes of equal length, as a patch has them
    chain = [RandTransposed("n", 1), RandFlipd("n", 0.5, 0), RandTransposed("n", 1), ReorientVectorsd("n")]
    out = Compose(chain).set_random_state(seed)({"n": field})["n"]
    expected, _ = expected_normals(out, spacing)
    there = (expected.norm(dim=0) > 0.5) & (field.norm(dim=0).min() > 0.5)
    torch.testing.assert_close(out.as_tensor().double()[:, there], expected[:, there], rtol=0, atol=1e-5)
    assert out.is_contiguous()


def test_values_and_place_move_together():
    field = old_array((3.0, 1.0, 1.5), lambda offset: offset)
    out = transpose_axes(field, (2, 0, 1))
    assert torch.equal(out.as_tensor(), field.as_tensor().permute(0, 3, 1, 2))
    index = torch.tensor([4.0, 5.0, 6.0, 1.0], dtype=torch.float64)  # new z y x = old x z y
    assert torch.equal(out.affine @ index, field.affine @ index[[1, 2, 0, 3]])
    assert torch.equal(transpose_axes(torch.arange(6).reshape(1, 2, 3), (1, 0))[0], torch.arange(6).reshape(2, 3).T)


@pytest.mark.parametrize(
    ("size", "orders"),
    [
        ((4, 4, 4), {(0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)}),
        ((4, 6, 6), {(0, 2, 1)}),
        ((6, 4, 6), {(2, 1, 0)}),
        ((4, 5, 6), {()}),
        ((4, 4), {(1, 0)}),
    ],
)
def test_only_axes_of_equal_length_are_exchanged_each_order_as_often(size, orders):
    transform = RandTranspose(1).set_random_state(0)
    found = collections.Counter()
    for _ in range(1000):
        transform.randomize(torch.zeros(1, *size))
        found[transform.order] += 1
    assert set(found) == orders
    assert stats.chisquare(list(found.values())).pvalue > 1e-4 or len(orders) == 1


def test_the_probability_and_the_seed():
    image = torch.arange(27.0).reshape(1, 3, 3, 3)
    transform = RandTransposed(["a", "b"], 0.3).set_random_state(0)
    outs = [transform({"a": image, "b": image}) for _ in range(2000)]
    changed = sum(not torch.equal(out["a"].as_tensor(), image) for out in outs)
    assert stats.binomtest(changed, 2000, 0.3).pvalue > 1e-4
    assert all(torch.equal(out["a"], out["b"]) for out in outs[:50])
    again = transform.set_random_state(0)({"a": image, "b": image})
    assert torch.equal(again["a"], outs[0]["a"])
