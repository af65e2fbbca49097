"""Features at points against SciPy's interpolation."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from scripts.geometry.point_sampling import sample_at_points


def case(shape=(5, 7, 6), n=60):
    rng = np.random.default_rng(0)
    features = torch.from_numpy(rng.normal(size=(2, 3, *shape))).float()
    points = torch.from_numpy(rng.uniform(-0.4, np.array(shape) - 0.6, (2, n, len(shape)))).float()
    return features, points


@pytest.mark.parametrize("shape", [(5, 7, 6), (1, 7, 6), (9, 4)], ids=["3D", "one slice", "2D"])
def test_linear_is_what_scipy_interpolates(shape):
    features, points = case(shape)
    found = sample_at_points(features, points)
    assert found.shape == (2, 60, 3)
    for b in range(2):
        for c in range(3):
            expected = map_coordinates(features[b, c].numpy(), points[b].numpy().T, order=1, mode="nearest")
            np.testing.assert_allclose(found[b, :, c], expected, atol=1e-5)


def test_nearest_takes_the_nearest_voxel_and_rounds_halves_up():
    features, points = case()
    found = sample_at_points(features, points, "nearest")
    index = np.clip(np.floor(points.numpy() + 0.5), 0, np.array([4, 6, 5])).astype(int)
    for b in range(2):
        z, y, x = index[b].T
        np.testing.assert_allclose(found[b], features[b].numpy()[:, z, y, x].T, atol=1e-6)
    half = torch.tensor([[[0.5, 1.5, 2.5]]])
    torch.testing.assert_close(sample_at_points(features[:1], half, "nearest")[0, 0], features[0, :, 1, 2, 3])


def test_absent_points_give_nothing_and_take_no_gradient():
    features, points = case()
    points[0, 5:] = torch.nan
    points[1, 3, 1] = torch.nan
    features.requires_grad_()
    found = sample_at_points(features, points)
    assert found[0, 5:].isnan().all()
    assert found[1, 3].isnan().all()
    found[0, :5].sum().backward()
    assert torch.isfinite(features.grad).all()
    assert float(features.grad[0].sum()) == pytest.approx(15, abs=1e-4)  # 5 points x 3 channels, weights add up to 1
    assert (features.grad[1] == 0).all()


def test_half_precision_is_read_as_float32():
    features, points = case()
    torch.testing.assert_close(
        sample_at_points(features.bfloat16(), points), sample_at_points(features.bfloat16().float(), points)
    )


def test_wrong_modes_and_shapes():
    features, points = case()
    with pytest.raises(ValueError, match=r"one of nearest, linear; got 'liner' \(did you mean 'linear'\?\)"):
        sample_at_points(features, points, "liner")
    with pytest.raises(ValueError, match=r"take points of shape \[2, N, 3\]; got \[1, 60, 3\]"):
        sample_at_points(features, points[:1])
