"""Left and right landmarks."""

import pytest
import torch

from scripts.transforms import pairs_by_name, swap_pairs
from scripts.transforms.landmark_pairs import parse_pairs


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["nose", "left eye", "right eye"], [(1, 2)]),
        (["EyeLeft", "nose", "eyeright"], [(0, 2)]),
        (["R_orbit", "zyg.l", "L_orbit", "zyg.r"], [(0, 2), (1, 3)]),
        (["left 1", "right 2"], []),
        (["molar", "nasal r", "upper"], []),
        (["left of right", "right of left"], [(0, 1)]),
        (["1", "2"], []),
    ],
)
def test_names_that_differ_in_the_side_alone_are_pairs(names, pairs):
    assert pairs_by_name(names) == pairs


def test_points_of_pairs_change_places_and_others_stay():
    points = torch.arange(15.0).reshape(5, 3)
    assert torch.equal(swap_pairs(points, [(0, 3), (4, 1)]), points[[3, 4, 2, 0, 1]])
    assert torch.equal(swap_pairs(points, []), points)
    with pytest.raises(ValueError, match="there is no landmark 5: there are 5, counted from 0"):
        swap_pairs(points, [(0, 5)])


def test_pairs_are_positions_or_names():
    assert parse_pairs([[0, 2], (3, 1)]) == [(0, 2), (3, 1)]
    assert parse_pairs([["b", "a"], [2, "d"]], ["a", "b", "c", "d"]) == [(1, 0), (2, 3)]


@pytest.mark.parametrize(
    ("pairs", "names", "message"),
    [
        ([[0, 1], [1, 2]], None, r"landmark 1 occurs more than once in \[\[0, 1\], \[1, 2\]\]"),
        ([[0, 0]], None, "landmark 0 occurs more than once"),
        ([[0]], None, r"expected two landmarks each.*; got \[0\]"),
        (["ab"], ["a", "b"], "expected two landmarks each.*; got 'ab'"),
        ([["eye_l", 1]], None, "'eye_l' is no landmark; no names are given"),
        (
            [["eye_l", 1]],
            ["eye_left", "nose"],
            r"'eye_l' is no landmark; names: eye_left, nose \(did you mean 'eye_left",
        ),
        ([[-1, 1]], ["a"], "-1 is no landmark"),
        ([[0, 9]], ["a", "b"], "there is no landmark 9: there are 2, counted from 0"),
    ],
)
def test_what_is_no_pair_is_said(pairs, names, message):
    with pytest.raises(ValueError, match=message):
        parse_pairs(pairs, names)
