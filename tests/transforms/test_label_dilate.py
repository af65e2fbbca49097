"""DilateLabel on a line written out by hand; geometry in tests/geometry/test_fields.py."""

import pytest
import torch

from scripts.transforms import DilateLabel, DilateLabeld

LINE = torch.tensor([[[0, 0, 0, 7, 0, 0, 0, 2, 2, 0, -1, 0, 0]]])  # 1 H W; spacing 2 along W


@pytest.mark.parametrize(
    ("radius", "expected"),
    [
        (1.9, [0, 0, 0, 7, 0, 0, 0, 2, 2, 0, -1, 0, 0]),
        (2.0, [0, 0, 7, 7, 7, 0, 2, 2, 2, 2, -1, 0, 0]),
        (100.0, [7, 7, 7, 7, 7, None, 2, 2, 2, 2, -1, 2, 2]),
    ],
)
def test_a_line_by_hand(radius, expected):
    found = DilateLabel(radius, spacing=(1.0, 2.0))(LINE)
    assert found.dtype == torch.int64
    for value, wanted in zip(found[0, 0].tolist(), expected, strict=True):
        assert value == wanted if wanted is not None else value in (2, 7)  # as far from either


def test_nothing_to_grow():
    label = torch.tensor([[[0, 0, -1]]])
    assert torch.equal(DilateLabel(5.0, spacing=(1, 1))(label), label)


def test_the_input_stays_as_it_was():
    label = LINE.clone()
    DilateLabeld("a", radius=3.0, spacing=(1, 1))({"a": label})
    assert torch.equal(label, LINE)


def test_errors():
    with pytest.raises(ValueError, match=r"radius must be a physical length above 0.*got -1"):
        DilateLabel(-1)
