"""Which channels are changed, how often, and what stays."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy import stats

from scripts.transforms.drawing import OneDrawd
from scripts.transforms.random_image import RandImage

AFFINE = torch.diag(torch.tensor([2.0, 3.0, 4.0, 1.0], dtype=torch.float64))


class AddDrawn(RandImage):
    """Adds a random number to each channel, and notes the number of axes."""

    def draw(self, spatial_dims):
        self.spatial_dims = spatial_dims
        return self.R.random()

    def change(self, channel, parameters):
        return channel + parameters


def image(channels=3):
    return MetaTensor(torch.zeros(channels, 2, 3, 4), affine=AFFINE, meta={"filename_or_obj": "x"})


def test_images_and_their_channels_are_changed_as_often_as_asked():
    transform = AddDrawn(0.4, 0.5).set_random_state(0)
    changed = np.array([[bool(channel.any()) for channel in transform(image())] for _ in range(2000)])
    touched = int((changed.any(axis=1)).sum())
    assert stats.binomtest(touched, 2000, 0.4 * (1 - 0.5**3)).pvalue > 1e-4
    for channel in changed.T:
        assert stats.binomtest(int(channel.sum()), 2000, 0.2).pvalue > 1e-4
    assert stats.binomtest(int((changed[:, 0] & changed[:, 1]).sum()), 2000, 0.4 * 0.25).pvalue > 1e-4


def test_channels_get_numbers_of_their_own_and_keys_the_same():
    transform = OneDrawd(["a", "b"], AddDrawn(1)).set_random_state(1)
    out = transform({"a": image(), "b": image()})
    assert len({float(channel.mean()) for channel in out["a"]}) == 3
    assert torch.equal(out["a"].as_tensor(), out["b"].as_tensor())
    assert transform.transform.spatial_dims == 3


def test_the_input_stays_and_so_does_its_place():
    given = image()
    out = AddDrawn(1)(given)
    assert not given.any()
    assert isinstance(out, MetaTensor)
    assert torch.equal(out.affine, AFFINE)
    assert out.meta["filename_or_obj"] == "x"
    out.affine[0, 0] = 7
    assert torch.equal(given.affine, AFFINE)


def test_what_is_not_changed_is_not_copied():
    given = image()
    assert AddDrawn(0)(given) is given
    assert AddDrawn(1, 0)(given) is given


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64])
def test_any_type_becomes_float32(dtype):
    out = AddDrawn(1).set_random_state(0)(np.full((1, 2, 2), 5, dtype))
    assert out.dtype == torch.float32
    assert 5 < float(out.min()) <= float(out.max()) < 6


def test_keys_of_different_channels_are_refused():
    with pytest.raises(ValueError, match="must have the same number of channels; got 3 and 2"):
        OneDrawd(["a", "b"], AddDrawn(1))({"a": image(3), "b": image(2)})
    with pytest.raises(ValueError, match="channel_prob must be a number from 0 to 1; got 2"):
        AddDrawn(0.5, 2)
