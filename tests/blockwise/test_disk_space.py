"""Errors of a full disk say how to go on; others stay as they are."""

import errno

import pytest

from scripts.blockwise import full_disk_told


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_and_a_quota_say_how_to_go_on(number):
    message = r"x\.zarr: no space left on the device\. 3 of 4 blocks stay; free some space and start the same run again"
    with pytest.raises(OSError, match=message) as caught, full_disk_told("x.zarr", lambda: "3 of 4 blocks stay"):
        raise OSError(number, "full")
    assert caught.value.errno == number


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "denied"), OSError("no number"), ValueError("wrong")])
def test_other_errors_stay_as_they_are(error):
    with pytest.raises(type(error)) as caught, full_disk_told("x.zarr", lambda: "words"):
        raise error
    assert caught.value is error
