"""Affines against hand-computed matrices."""

import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from scripts.geometry.affines import affine_spacing, check_spacing, index_map, linear_part, nominal_spacing


def scaled(*spacing: float) -> torch.Tensor:
    return torch.diag(torch.tensor([*spacing, 1.0], dtype=torch.float64))


def test_spacing_is_the_length_of_the_columns():
    # 30 degrees in the y-x plane with voxels of 3, 2, 0.5
    c, s = math.cos(math.pi / 6), math.sin(math.pi / 6)
    affine = np.array([[3, 0, 0, 7], [0, 2 * c, -0.5 * s, -4], [0, 2 * s, 0.5 * c, 9], [0, 0, 0, 1.0]])
    assert affine_spacing(affine, 3) == pytest.approx((3, 2, 0.5))
    assert affine_spacing(affine[1:, 1:], 2) == pytest.approx((2, 0.5))


def test_index_map_of_a_flip_and_a_zoom():
    flip = torch.tensor([[-1, 0, 0, 9], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]], dtype=torch.float64)
    zoom = scaled(0.5, 0.5, 2.0)
    reference = scaled(3, 1, 1.5)
    assert torch.equal(
        index_map(reference, reference @ flip @ zoom, 3), torch.diag(torch.tensor([-0.5, 0.5, 2.0])).double()
    )


def test_two_dimensional_images_may_carry_a_four_by_four_affine():
    assert torch.equal(linear_part(scaled(2, 3, 1), 2), torch.diag(torch.tensor([2.0, 3.0])).double())


@pytest.mark.parametrize(
    ("affine", "message"),
    [
        pytest.param(torch.eye(3), r"affine has shape \(3, 3\); expected .* at least 4 x 4", id="too small"),
        pytest.param(torch.eye(4).repeat(2, 1, 1), r"affine has shape \(2, 4, 4\).*decollate", id="batch"),
        pytest.param(
            torch.diag(torch.tensor([1.0, 0, 1, 1])), r"affine is singular .*\[0.0, 0.0, 0.0, 0.0\]", id="flat"
        ),
        pytest.param(torch.full((4, 4), float("nan")), "affine is singular or not finite: .*nan", id="nan"),
    ],
)
def test_affines_that_are_none(affine, message):
    with pytest.raises(ValueError, match=message):
        linear_part(affine, 3)


def test_a_small_voxel_size_is_not_singular():
    assert affine_spacing(scaled(1e-9, 2e-9, 1e-9), 3) == pytest.approx((1e-9, 2e-9, 1e-9))


@pytest.mark.parametrize("spacing", [(1, 2), (1, 2, 0), (1, 2, -1), (1, 2, float("nan")), (1, 2, float("inf"))])
def test_spacings_that_are_none(spacing):
    with pytest.raises(ValueError, match=r"spacing must hold 3 lengths above 0.*got \(1, 2"):
        check_spacing(spacing, 3)


class TestNominalSpacing:
    def test_is_that_of_the_reference_whatever_the_affine_became(self):
        data = MetaTensor(torch.zeros(1, 4, 4, 4), affine=scaled(6, 2, 3), meta={"reference_affine": scaled(3, 1, 1.5)})
        assert nominal_spacing(data) == (3.0, 1.0, 1.5)

    def test_falls_back_to_the_original_affine_as_numpy(self):
        data = MetaTensor(torch.zeros(1, 4, 4), affine=scaled(1, 1), meta={"original_affine": scaled(2, 5).numpy()})
        assert nominal_spacing(data) == (2.0, 5.0)

    def test_the_kept_spacing_goes_before_the_reference(self):
        meta = {"reference_affine": scaled(6, 2, 3), "nominal_spacing": torch.tensor([3.0, 1.0, 1.5])}
        assert nominal_spacing(MetaTensor(torch.zeros(1, 4, 4, 4), meta=meta)) == (3.0, 1.0, 1.5)

    def test_without_a_reference(self):
        data = MetaTensor(torch.zeros(1, 4, 4, 4), affine=scaled(1, 1, 1), meta={"source": "x"})
        with pytest.raises(
            ValueError, match=r"neither 'reference_affine' nor 'original_affine' \(it has: source.*Take"
        ):
            nominal_spacing(data)

    def test_of_a_plain_tensor(self):
        with pytest.raises(TypeError, match=r"expected a MetaTensor.*got Tensor.*LoadZarrPatchd"):
            nominal_spacing(torch.zeros(1, 4, 4, 4))
