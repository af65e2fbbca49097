"""Colours of objects."""

import numpy as np

from scripts.viewers.score_report_objects import object_colours


def test_an_id_has_one_colour_everywhere_and_background_is_black():
    ids = np.array([[0, 5, 7], [5, 0, 2**63 + 9]], np.uint64)
    colours = object_colours(ids)
    assert colours.dtype == np.uint8
    assert not colours[ids == 0].any()
    assert colours[0, 1].tolist() == colours[1, 0].tolist()
    assert (object_colours(ids[:, 1:])[1, 1] == colours[1, 2]).all()


def test_ids_in_a_row_differ_clearly():
    colours = object_colours(np.arange(1, 60)[None])[0].astype(int)
    for step in (1, 2, 3):
        assert np.abs(colours[step:] - colours[:-step]).sum(axis=1).min() > 60


def test_colours_lie_over_a_picture():
    picture = np.full((1, 2, 3), 200, np.uint8)
    ids = np.array([[0, 3]])
    mixed = object_colours(ids, picture)[0]
    assert mixed[0].tolist() == [200, 200, 200]
    expected = 0.45 * 200 + 0.55 * object_colours(ids)[0, 1]
    assert np.abs(mixed[1] - expected).max() <= 0.5
