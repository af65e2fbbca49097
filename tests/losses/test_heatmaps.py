"""Heatmaps drawn by the loss, against Gaussians by hand, at every level of deep supervision."""

import numpy as np
import pytest
import torch

from scripts.landmarks import LearnedSigma
from scripts.losses import (
    HeatmapLoss,
    MaskedRegressionLoss,
    MultiTaskLoss,
    SigmaRegressionLoss,
    SoftArgmaxLoss,
    landmark_loss,
)

NAN = float("nan")
SHAPE = (8, 12, 10)
POINTS = torch.tensor([[[3.2, 5.5, 4.0], [NAN, NAN, NAN]], [[20.0, 5.0, 5.0], [6.5, 1.0, 8.25]]])


def gaussians(shape, sigma, amplitude, points=POINTS, factor=1):
    """In NumPy, from the distance to voxel centres in space; `factor`: voxels are so many times as large."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    centres = (index + 0.5) * factor - 0.5
    maps = []
    for point in points.reshape(-1, len(shape)).numpy():
        away = (centres - point) / sigma
        is_outside = (point < -0.5).any() or (point >= np.array(shape) * factor - 0.5).any()
        maps.append(np.exp(-(away**2).sum(axis=-1) / 2) * amplitude * (not is_outside))
    return torch.tensor(np.array(maps), dtype=torch.float32).reshape(*points.shape[:2], *shape)


def known_mean(squares):
    """Over the maps of all landmarks but the missing one."""
    return torch.cat([squares[0, :1].flatten(), squares[1].flatten()]).mean()


@pytest.mark.parametrize(("sigma", "widths"), [(1.5, 1.5), ([1.0, 2.0, 3.0], np.array([1.0, 2.0, 3.0]))])
def test_points_become_gaussians(sigma, widths):
    prediction = torch.rand(2, 2, *SHAPE)
    loss = HeatmapLoss(MaskedRegressionLoss("mse"), sigma=sigma, amplitude=7.0)
    expected = known_mean((prediction - gaussians(SHAPE, widths, 7.0)) ** 2)
    torch.testing.assert_close(loss(prediction, POINTS), expected)


def test_a_physical_sigma_is_divided_by_the_spacing():
    prediction = torch.rand(2, 2, *SHAPE)
    loss = HeatmapLoss(MaskedRegressionLoss("mse"), sigma=6.0, sigma_unit="physical", spacing=(2.0, 3.0, 4.0))
    expected = known_mean((prediction - gaussians(SHAPE, np.array([3.0, 2.0, 1.5]), 100.0)) ** 2)
    torch.testing.assert_close(loss(prediction, POINTS), expected)


def test_stored_heatmaps_are_taken_as_they_are():
    maps, prediction = torch.rand(2, 2, *SHAPE), torch.rand(2, 2, *SHAPE)
    loss = HeatmapLoss(MaskedRegressionLoss("mse"))
    torch.testing.assert_close(loss(prediction, maps), torch.nn.functional.mse_loss(prediction, maps))


def test_pictures_have_two_axes():
    points = torch.tensor([[[3.0, 4.5]]])
    prediction = torch.rand(1, 1, 9, 8)
    loss = HeatmapLoss(MaskedRegressionLoss("mse"), sigma=4.0, sigma_unit="physical", spacing=(9.0, 2.0, 4.0))
    expected = ((prediction - gaussians((9, 8), np.array([2.0, 1.0]), 100.0, points)) ** 2).mean()
    torch.testing.assert_close(loss(prediction, points), expected)


def test_every_level_has_heatmaps_of_its_own():
    """A landmark at x lies at (x + 0.5) / 2 - 0.5 of voxels twice as large, and its Gaussian is half as wide there."""
    torch.manual_seed(0)
    levels = [torch.rand(2, 2, *(n // 2**k for n in SHAPE)) for k in range(2)]
    loss = MultiTaskLoss(
        {"marks": {"channels": 2, "kind": "points", "loss": {"name": "mse", "sigma": 2.0, "amplitude": 5.0}}},
        deep_supervision_weights=[0.25, 0.75],
    )
    expected = [
        known_mean((level - gaussians(level.shape[2:], 2.0, 5.0, factor=2**k)) ** 2) for k, level in enumerate(levels)
    ]
    torch.testing.assert_close(loss({"marks": levels}, {"marks": POINTS}), 0.25 * expected[0] + 0.75 * expected[1])


def test_the_soft_argmax_of_a_lower_level_is_compared_in_full_voxels():
    low = gaussians((4, 6, 5), 2.0, 9.0, POINTS[1:, 1:], factor=2)
    points = POINTS[1:, 1:] + torch.tensor([0.0, 0.0, 3.0])
    full = SoftArgmaxLoss(window=1)(low, points, SHAPE)
    assert float(full) == pytest.approx(3.0, abs=0.35)
    seen = MultiTaskLoss(
        {"marks": {"channels": 1, "kind": "points", "loss": {"name": "soft_argmax", "window": 1}}},
        deep_supervision_weights=[0.0, 1.0],
    )({"marks": [torch.rand(1, 1, *SHAPE), low]}, {"marks": points})
    torch.testing.assert_close(seen, full)


def test_a_callable_gets_points_of_its_level():
    seen = []

    def loss(prediction, points):
        seen.append(points)
        return prediction.sum() * 0

    levels = [torch.rand(2, 2, *(n // 2**k for n in SHAPE)) for k in range(2)]
    MultiTaskLoss({"marks": {"channels": 2, "kind": "points", "loss": loss}}, deep_supervision_weights=[0.5, 0.5])(
        {"marks": levels}, {"marks": POINTS}
    )
    assert torch.equal(seen[0], POINTS) or torch.allclose(seen[0], POINTS, equal_nan=True)
    torch.testing.assert_close(seen[1], (POINTS + 0.5) / 2 - 0.5, equal_nan=True)


@pytest.mark.parametrize(
    ("levels", "weights"), [(1, [1.0]), (2, [2 / 3, 1 / 3]), (3, [4 / 7, 2 / 7, 1 / 7]), (None, [2 / 3, 1 / 3])]
)
def test_so_many_levels_count(levels, weights):
    prediction = [torch.rand(2, 2, *(n // 2**k for n in (8, 8, 8))) for k in range(3)]
    row = {"channels": 2, "kind": "points", "loss": "mse"}
    loss = MultiTaskLoss({"marks": row}, deep_supervision_levels=levels)
    by_hand = MultiTaskLoss({"marks": row}, deep_supervision_weights=[*weights, 0.0, 0.0][:3])
    labels = {"marks": POINTS}
    torch.testing.assert_close(loss({"marks": prediction}, labels), by_hand({"marks": prediction}, labels))


def test_learnt_widths_reach_the_loss_by_name():
    prediction = torch.rand(2, 2, *SHAPE)
    row = {"name": "sigma_regression", "penalty": "norm", "penalty_weight": 3.0, "initial": 2.0, "gamma": 50.0}
    loss = MultiTaskLoss({"marks": {"channels": 2, "kind": "points", "loss": row}})
    by_hand = SigmaRegressionLoss(LearnedSigma(2, 3, initial=2.0, gamma=50.0), "norm", 3.0)
    torch.testing.assert_close(loss({"marks": prediction}, {"marks": POINTS}), by_hand(prediction, POINTS))
    assert [p.shape for p in loss.parameters()] == [(2, 1)]
    turned = MultiTaskLoss({"marks": {"channels": 2, "kind": "points", "loss": row | {"anisotropic": True}}})
    assert [p.shape for p in turned.parameters()] == [(2, 3), (2, 3)]


def test_learnt_widths_of_a_slice_are_those_in_its_plane():
    points = torch.tensor([[[0.0, 3.0, 4.5]]])
    prediction = torch.rand(1, 1, 1, 9, 8)
    row = {"name": "sigma_regression", "spatial_dims": 2}
    loss = MultiTaskLoss({"marks": {"channels": 1, "kind": "points", "loss": row}})
    by_hand = SigmaRegressionLoss(LearnedSigma(1, 2))(prediction[:, :, 0], points[..., 1:])
    torch.testing.assert_close(loss({"marks": prediction}, {"marks": points}), by_hand)


def test_options_are_filled_in_where_a_loss_takes_them():
    options = {"sigma": 3.0, "amplitude": 9.0, "spatial_dims": 2}
    assert landmark_loss("mse", **options) == {"name": "mse", "sigma": 3.0, "amplitude": 9.0}
    assert landmark_loss({"name": "adaptive_wing", "sigma": 1.0}, **options) == {
        "name": "adaptive_wing", "sigma": 1.0, "amplitude": 9.0,
    }  # fmt: skip
    assert landmark_loss("sigma_regression", **options) == {"name": "sigma_regression", "spatial_dims": 2}
    assert landmark_loss(["soft_argmax", "mse"], sigma=2.0) == [
        {"name": "soft_argmax"}, {"name": "mse", "sigma": 2.0},
    ]  # fmt: skip
    assert landmark_loss("unheard", **options) == "unheard"


def test_bad_numbers_are_refused():
    with pytest.raises(ValueError, match=r"sigma_unit must be voxels or physical; got 'mm'"):
        HeatmapLoss(MaskedRegressionLoss("mse"), sigma_unit="mm")
    with pytest.raises(ValueError, match=r"must be above 0.* got sigma = \[1, 0, 2\], amplitude = 100"):
        HeatmapLoss(MaskedRegressionLoss("mse"), sigma=[1, 0, 2], amplitude=100)
    with pytest.raises(ValueError, match="must be at least 1, and stand alone; got deep_supervision_levels = 0"):
        MultiTaskLoss({"marks": {"channels": 2, "kind": "points"}}, deep_supervision_levels=0)
