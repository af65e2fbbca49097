"""Which offsets of affinities are taken, and the affinities of a truth by hand."""

import numpy as np
import pytest

from scripts.geometry.affinities import affinities_of, check_offsets, direct_offsets


def test_offsets_to_the_next_voxels_are_taken():
    assert check_offsets(direct_offsets(), 3) == ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    assert check_offsets([[0, -9]], 2) == ((0, -9),)


@pytest.mark.parametrize(
    ("offsets", "got"),
    [
        ([], "[]"),
        ([[1, 0, 0], [0, 0, 0]], "[0, 0, 0]"),
        ([[1, 0]], "[1, 0]"),
        ([[1, 0, 0, 0]], "[1, 0, 0, 0]"),
        ([[1.5, 0, 0]], "[1.5, 0, 0]"),
    ],
)
def test_offsets_that_lead_nowhere_are_refused(offsets, got):
    with pytest.raises(ValueError) as caught:
        check_offsets(offsets, 3)
    said = "offsets must hold 3 whole steps per channel, not all 0, such as [0, 0, 1]; got "
    assert str(caught.value) == said + got


def test_affinities_by_hand():
    """Two objects and background along x; the last voxel but one is unknown."""
    ids = np.array([[[0, 1, 1, 2, 2, 2]]])
    known = np.array([[[True, True, True, True, False, True]]])
    ahead, back = affinities_of(ids, known, [(0, 0, 1), (0, 0, -2)])[:, 0, 0].tolist()
    assert ahead == [0, 1, 0, -1, -1, -1]
    assert back == [-1, -1, 0, 0, -1, 1]
    assert affinities_of(ids, None, [(0, 0, 1)])[0, 0, 0].tolist() == [0, 1, 0, 1, 1, -1]
