import numpy as np
import pytest

from scripts.volumes.grid import Grid, as_triple, common_unit, nearest_spacing, unit_symbol, unit_word


def test_affine_maps_index_to_position():
    affine = Grid((3.0, 1.0, 1.5), (10.0, 20.0, 30.0), "um").affine
    np.testing.assert_array_equal(affine @ [2, 3, 4, 1], [16.0, 23.0, 36.0, 1.0])
    assert affine.dtype == np.float64


@pytest.mark.parametrize(
    ("given", "symbol", "word"),
    [
        ("micrometer", "um", "micrometer"),
        ("µm", "um", "micrometer"),
        ("nanometer", "nm", "nanometer"),
        ("mm", "mm", "millimeter"),
        ("angstrom", "angstrom", "angstrom"),
        (None, None, None),
    ],
)
def test_units(given, symbol, word):
    assert unit_symbol(given) == symbol
    assert unit_word(given) == word


def test_unknown_unit_names_the_nearest():
    with pytest.raises(ValueError, match=r"got 'micrometre-ish'.*did you mean 'micrometer'"):
        unit_word("micrometre-ish")


def test_mixed_units_become_that_of_x():
    assert common_unit(["micrometer", "nanometer", "nanometer"], "here") == ("nm", (1000.0, 1.0, 1.0))
    with pytest.raises(ValueError, match=r"different units \['furlong', 'nm'\]"):
        common_unit(["furlong", "nanometer"], "here")


def test_nearest_spacing_is_by_ratio():
    # 2 is nearer to 1 than to 5 by ratio (2 and 2.5) and by difference; 2.4 only by difference.
    levels = [(1.0,) * 3, (5.0,) * 3]
    assert nearest_spacing(levels, (2.0,) * 3) == 0
    assert nearest_spacing(levels, (2.4,) * 3) == 1


@pytest.mark.parametrize("value", [(1, 2), (1, 0, 1), "abcd", (1, float("nan"), 1), 3])
def test_bad_triple(value):
    with pytest.raises(ValueError, match="spacing: expected three"):
        as_triple(value, "spacing", positive=True)
