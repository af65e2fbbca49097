"""`filter_by_scale` in its four forms."""

import pytest

from scripts.patches.cellmap_scale import is_as_fine, scale_limit


@pytest.mark.parametrize(
    ("given", "expected"),
    [(False, None), (None, None), (True, (8, 4, 4)), (16, (16, 16, 16)), (2.5, (2.5,) * 3), ([8, 4, 2], (8, 4, 2))],
)
def test_the_limit(given, expected):
    assert scale_limit(given, (8, 4, 4)) == expected


@pytest.mark.parametrize(
    ("given", "spacing", "message"),
    [
        (True, None, "filter_by_scale = true needs the spacing"),
        ([8, 8], None, r"filter_by_scale: a flag, a number or one per axis: expected three numbers .* got \[8, 8\]"),
        (-1, None, r"expected three positive numbers, got \[-1, -1, -1\]"),
        ("fine", None, "got 'fine'"),
    ],
)
def test_what_is_no_limit(given, spacing, message):
    with pytest.raises(ValueError, match=message):
        scale_limit(given, spacing)


@pytest.mark.parametrize(
    ("spacing", "expected"), [((8, 8, 8), True), ((2, 4, 8.0001), True), ((8, 8, 9), False), ((16, 2, 2), False)]
)
def test_every_axis_must_be_as_fine(spacing, expected):
    assert is_as_fine(spacing, (8, 8, 8)) is expected
