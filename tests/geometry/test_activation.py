"""Logits to values, against values computed by hand."""

import math

import pytest
import torch

from scripts.geometry import Activation, Kind, Target
from scripts.geometry.activation import activate_prediction


def _voxel(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(1, -1, 1, 1, 1)  # C -> B C D H W


LOG2, LOG3 = math.log(2), math.log(3)

CASES = [
    pytest.param(Target("t", 1), [LOG3], [0.75], id="one label: sigmoid"),
    pytest.param(Target("t", 3), [0.0, LOG2, 0.0], [0.25, 0.5, 0.25], id="classes: softmax"),
    pytest.param(
        Target("t", 2, activation=Activation.SIGMOID), [LOG3, -LOG3], [0.75, 0.25], id="independent classes: sigmoid"
    ),
    pytest.param(Target("t", 3, Kind.NORMAL), [0.0, -3.0, 4.0], [0.0, -0.6, 0.8], id="normal: unit length"),
    pytest.param(Target("t", 3, Kind.NORMAL), [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], id="no normal stays zero"),
    pytest.param(Target("t", 1, Kind.SCALAR), [-7.5], [-7.5], id="scalar: as it is"),
    pytest.param(Target("t", 1, Kind.SCALAR, Activation.SIGMOID), [LOG3], [0.75], id="scalar: sigmoid when asked"),
    pytest.param(Target("t", 3, Kind.VECTOR), [0.0, -3.0, 4.0], [0.0, -3.0, 4.0], id="vector: as it is"),
]


@pytest.mark.parametrize(("target", "logits", "expected"), CASES)
def test_values_of_one_voxel(target, logits, expected):
    torch.testing.assert_close(activate_prediction(_voxel(*logits), target), _voxel(*expected))


def test_zero_normal_in_half_precision_is_not_nan():
    zero = torch.zeros(1, 3, 1, 1, 1, dtype=torch.float16)
    assert torch.equal(activate_prediction(zero, Target("t", 3, Kind.NORMAL)), zero)


def test_channel_axis_is_the_second_in_2d_too():
    logits = torch.randn(2, 3, 4, 5)
    values = activate_prediction(logits, Target("t", 3))
    torch.testing.assert_close(values.sum(dim=1), torch.ones(2, 4, 5))


def test_wrong_channels_are_named():
    with pytest.raises(
        ValueError, match=r"target 'sheet' has 2 channels, but its prediction has 3 .*\[1, 3, 1, 1, 1\]"
    ):
        activate_prediction(_voxel(1, 2, 3), Target("sheet", 2))
