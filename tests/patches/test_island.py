"""How much of an island's labels is kept between the two looks at it."""

import numpy as np
import pytest

from scripts.patches import island
from scripts.patches.bits import pack
from scripts.patches.island import IslandSearch, Settings

BOXES = [((0, 0, x), (4, 4, 4)) for x in (0, 4, 8, 12)]
BOX_BYTES = 4 * 4 * 8  # one word of 64 bits for each row of a box


class CountedLabels:
    """Labels that are everywhere, and how often each box is read."""

    low, high = (0, 0, 0), (4, 4, 16)

    def __init__(self):
        self.reads = dict.fromkeys(BOXES, 0)

    def bits(self, box):
        self.reads[box] += 1
        return pack(np.ones(box[1], bool), box[0])


@pytest.mark.parametrize("n_kept", [0, 1, 3, 4])
def test_labels_beyond_the_limit_are_read_a_second_time(monkeypatch, n_kept):
    monkeypatch.setattr(island, "KEPT_BYTES", n_kept * BOX_BYTES)
    labels = CountedLabels()
    found = IslandSearch(labels, {}, Settings((4, 4, 4), (4, 4, 4), 0.9, 0.9)).run(BOXES)
    assert [patch[:3] for patch in found.patches] == [(0, 0, 0), (0, 0, 4), (0, 0, 8), (0, 0, 12)]
    assert list(labels.reads.values()) == [1] * n_kept + [2] * (len(BOXES) - n_kept)
