"""From stored windows to the wanted outputs, against the network called by hand."""

import pytest
import torch
from monai.transforms import NormalizeIntensity

from scripts.geometry import parse_targets
from scripts.inferers.predictor import Predictor

TARGETS = parse_targets({"b": {"channels": 2, "kind": "scalar"}, "a": {"channels": 1}})
CPU = torch.device("cpu")


class ThreeOutputs(torch.nn.Module):
    """Notes what it is given; returns one output more than is wanted, in another order."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Conv3d(2, 8, 3, padding=1)
        self.given = None

    def forward(self, x):
        self.given = x
        values = self.layer(x)
        return {"a": values[:, :1], "more": values[:, 3:], "b": values[:, 1:3]}


@pytest.fixture
def windows():
    return torch.randn(3, 2, 5, 6, 7, generator=torch.Generator().manual_seed(1))


def test_outputs_come_in_the_order_of_the_targets(windows):
    network = ThreeOutputs()
    predictor = Predictor(network, TARGETS, None, CPU)
    found = predictor(windows)
    assert predictor.channels == 3
    assert torch.equal(found, network.layer(windows)[:, [1, 2, 0]])
    assert not found.requires_grad


def test_each_window_is_transformed_for_itself(windows):
    network = ThreeOutputs()
    kept = windows.clone()
    Predictor(network, TARGETS, NormalizeIntensity(channel_wise=True), CPU)(windows)
    mean = windows.mean(dim=(2, 3, 4), keepdim=True)
    deviation = windows.std(dim=(2, 3, 4), keepdim=True, correction=0)
    torch.testing.assert_close(network.given, (windows - mean) / deviation, atol=1e-5, rtol=1e-5)
    assert torch.equal(windows, kept)


def test_precision_is_that_of_the_activations_and_the_result_is_float32(windows):
    network = ThreeOutputs()
    exact = Predictor(network, TARGETS, None, CPU)(windows)
    found = Predictor(network, TARGETS, None, CPU, precision="bf16")(windows)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = network.layer(windows)[:, [1, 2, 0]]
    assert found.dtype == torch.float32
    assert torch.equal(found, expected.float())
    assert not torch.equal(found, exact)


def test_mixed_precision_that_the_caller_switched_on_stays_on(windows):
    network = ThreeOutputs()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = Predictor(network, TARGETS, None, CPU)(windows)
    assert torch.equal(found, Predictor(network, TARGETS, None, CPU, precision="bf16")(windows))


@pytest.mark.parametrize("channels_last", [False, True])
def test_channels_last_lays_out_windows_and_weights(windows, channels_last):
    network = ThreeOutputs()
    expected = network.layer(windows)[:, [1, 2, 0]]
    found = Predictor(network, TARGETS, None, CPU, channels_last=channels_last).on_worker(3)(windows)
    assert network.given.is_contiguous(memory_format=torch.channels_last_3d) == channels_last
    assert network.layer.weight.is_contiguous(memory_format=torch.channels_last_3d) == channels_last
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_a_plain_function_stays_where_it_is(windows):
    predictor = Predictor(lambda x: {"a": x[:, :1] * 2, "b": x}, TARGETS, None, CPU).on_worker(1)
    assert predictor.device == CPU
    assert torch.equal(predictor(windows), torch.cat([windows, windows[:, :1] * 2], dim=1))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda x: x, "the network must return a dictionary target -> tensor; got Tensor"),
        (lambda x: {"b": x, "c": x}, "the network has no output 'a'; its outputs: b, c"),
        (
            lambda x: {"b": x, "a": x},
            r"output 'a' has shape \(3, 2, 5, 6, 7\), expected \(3, 1, 5, 6, 7\) \(B C D H W\)",
        ),
        (
            lambda x: {"b": x[:, :, ::2], "a": x[:, :1]},
            r"output 'b' has shape \(3, 2, 3, 6, 7\), expected \(3, 2, 5, 6, 7\)",
        ),
    ],
)
def test_outputs_that_do_not_fit_are_named(windows, network, message):
    with pytest.raises(ValueError, match=message):
        Predictor(network, TARGETS, None, CPU)(windows)


@pytest.mark.parametrize(
    ("precision", "message"),
    [
        ("fp16", "precision 'fp16' needs CUDA, but the device is 'cpu'"),
        ("bf61", r"got 'bf61' \(did you mean 'bf16'\?\)"),
    ],
)
def test_a_precision_that_the_device_lacks_is_refused_at_once(precision, message):
    with pytest.raises(ValueError, match=message):
        Predictor(ThreeOutputs(), TARGETS, None, CPU, precision)
