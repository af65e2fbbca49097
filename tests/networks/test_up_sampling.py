"""Up-sampling against NumPy and SciPy."""

import numpy as np
import pytest
import torch
from scipy.ndimage import zoom

from scripts.networks.up_sampling import up_sampling_layer

STRIDE = (1, 2, 2)


def _repeat(x):
    for axis, factor in enumerate(STRIDE):
        x = np.repeat(x, factor, axis)
    return x


def _linear(x):
    return zoom(x, STRIDE, order=1, mode="nearest", grid_mode=True)


@pytest.mark.parametrize(("mode", "interpolate"), [("nearest", _repeat), ("linear", _linear)])
def test_interpolation_then_1x1_convolution(mode, interpolate):
    torch.manual_seed(0)
    layer = up_sampling_layer(mode, 3, 3, 2, STRIDE).double()
    assert [type(module).__name__ for module in layer] == ["Conv3d", "Upsample"]
    assert sum(p.numel() for p in layer.parameters()) == 3 * 2 + 2
    x = torch.randn(1, 3, 3, 4, 5, dtype=torch.float64)
    fine = np.stack([interpolate(channel) for channel in x[0].numpy()])  # C D H W
    kernel, bias = (p.detach().numpy() for p in layer.parameters())
    expected = np.einsum("cdhw,oc->odhw", fine, kernel[:, :, 0, 0, 0]) + bias[:, None, None, None]
    np.testing.assert_allclose(layer(x)[0].detach().numpy(), expected, rtol=1e-10)


def test_transposed_convolution_spreads_each_voxel_by_its_kernel():
    layer = up_sampling_layer("transposed", 2, 1, 1, (2, 3), bias=False)
    x = torch.arange(1.0, 5.0).reshape(1, 1, 2, 2)
    expected = np.kron(x[0, 0].numpy(), layer.weight[0, 0].detach().numpy())
    np.testing.assert_allclose(layer(x)[0, 0].detach().numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("mode", ["transposed", "nearest", "linear"])
def test_bias_is_left_out_when_asked(mode):
    names = [name for name, _ in up_sampling_layer(mode, 3, 4, 4, STRIDE, bias=False).named_parameters()]
    assert [name.rpartition(".")[2] for name in names] == ["weight"]
