"""The journal of a run that may be killed at any moment."""

import json

import pytest

from scripts.blockwise import Journal

HEADER = {"roi_size": (32, 32, 16), "network": "abc"}
CHUNKS = [(0, 0, 0), (0, 0, 1), (10, 2, 3)]


@pytest.fixture
def path(tmp_path):
    """A journal of three chunks, not done."""
    journal = Journal(tmp_path / "run.jsonl", HEADER)
    for chunk in CHUNKS:
        journal.finish_chunk(list(chunk))
    return tmp_path / "run.jsonl"


def test_a_new_journal_holds_the_header_alone(tmp_path):
    journal = Journal(str(tmp_path / "run.jsonl"), HEADER)
    assert (journal.finished, journal.is_complete) == (set(), False)
    assert json.loads((tmp_path / "run.jsonl").read_text()) == {"roi_size": [32, 32, 16], "network": "abc"}


def test_finished_chunks_come_back(path):
    journal = Journal(path, HEADER)
    assert journal.finished == set(CHUNKS)
    assert not journal.is_complete


def test_done_comes_back(path):
    journal = Journal(path, HEADER)
    journal.finish()
    assert journal.is_complete
    again = Journal(path, HEADER)
    assert again.is_complete
    assert again.finished == set(CHUNKS)


def test_cut_off_at_every_byte_of_the_last_line_only_that_chunk_is_lost(path):
    whole = path.read_bytes()
    last = len(whole.splitlines(keepends=True)[-1])
    for kept in range(1, last):  # at least one byte of the line is left, and at most all but its end
        path.write_bytes(whole[: len(whole) - last + kept])
        journal = Journal(path, HEADER)
        assert journal.finished == set(CHUNKS[:2])
        journal.finish_chunk(CHUNKS[2])
        assert path.read_bytes() == whole


def test_a_torn_done_is_not_done(path):
    Journal(path, HEADER).finish()
    path.write_text(path.read_text()[:-2])
    journal = Journal(path, HEADER)
    assert not journal.is_complete
    assert journal.finished == set(CHUNKS)


@pytest.mark.parametrize("content", ["", '{"roi_size": [32, 3'])
def test_killed_while_the_header_was_written_the_run_begins_anew(tmp_path, content):
    path = tmp_path / "run.jsonl"
    path.write_text(content)
    journal = Journal(path, HEADER)
    assert journal.finished == set()
    journal.finish_chunk((1, 2, 3))
    assert Journal(path, HEADER).finished == {(1, 2, 3)}


def test_another_header_is_refused_and_nothing_is_changed(path):
    before = path.read_bytes()
    message = (
        rf"{path.parent} holds a run with other settings: roi_size\[2\]: 16 -> 8; network: \"abc\" -> \"xyz\"\. "
        "Give the same settings to go on with it, another output, or overwrite = true to start anew"
    )
    with pytest.raises(ValueError, match=message):
        Journal(path, {"roi_size": (32, 32, 8), "network": "xyz"})
    assert path.read_bytes() == before
