"""The layers against their formulas, in NumPy."""

import numpy as np
import pytest
import torch

from scripts.networks.squeeze_excitation import squeeze_excitation_layer


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _by_channel(x, p, prefix=""):
    squeezed = x.mean((2, 3, 4))  # B C D H W -> B C
    hidden = np.maximum(squeezed @ p[f"{prefix}fc.0.weight"].T + p[f"{prefix}fc.0.bias"], 0)
    return x * _sigmoid(hidden @ p[f"{prefix}fc.2.weight"].T + p[f"{prefix}fc.2.bias"])[:, :, None, None, None]


def _by_voxel(x, p, prefix=""):
    kernel = p[f"{prefix}gate.weight"][0, :, 0, 0, 0]  # 1 C 1 1 1 -> C
    return x * _sigmoid(np.einsum("bcdhw,c->bdhw", x, kernel))[:, None]


FORMULAS = {
    "channel": _by_channel,
    "spatial": _by_voxel,
    "both": lambda x, p: _by_channel(x, p, "channel.") + _by_voxel(x, p, "spatial."),
    False: lambda x, p: x,
}


@pytest.mark.parametrize("form", FORMULAS)
def test_layer_equals_its_formula(form):
    torch.manual_seed(0)
    layer = squeeze_excitation_layer(form, 3, 6, 2).double()
    x = torch.randn(2, 6, 3, 4, 5, dtype=torch.float64)
    parameters = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    np.testing.assert_allclose(layer(x).detach().numpy(), FORMULAS[form](x.numpy(), parameters), rtol=1e-12)


def test_2d_gate_is_one_number_per_pixel():
    layer = squeeze_excitation_layer("spatial", 2, 3, 1)
    x = torch.ones(1, 3, 2, 2)
    x[..., 0, 0] = 2
    ratio = layer(x) / x
    total = layer.gate.weight.sum()
    torch.testing.assert_close(ratio[0, :, 0, 0], torch.sigmoid(2 * total).expand(3))
    torch.testing.assert_close(ratio[0, :, 1, 1], torch.sigmoid(total).expand(3))
