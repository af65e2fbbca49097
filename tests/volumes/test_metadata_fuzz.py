"""Metadata damaged in thousands of ways: a volume opens and can be read, or an error says plainly what is wrong."""

import collections
import contextlib
import logging
import os
import resource
import warnings

import pytest
from tests.volumes.metadata_mutations import make_case, make_stores

from scripts.volumes import open_volume
from scripts.volumes.placement import level_spacings

PLAIN = (ValueError, TypeError, OSError)

MOST_SAID = 4000
"""Characters of a message that fits onto a screen."""

MOST_GROWTH_BYTES = 500_000_000


@pytest.fixture(autouse=True)
def without_log(caplog):
    """Thousands of warnings would be kept."""
    caplog.set_level(logging.CRITICAL)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    return make_stores(tmp_path_factory.mktemp("stores"))


@contextlib.contextmanager
def damaged(case):
    """The document as the case has it, and then as it was."""
    before = case.document.read_bytes()
    case.document.write_bytes(case.content)
    try:
        yield
    finally:
        case.document.write_bytes(before)


def outcome(case):
    """What becomes of a case: `opened`, or the name of the error that names the store."""
    with damaged(case), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)  # zarr-python's, about what is unusual
        try:
            look_at(case.target)
        except Exception as error:
            kind, said = type(error).__name__, str(error)
            if not isinstance(error, PLAIN):
                pytest.fail(f"{kind}: {said}\n{case}")
            if case.target.partition(".zarr")[0] not in said or len(said) > MOST_SAID:
                pytest.fail(f"no path, or too long: {kind}: {said[:MOST_SAID]}\n{case}")
            return kind
        return "opened"


def look_at(path):
    """What programs do with a volume: open, describe, list, read."""
    volume = open_volume(path)
    assert repr(volume)
    assert volume.affine.shape == (4, 4)
    volume.fingerprint()
    volume.stored_chunks()
    volume.stored_chunks(inside_shards=True)
    level_spacings(path.partition("::")[0])
    size = [min(3, n) for n in volume.spatial_shape]
    start = [n - s for n, s in zip(volume.spatial_shape, size, strict=True)]
    for first in ((0, 0, 0), start, (-1, -1, -1)):
        block = volume.read(first, size)
        assert block.shape == (volume.channels, *size)
        volume.decode(block)


def test_the_stores_themselves_are_right(stores):
    for store, targets in stores:
        kinds = []
        for target in targets:
            try:
                look_at(f"{store}{target}")
                kinds.append("opened")
            except ValueError as error:
                kinds.append("refused" if "expected" in str(error) else str(error))
        assert set(kinds) <= {"opened", "refused"}
        assert "opened" in kinds


@pytest.mark.parametrize("part", range(4))
def test_damaged_metadata_open_or_are_refused_in_plain_words(stores, part):
    found = {outcome(make_case(stores, number)) for number in range(part * 60, part * 60 + 60)}
    assert found >= {"opened", "MetadataError"}


@pytest.mark.stress
def test_twelve_thousand_damaged_metadata(stores):
    """Again, 12,000 cases more; the totals are printed."""
    first, count = int(os.environ.get("POLYTOME_FUZZ_FIRST", "1000")), 12_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found, faults = collections.Counter(), []
    for number in range(first, first + count):
        try:
            found[outcome(make_case(stores, number))] += 1
        except pytest.fail.Exception as error:
            faults.append(str(error))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    refused = count - found["opened"] - len(faults)
    print(
        f"\nmetadata: {count} cases, {found['opened']} opened, {refused} refused, {len(faults)} faults: {dict(found)}"
    )
    assert not faults, f"{len(faults)} cases, the first:\n" + "\n".join(faults[:5])
    assert grown < MOST_GROWTH_BYTES
