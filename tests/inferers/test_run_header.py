"""What counts as the same run: weights, buffers, transforms."""

import pytest
import torch
from monai.transforms import Compose, NormalizeIntensity, ScaleIntensityRange
from tests.inferers.runs import TwoOutputs

from scripts.inferers.run_header import weights_hash
from scripts.inferers.window_transform import describe


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv3d(1, 2, 3), torch.nn.BatchNorm3d(2), torch.nn.Conv3d(2, 1, 1))


def test_equal_weights_have_one_hash():
    assert weights_hash(network()) == weights_hash(network()) == weights_hash(network().double().float())
    assert weights_hash(TwoOutputs()) == weights_hash(TwoOutputs())
    assert weights_hash(lambda x: x) is None


@pytest.mark.parametrize("name", ["0.weight", "2.bias", "1.running_mean", "1.num_batches_tracked"])
def test_a_change_of_any_weight_or_buffer_shows(name):
    changed = network()
    with torch.no_grad():
        changed.state_dict()[name].view(-1)[-1].add_(1)
    assert weights_hash(changed) != weights_hash(network())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_weights_of_another_type_are_others(dtype):
    assert weights_hash(torch.nn.Conv3d(1, 1, 1).to(dtype)) is not None
    torch.manual_seed(0)
    plain = torch.nn.Conv3d(1, 2, 3)
    assert weights_hash(plain) != weights_hash(plain.to(dtype))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (NormalizeIntensity(channel_wise=True), NormalizeIntensity()),
        (ScaleIntensityRange(0, 1, 0, 1), ScaleIntensityRange(0, 1, 0, 9)),
        (NormalizeIntensity(subtrahend=[1.0], divisor=[2.0]), NormalizeIntensity(subtrahend=[1.0], divisor=[3.0])),
        (Compose([ScaleIntensityRange(0, 1, 0, 1)]), Compose([ScaleIntensityRange(0, 1, 0, 9)])),
    ],
)
def test_transforms_of_other_settings_are_others(one, other):
    assert describe(one) != describe(other)


def test_equal_transforms_are_described_equally():
    """Also those that hold other transforms, of which Python prints the place in memory."""
    made = [Compose([ScaleIntensityRange(0, 1, 0, 1), NormalizeIntensity(channel_wise=True)]) for _ in range(2)]
    assert describe(made[0]) == describe(made[1])
    assert describe(None) is None
