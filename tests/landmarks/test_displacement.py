"""The log transform and the clamp against values by hand."""

import pytest
import torch

from scripts.landmarks import clamp_displacement, decode_displacement, encode_displacement


def test_values_by_hand():
    d = torch.tensor([0.0, 1.0, -1.0, 3.0, -7.0, 1023.0])
    v = torch.tensor([0.0, 1.0, -1.0, 2.0, -3.0, 10.0])
    torch.testing.assert_close(encode_displacement(d), v)
    torch.testing.assert_close(decode_displacement(v), d)


def test_there_and_back_is_the_same():
    d = torch.cat([torch.linspace(-300, 300, 1001, dtype=torch.float64), torch.tensor([1e-9, torch.nan]).double()])
    torch.testing.assert_close(decode_displacement(encode_displacement(d)), d, equal_nan=True)
    torch.testing.assert_close(encode_displacement(decode_displacement(d / 40)), d / 40, equal_nan=True)


def test_long_vectors_become_shorter_and_keep_their_direction():
    d = torch.tensor([[3.0, 4.0], [0.3, -0.4], [0.0, 0.0], [-30.0, 40.0], [torch.nan, 1.0]])
    expected = torch.tensor([[1.5, 2.0], [0.3, -0.4], [0.0, 0.0], [-1.5, 2.0], [torch.nan, torch.nan]])
    torch.testing.assert_close(clamp_displacement(d, 2.5), expected, equal_nan=True)
    torch.testing.assert_close(clamp_displacement(d.T, 2.5, dim=0), expected.T, equal_nan=True)


def test_a_limit_must_be_a_length():
    with pytest.raises(ValueError, match="most must be a length above 0; got 0"):
        clamp_displacement(torch.ones(2), 0)
