"""From the outputs of a network for two views to the loss at their points."""

import pytest
import torch

from scripts.losses import POINT_LOSS_NAMES, TwoViewLoss, make_point_loss, sample_views


def batch():
    """2 patches in 2 views of 4 x 5 x 6 voxels, points at voxel centres; the last is absent in view 2 of patch 1."""
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(4, 3, 4, 5, 6, generator=generator)
    index = torch.stack([torch.randint(0, n, (4, 9), generator=generator) for n in (4, 5, 6)], dim=2)
    points = index.float()
    points[3, 8] = torch.nan
    return outputs, index, points


def read(outputs, index):
    return torch.stack(
        [torch.stack([values[:, z, y, x] for z, y, x in rows]) for values, rows in zip(outputs, index, strict=True)]
    )


@pytest.mark.parametrize("name", POINT_LOSS_NAMES)
def test_the_first_half_of_the_batch_is_compared_with_the_second(name):
    outputs, index, points = batch()
    vectors = read(outputs, index)
    vectors[3, 8] = torch.nan
    expected = make_point_loss(name)(vectors[:2], vectors[2:])
    objective = TwoViewLoss(name)
    found = objective({"embedding": torch.zeros(1), "projection": outputs}, {"points": points})
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(objective.terms[name], expected)


def test_output_and_mode_say_what_is_read_and_how():
    outputs, index, points = batch()
    shifted = points + 0.4
    nearest = TwoViewLoss(mode="nearest", output="embedding")
    exact = TwoViewLoss(output="embedding")
    torch.testing.assert_close(
        nearest({"embedding": outputs}, {"points": shifted}), exact({"embedding": outputs}, {"points": points})
    )
    first, second, present = sample_views({"x": outputs}, {"points": points}, "x")
    torch.testing.assert_close(first, read(outputs, index)[:2])
    assert present.tolist() == [[True] * 9, [True] * 8 + [False]]
    assert second[1, 8].isnan().all()


def test_a_network_that_diverged_is_not_taken_for_absent_points():
    outputs, _, points = batch()
    outputs[0] = torch.nan
    assert TwoViewLoss()({"projection": outputs}, {"points": points}).isnan()


def test_wrong_inputs():
    outputs, _, points = batch()
    with pytest.raises(ValueError, match="no output 'projection'; its outputs: embedding"):
        TwoViewLoss()({"embedding": outputs}, {"points": points})
    with pytest.raises(ValueError, match="even number of images; got 3"):
        TwoViewLoss()({"projection": outputs[:3]}, {"points": points[:3]})
    with pytest.raises(ValueError, match="unknown loss of points 'x'"):
        TwoViewLoss({"name": "x"})
