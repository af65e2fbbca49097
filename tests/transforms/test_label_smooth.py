"""SmoothLabel against SciPy on the foreground; its physical width in tests/geometry/test_fields.py."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from scripts.transforms import SmoothLabel


def test_equals_scipy_with_sigma_in_voxels_per_axis():
    ids = np.random.default_rng(0).integers(-1, 3, (9, 10, 11))
    out = SmoothLabel(1.5, spacing=(3.0, 1.0, 0.5))(torch.from_numpy(ids)[None])
    expected = ndimage.gaussian_filter((ids > 0).astype(float), (0.5, 1.5, 3.0), mode="nearest")
    assert out.dtype == torch.float32
    assert np.array_equal(np.isnan(out[0].numpy()), ids < 0)
    np.testing.assert_allclose(out[0].numpy()[ids >= 0], expected[ids >= 0], atol=1e-6)


@pytest.mark.parametrize(("label", "soft"), [(255, 1.0), (0, 0.0)])
def test_a_constant_label_stays(label, soft):
    assert torch.allclose(SmoothLabel(2.0, spacing=(1, 1))(torch.full((1, 8, 8), label)), torch.tensor(soft))


def test_errors():
    with pytest.raises(ValueError, match=r"sigma must be a physical length above 0.*got nan"):
        SmoothLabel(float("nan"))
