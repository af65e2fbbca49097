"""What the disk does not take is said once; other errors are none of its business."""

import pytest

from scripts.engines.optional_file import OptionalFile


def test_errors_of_the_disk_are_said_once(caplog):
    file = OptionalFile()
    for _ in range(3):
        with file.written("/a/b.png"):
            raise OSError(28, "No space left on device")
    assert [record.getMessage() for record in caplog.records] == [
        "/a/b.png cannot be written: No space left on device; the training goes on without it"
    ]


def test_an_error_without_a_number_speaks_for_itself(caplog):
    with OptionalFile().written("x.gif"):
        raise OSError("encoder error -2")
    assert "x.gif cannot be written: encoder error -2;" in caplog.text


def test_other_errors_are_raised():
    with pytest.raises(ValueError, match=r"^shape$"), OptionalFile().written("x"):
        raise ValueError("shape")
