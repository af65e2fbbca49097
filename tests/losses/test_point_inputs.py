"""Which points count."""

import pytest
import torch

from scripts.losses.point_inputs import common_rows, present_rows


def test_rows_without_nan_in_either_view_count():
    first, second = torch.zeros(2, 3, 2), torch.ones(2, 3, 2)
    first[0, 1, 0] = torch.nan
    second[1, 2] = torch.nan
    assert present_rows(first, second, None).tolist() == [[True, False, True], [True, True, False]]
    a, b = common_rows(first.half(), second.half(), None)
    assert (a.dtype, a.tolist()) == (torch.float32, [[0.0, 0.0]] * 4)
    assert b.tolist() == [[1.0, 1.0]] * 4


def test_rows_that_are_said_to_be_present_may_hold_nan():
    first = torch.full((1, 2, 2), torch.nan)
    a, _ = common_rows(first, torch.zeros(1, 2, 2), torch.tensor([[True, False]]))
    assert a.shape == (1, 2)
    assert a.isnan().all()


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"expected vectors at points, B N C; got shape \[4, 2\]"):
        present_rows(torch.zeros(4, 2), torch.zeros(4, 2), None)
    with pytest.raises(ValueError, match=r"\[1, 4, 2\], but its label has \[1, 3, 2\]"):
        present_rows(torch.zeros(1, 4, 2), torch.zeros(1, 3, 2), None)
    with pytest.raises(ValueError, match=r"present must have shape \[1, 4\]; got \[4\]"):
        present_rows(torch.zeros(1, 4, 2), torch.zeros(1, 4, 2), torch.ones(4, dtype=torch.bool))
