"""Readers of values, and what an unknown key may stand for."""

import pytest

from scripts.workflows.imports.landmark_keys import KEYS, meant, one_of, or_nothing, sizes_xy
from scripts.workflows.imports.task_keys import whole


def test_sizes_begin_with_the_width_there_and_with_the_depth_here():
    assert sizes_xy([640, 480]) == [1, 480, 640]
    assert sizes_xy((3, 2, 1)) == [1, 2, 3]


@pytest.mark.parametrize("value", [512, [512], [1, 2, 3, 4], "512"], ids=str)
def test_other_sizes_are_refused(value):
    with pytest.raises(ValueError, match=r"expected \[width, height\], or three numbers x, y, z, got"):
        sizes_xy(value)


def test_words_whatever_their_case_and_nothing():
    read = or_nothing(one_of("poly"))
    assert read("Poly") == "poly"
    assert read(None) is None
    with pytest.raises(ValueError, match="expected a whole number of at least 1, got 0"):
        or_nothing(whole(1))(0)


def test_defaults_can_be_read():
    for place, spec in KEYS.items():
        if spec.new is not None and spec.default is not ...:
            spec.read(spec.default)
            assert spec.default is not None or spec.may_be_null, place


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("SOLVER.SEEDS", " (did you mean 'SEED'?)"),
        ("TRAINER.SEED", " (it belongs to SOLVER)"),
        ("MODEL.PHDNET.MAXPOOL", " (did you mean 'MAXPOOL_FACTOR'?)"),
        ("QUITE.ELSE", ""),
    ],
)
def test_what_an_unknown_key_may_stand_for(place, said):
    assert meant(place) == said
