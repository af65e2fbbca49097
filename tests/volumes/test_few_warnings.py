"""Warnings of many volumes are said for the first few."""

import logging

import numpy as np
import pytest

from scripts.volumes import open_volume
from scripts.volumes.few_warnings import forget_warnings, warn_few


def test_three_of_a_kind_and_a_word_about_the_rest(caplog):
    for number in range(6):
        warn_few(logging.getLogger("test"), "volume %d is small", number)
        warn_few(logging.getLogger("test"), "volume %d is odd", number)
    said = [record.getMessage() for record in caplog.records]
    assert said[:6] == [f"volume {number} is {kind}" for number in range(3) for kind in ("small", "odd")]
    assert said[6:] == ["more such volumes: further warnings like the 3 before are left out"] * 2
    forget_warnings()
    warn_few(logging.getLogger("test"), "volume %d is small", 7)
    assert caplog.records[-1].getMessage() == "volume 7 is small"


@pytest.mark.parametrize("count", [2, 9])
def test_padding_of_many_volumes(tmp_path, caplog, count):
    for number in range(count):
        np.save(tmp_path / f"{number}.npy", np.ones((4, 4, 4), np.uint8))
        open_volume(tmp_path / f"{number}.npy").read([0, 0, 0], [5, 4, 4])
    assert sum("reaches beyond the volume" in record.message for record in caplog.records) == min(count, 3)
    assert len(caplog.records) == min(count, 4)
