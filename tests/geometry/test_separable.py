"""Matrices along axes against einsum, and mirrored indices against NumPy's padding."""

import numpy as np
import pytest
import torch

from scripts.geometry.separable import apply_along_axes, mirrored


def test_each_axis_gets_its_matrix():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, 5, 4, 6, generator=generator)
    z, y, x = (torch.randn(new, old, generator=generator) for new, old in ((3, 5), (7, 4), (2, 6)))
    expected = torch.einsum("czyx,az,by,dx->cabd", values, z, y, x)
    torch.testing.assert_close(apply_along_axes(values, [z, y, x]), expected)
    torch.testing.assert_close(apply_along_axes(values, [None, y, None]), torch.einsum("czyx,by->czbx", values, y))


def test_two_dimensions_and_a_strided_array():
    values = torch.arange(24.0).reshape(1, 4, 6).transpose(1, 2)
    y, x = torch.randn(3, 6), torch.randn(2, 4)
    torch.testing.assert_close(apply_along_axes(values, [y, x]), torch.einsum("cyx,ay,bx->cab", values, y, x))


def test_one_matrix_per_axis():
    with pytest.raises(ValueError, match=r"expected 3 matrices for shape \(1, 2, 2, 2\), got 2"):
        apply_along_axes(torch.zeros(1, 2, 2, 2), [None, None])


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_indices_are_mirrored_at_voxel_centres(n):
    reach = 9
    expected = np.pad(np.arange(n), reach, mode="reflect" if n > 1 else "edge")
    assert mirrored(torch.arange(-reach, n + reach), n).tolist() == expected.tolist()
