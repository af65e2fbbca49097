"""Blocks against the same formulas written with torch's functions."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from scripts.networks.block_options import BlockOptions
from scripts.networks.unet_blocks import ResidualBlock, UpBlock, conv_block, initialise


def _norm(x, weight, bias):
    """Instance norm with biased variance and eps 1e-5, x: B C D H W."""
    axes = tuple(range(2, x.ndim))
    mean, var = x.mean(axes, keepdim=True), x.var(axes, unbiased=False, keepdim=True)
    shape = (1, -1) + (1,) * (x.ndim - 2)
    return (x - mean) / torch.sqrt(var + 1e-5) * weight.view(shape) + bias.view(shape)


def _random(module):
    """Random parameters, norms included, so that no branch is zero."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return module.double()


def _formula(x, p, stride, squeeze):
    """The residual block of the reference, from its parameters."""
    y = F.conv3d(x, p["conv1.conv.weight"], p["conv1.conv.bias"], stride=stride, padding=(0, 1, 1))
    y = F.leaky_relu(_norm(y, p["conv1.adn.N.weight"], p["conv1.adn.N.bias"]), 0.01)
    y = F.conv3d(y, p["conv2.conv.weight"], p["conv2.conv.bias"], padding=(0, 1, 1))
    y = _norm(y, p["conv2.adn.N.weight"], p["conv2.adn.N.bias"])
    if squeeze:
        s = y.mean((2, 3, 4))  # B C D H W -> B C
        s = F.relu(s @ p["excite.fc.0.weight"].T + p["excite.fc.0.bias"])
        s = torch.sigmoid(s @ p["excite.fc.2.weight"].T + p["excite.fc.2.bias"])
        y = y * s[:, :, None, None, None]
    skip = x
    if any(s != 1 for s in stride):
        skip = F.avg_pool3d(skip, stride, stride)
    if x.shape[1] != y.shape[1]:
        conv = "skip.1" if any(s != 1 for s in stride) else "skip.0"
        skip = F.conv3d(skip, p[f"{conv}.conv.weight"])
        skip = _norm(skip, p[f"{conv}.adn.N.weight"], p[f"{conv}.adn.N.bias"])
    return F.leaky_relu(y + skip, 0.01)


@pytest.mark.parametrize("squeeze", [False, True], ids=["plain", "excited"])
@pytest.mark.parametrize(
    ("channels", "stride"),
    [((3, 4), (1, 2, 2)), ((4, 4), (1, 2, 2)), ((3, 4), (1, 1, 1)), ((4, 4), (1, 1, 1))],
    ids=["pool and project", "pool", "project", "identity"],
)
def test_residual_block_equals_formula(channels, stride, squeeze):
    options = BlockOptions(squeeze_excitation=squeeze, se_ratio=2)
    block = _random(ResidualBlock(3, *channels, (1, 3, 3), stride, options))
    x = torch.randn(2, channels[0], 3, 6, 8, dtype=torch.float64)
    torch.testing.assert_close(block(x), _formula(x, dict(block.named_parameters()), stride, squeeze))


def test_skip_projection_has_no_bias():
    names = [name for name, _ in ResidualBlock(3, 3, 4, (3, 3, 3), (2, 2, 2)).named_parameters()]
    assert "skip.1.conv.weight" in names
    assert "skip.1.conv.bias" not in names


def test_up_block_equals_formula():
    block = _random(UpBlock(3, 6, 4, (1, 3, 3), (1, 2, 2), n_conv=2))
    low, skip = torch.randn(1, 6, 3, 4, 4, dtype=torch.float64), torch.randn(1, 4, 3, 8, 8, dtype=torch.float64)
    p = dict(block.named_parameters())
    y = torch.cat([F.conv_transpose3d(low, p["up.weight"], p["up.bias"], stride=(1, 2, 2)), skip], dim=1)
    for i in range(2):
        y = F.conv3d(y, p[f"convs.{i}.conv.weight"], p[f"convs.{i}.conv.bias"], padding=(0, 1, 1))
        y = F.leaky_relu(_norm(y, p[f"convs.{i}.adn.N.weight"], p[f"convs.{i}.adn.N.bias"]), 0.01)
    torch.testing.assert_close(block(low, skip), y)


def test_initial_block_is_its_skip():
    block = ResidualBlock(2, 4, 4, (3, 3), (1, 1))
    block.apply(initialise)
    x = torch.randn(1, 4, 5, 6)
    torch.testing.assert_close(block(x), F.leaky_relu(x, 0.01))


def test_a_dropped_sample_goes_through_the_skip_and_the_others_are_scaled():
    block = _random(ResidualBlock(2, 4, 4, (3, 3), (1, 1), drop_p=0.25))
    x = torch.randn(400, 4, 3, 3, dtype=torch.float64)
    branch = block.conv2(block.conv1(x))
    torch.testing.assert_close(block.eval()(x), F.leaky_relu(x + branch, 0.01))
    torch.manual_seed(0)
    y = block.train()(x)
    dropped = (y == F.leaky_relu(x, 0.01)).flatten(1).all(1)  # B C H W -> B
    # binomial: mean 100, standard deviation sqrt(400 x 0.25 x 0.75) = 8.7
    assert 70 < int(dropped.sum()) < 130
    torch.testing.assert_close(y[~dropped], F.leaky_relu(x + branch / 0.75, 0.01)[~dropped])


@pytest.mark.parametrize("options", [{"norm": "batch"}, {"norm": ["group", {"num_groups": 2}]}], ids=["batch", "group"])
def test_norms_and_activation_equal_torchs_functions(options):
    block = _random(conv_block(3, 3, 4, (1, 3, 3), BlockOptions(**options, act="relu", conv_bias=False)))
    x = torch.randn(2, 3, 3, 5, 4, dtype=torch.float64)
    p = dict(block.named_parameters())
    assert set(p) == {"conv.weight", "adn.N.weight", "adn.N.bias"}
    y = F.conv3d(x, p["conv.weight"], padding=(0, 1, 1))
    weight, bias = p["adn.N.weight"], p["adn.N.bias"]
    if options["norm"] == "batch":
        y = F.batch_norm(y, None, None, weight, bias, training=True)
    else:
        y = F.group_norm(y, 2, weight, bias)
    torch.testing.assert_close(block(x), y.clamp(min=0))


@pytest.mark.parametrize("dims", [2, 3])
def test_dropout_zeroes_whole_channels_before_the_norm(dims):
    block = _random(conv_block(dims, 3, 200, (3,) * dims, BlockOptions(dropout=0.25, act="relu")))
    torch.manual_seed(0)
    x = torch.randn(2, 3, *(5,) * dims, dtype=torch.float64)
    p = dict(block.named_parameters())
    y = block(x)
    kept = y.flatten(2).std(dim=2) > 1e-6  # B C; a zeroed channel is the norm's offset everywhere
    convolve = F.conv2d if dims == 2 else F.conv3d
    expected = _norm(convolve(x, p["conv.weight"], p["conv.bias"], padding=1), p["adn.N.weight"], p["adn.N.bias"])
    # the norm takes out the factor 1 / (1 - p) again, but for its epsilon
    torch.testing.assert_close(y[kept], expected.relu()[kept], rtol=1e-4, atol=1e-4)
    offset = p["adn.N.bias"].relu().expand(2, -1)[~kept]
    torch.testing.assert_close(y[~kept], offset[:, *(None,) * dims].expand(-1, *(5,) * dims))
    shown = p["adn.N.bias"].expand(2, -1) > 0  # where a zeroed channel is told from one that the activation hides
    # binomial: about 200 of 400, mean 50, standard deviation 6.1
    assert 30 < int((~kept & shown).sum()) < 75
    torch.testing.assert_close(block.eval()(x), expected.relu())


def test_of_a_residual_block_the_first_convolution_alone_drops():
    block = ResidualBlock(2, 3, 4, (3, 3), (2, 2), BlockOptions(dropout=0.5))
    dropping = [name for name, module in block.named_modules() if isinstance(module, torch.nn.Dropout2d)]
    assert dropping == ["conv1.adn.D"]


@pytest.mark.parametrize("norm", ["instance", "batch", ["group", {"num_groups": 4}]])
def test_a_block_starts_as_its_skip_whatever_the_norm(norm):
    block = ResidualBlock(2, 4, 4, (3, 3), (1, 1), BlockOptions(norm=norm, act="elu"))
    block.apply(initialise)
    x = torch.randn(2, 4, 5, 6)
    torch.testing.assert_close(block(x), F.elu(x))


@pytest.mark.parametrize("slope", [0.01, 0.5])
def test_initial_weights_are_kaiming_and_biases_zero(slope):
    torch.manual_seed(0)
    block = conv_block(3, 32, 64, (3, 3, 3))
    block.apply(initialise if slope == 0.01 else partial(initialise, negative_slope=slope))
    # std = sqrt(2 / (1 + a^2)) / sqrt(fan in), with a fan in of 32 x 27
    expected = (2 / (1 + slope**2) / (32 * 27)) ** 0.5
    assert float(block.conv.weight.detach().std()) == pytest.approx(expected, rel=0.01)
    assert torch.count_nonzero(block.conv.bias) == 0
