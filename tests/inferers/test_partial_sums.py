"""Sums that wait for the next block: in memory as far as allowed, in files always."""

import pickle

import numpy as np
import pytest

from scripts.blockwise import RunFolder
from scripts.inferers.partial_sums import PartialSums

SHAPE = (3, 4, 5, 6)
BYTES = 3 * 4 * 5 * 6 * 4
CHUNK = (7, 8, 9)


def sums_of(number, shape=SHAPE):
    return np.random.default_rng(number).normal(size=shape).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "x.run")


def files(folder):
    return sorted(key.removeprefix("sums/") for key in folder.read_all("sums/"))


def test_what_is_saved_comes_back_from_memory(folder):
    partials = PartialSums(folder)
    for n in range(4):
        partials.save((0, 0, n), CHUNK, sums_of(n))
    assert partials.held_bytes == 4 * BYTES
    for n in range(4):
        np.testing.assert_array_equal(partials.load((0, 0, n), CHUNK, SHAPE), sums_of(n))
    assert partials.spilled_bytes == 0
    assert files(folder) == [f"0.0.{n}-7.8.9" for n in range(4)]


def test_a_part_of_larger_sums_does_not_keep_them_in_memory(folder):
    partials = PartialSums(folder)
    whole = sums_of(0, (3, 10, 10, 10))
    expected = whole[:, 2:6, 1:6, 3:9].copy()
    partials.save((0, 0, 0), CHUNK, whole[:, 2:6, 1:6, 3:9])
    whole[...] = 0
    np.testing.assert_array_equal(partials.load((0, 0, 0), CHUNK, SHAPE), expected)
    assert partials.held_bytes == BYTES


def test_beyond_the_limit_the_oldest_are_read_back_from_their_files(folder):
    partials = PartialSums(folder, memory_limit=2 * BYTES + 1)
    for n in range(5):
        partials.save((0, 0, n), CHUNK, sums_of(n))
        assert partials.held_bytes == min(n + 1, 2) * BYTES
    for n in (4, 3):
        np.testing.assert_array_equal(partials.load((0, 0, n), CHUNK, SHAPE), sums_of(n))
    assert partials.spilled_bytes == 0
    for n in (0, 1, 2):
        np.testing.assert_array_equal(partials.load((0, 0, n), CHUNK, SHAPE), sums_of(n))
    assert partials.spilled_bytes == 3 * BYTES


def test_with_no_memory_all_is_read_back(folder):
    partials = PartialSums(folder, memory_limit=0)
    partials.save((0, 0, 0), CHUNK, sums_of(0))
    assert partials.held_bytes == 0
    np.testing.assert_array_equal(partials.load((0, 0, 0), CHUNK, SHAPE), sums_of(0))


def test_what_is_forgotten_is_gone_from_memory_and_disk(folder):
    partials = PartialSums(folder, memory_limit=BYTES)
    for n in range(3):
        partials.save((0, 0, n), CHUNK, sums_of(n))
    partials.forget(((0, 0, n), CHUNK) for n in (0, 2))  # one that only its file holds, and one in memory
    assert partials.held_bytes == 0
    assert files(folder) == ["0.0.1-7.8.9"]
    np.testing.assert_array_equal(partials.load((0, 0, 1), CHUNK, SHAPE), sums_of(1))


def test_saved_twice_counts_once(folder):
    partials = PartialSums(folder, memory_limit=2 * BYTES)
    for number in (1, 2, 3):
        partials.save((0, 0, 0), CHUNK, sums_of(number))
    np.testing.assert_array_equal(partials.load((0, 0, 0), CHUNK, SHAPE), sums_of(3))
    assert partials.held_bytes == BYTES
    partials.forget([((0, 0, 0), CHUNK)])
    assert partials.held_bytes == 0


def test_another_process_reads_the_files(folder):
    partials = PartialSums(folder)
    partials.save((0, 0, 0), CHUNK, sums_of(0))
    sent = pickle.loads(pickle.dumps(partials))
    assert sent.held_bytes == 0
    np.testing.assert_array_equal(sent.load((0, 0, 0), CHUNK, SHAPE), sums_of(0))


def test_a_file_that_is_gone_is_named(folder):
    message = rf"{folder.path}/sums/0\.0\.0-7\.8\.9 is gone: .* Start anew with overwrite = true"
    with pytest.raises(FileNotFoundError, match=message):
        PartialSums(folder).load((0, 0, 0), CHUNK, SHAPE)
