"""Finished parts of a run, seen by the process that finished them and by others."""

import pickle

import pytest

from scripts.blockwise import Ledger, RunFolder

OUTCOMES = {(0, 0, 0): {"kept": []}, (0, 0, 12): {"kept": [[1, 2, 3]], "windows": 4}, (10, 2, 3): {}}


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "x.run")


@pytest.fixture
def ledger(folder):
    """A ledger in which three parts are entered."""
    ledger = Ledger(folder)
    for part, outcome in OUTCOMES.items():
        ledger.enter(part, outcome)
    return ledger


def test_what_was_entered_comes_back_in_the_next_run(ledger, folder):
    again = Ledger(folder)
    assert (len(again), list(again.items())) == (0, [])
    again.load()
    assert dict(again.items()) == dict(ledger.items()) == OUTCOMES
    assert len(again) == 3
    assert (0, 0, 12) in again
    assert (0, 1, 2) not in again


def test_an_outcome_is_the_same_before_and_after_it_was_stored(folder):
    here, there = Ledger(folder), Ledger(folder)
    here.enter([1, 2, 3], {"kept": [(4, 5, 6)]})
    assert here.find((1, 2, 3)) == there.find((1, 2, 3)) == {"kept": [[4, 5, 6]]}


def test_a_part_that_another_process_enters_is_found(ledger, folder):
    other = Ledger(folder)
    assert other.find((0, 0, 12)) == OUTCOMES[0, 0, 12]
    assert (0, 0, 12) in other
    assert len(other) == 1
    assert other.find((7, 7, 7)) is None
    ledger.enter((7, 7, 7), {"kept": []})
    assert other.find((7, 7, 7)) == {"kept": []}


def test_what_another_process_tells_need_not_be_read(folder):
    ledger = Ledger(folder)
    ledger.note([1, 1, 1], {"kept": []})
    assert ledger.find((1, 1, 1)) == {"kept": []}
    assert folder.read_all("") == {}


def test_ledgers_of_one_folder_do_not_mix(ledger, folder):
    merged = Ledger(folder, "merged")
    merged.enter((5, 5, 5), {})
    for which, parts in ((Ledger(folder, "merged"), {(5, 5, 5)}), (Ledger(folder), set(OUTCOMES))):
        which.load()
        assert {part for part, _ in which.items()} == parts
    assert merged.find((0, 0, 0)) is None


def test_a_ledger_that_was_sent_away_reads_what_it_needs(ledger, folder):
    sent = pickle.loads(pickle.dumps(ledger))
    assert len(sent) == 0
    assert sent.find((0, 0, 12)) == OUTCOMES[0, 0, 12]
    sent.enter((8, 8, 8), {"kept": []})
    assert ledger.find((8, 8, 8)) == {"kept": []}


def test_a_part_whose_entry_was_cut_off_is_not_finished(folder, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    ledger = Ledger(folder)
    ledger.enter((0, 0, 0), {})
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ledger.enter((0, 0, 1), {})
    assert (0, 0, 1) not in ledger
    again = Ledger(folder)
    again.load()
    assert [part for part, _ in again.items()] == [(0, 0, 0)]
