"""Zip files that mean harm, or are wrong, are refused by the name of the entry."""

import json
import stat
import zipfile

import numpy as np
import pytest
from tests.workflows.submission_files import members, write_zip, zarray

from scripts.workflows.submissions.checks import check_array, check_members, read_json, stated_grid


def check(*groups, total=10**6, entry=10**6):
    return check_members("x.zip", members(*groups), total, entry)


def test_files_are_listed_and_folders_are_not():
    assert list(check({"crop1/": "", "crop1/nuc/0.0.0": "a", "b": "c"})) == ["crop1/nuc/0.0.0", "b"]


@pytest.mark.parametrize(
    "name", ["../evil", "crop1/../../evil", "/etc/passwd", "C:/evil", "crop1\\..\\evil", "a//b", "./a", "crop1/.."]
)
def test_names_that_lead_out(name):
    with pytest.raises(
        ValueError, match=r"x\.zip: the entry '.*' leads out of the archive; expected names such as"
    ) as error:
        check({"fine": "a", name: "b"})
    assert repr(name) in str(error.value)


def test_names_with_a_null_byte_are_seen_whole():
    content = members({"crop1/nuX.txt": "a"})
    content[0].orig_filename = "crop1/nu\0.txt"
    with pytest.raises(ValueError, match="leads out of the archive"):
        check_members("x.zip", content, 99, 99)


def test_links_secrets_and_doubles():
    link = zipfile.ZipInfo("crop1/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(ValueError, match="the entry 'crop1/link' is a link"):
        check_members("x.zip", [link], 99, 99)
    secret = members({"crop1/a": "a"})
    secret[0].flag_bits |= 1
    with pytest.raises(ValueError, match="the entry 'crop1/a' is encrypted"):
        check_members("x.zip", secret, 99, 99)
    with pytest.warns(UserWarning, match="Duplicate name"):
        double = members({"crop1/a": "a"}, {"crop1/a": "b"})
    with pytest.raises(ValueError, match="the entry 'crop1/a' is there twice"):
        check_members("x.zip", double, 99, 99)


def test_bombs_are_told_by_what_they_unpack_to():
    bomb = {"small": "a", "crop1/nuc/0.0.0": bytes(100_000)}
    assert sum(member.compress_size for member in members(bomb)) < 1000
    with pytest.raises(ValueError, match=r"the entry 'crop1/nuc/0\.0\.0' unpacks to 100000 bytes; allowed are 99999"):
        check(bomb, entry=99_999)
    with pytest.raises(
        ValueError, match=r"unpack to more than 100000 bytes, of which 'crop1/nuc/0\.0\.0' is one too many"
    ):
        check(bomb, total=100_000)
    assert len(check(bomb, entry=100_000, total=100_001)) == 2


def test_json(tmp_path):
    path = write_zip(
        tmp_path / "x.zip",
        {"good": '{"a": 1}', "broken": "{", "list": "[1]", "large": " " * (2**20 + 1), "deep": "[" * 100_000},
    )
    with zipfile.ZipFile(path) as archive:
        assert read_json("x.zip", archive, archive.getinfo("good")) == {"a": 1}
        for name, message in {
            "broken": "the entry 'broken' is no JSON: Expecting",
            "list": r"the entry 'list' holds \[1\]; expected a dictionary",
            "large": "the entry 'large' has 1048577 bytes, too many for metadata",
            "deep": "the entry 'deep' is no JSON: maximum recursion",
        }.items():
            with pytest.raises(ValueError, match=message):
                read_json("x.zip", archive, archive.getinfo(name))


@pytest.mark.parametrize("dtype", ["|b1", "|u1", "<u2", ">i4", "<u8"])
def test_arrays_of_whole_numbers(dtype):
    assert check_array("a", json.loads(zarray((5, 6, 7), dtype)), 210 * np.dtype(dtype).itemsize, 10**6) == (5, 6, 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"zarr_format": 3}, "a: expected zarr_format 2; got 3"),
        ({"dtype": "<f4"}, "a: expected whole numbers, such as |u1; got dtype '<f4'"),
        ({"dtype": "|O"}, r"expected whole numbers, .* got dtype '\|O'"),
        ({"dtype": [["a", "|u1"]]}, "expected whole numbers"),
        ({"dtype": "nonsense"}, "got dtype 'nonsense'"),
        ({"shape": [2, 3]}, r"expected 'shape' as three whole numbers D, H, W; got \[2, 3\]"),
        ({"shape": [2, 3, 0]}, "expected 'shape'"),
        ({"shape": None}, "expected 'shape'"),
        ({"chunks": [2, 3, True]}, "expected 'chunks'"),
        ({"filters": [{"id": "pickle"}]}, r"expected no filters, .* got filters \[\{'id': 'pickle'\}\]"),
        ({"compressor": {"id": "pickle"}}, "a compressor of blosc, .*, zstd; got .* compressor 'pickle'"),
        ({"compressor": "zlib9"}, "compressor 'zlib9'"),
        ({"shape": [100, 100, 101]}, r"the array of \[100, 100, 101\] has 1010000 bytes; allowed are 1000000"),
        ({"chunks": [100, 100, 11]}, r"a chunk of \[100, 100, 11\] has 110000 bytes; allowed are 100000"),
    ],
)
def test_arrays_that_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        check_array("a", {**json.loads(zarray()), **changes}, 10**6, 10**5)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"voxel_size": [1.74, 2, 2], "translation": [-1, 2, 3]}, ((1.74, 2, 2), (-1, 2, 3))),
        ({"resolution": [1, 2, 3], "offset": [4, 5, 6]}, ((1, 2, 3), (4, 5, 6))),
        ({"scale": [9, 9, 9], "voxel_size": [1, 2, 3], "translation": [0, 0, 0]}, ((1, 2, 3), (0, 0, 0))),
    ],
)
def test_grids(attributes, expected):
    assert stated_grid("a", attributes) == expected


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({}, r"a: the attributes state no voxel size \(voxel_size or resolution or scale\); they hold nothing"),
        (
            {"voxel_size": [1, 2, 3], "shape": []},
            r"no translation \(translation or offset\); they hold voxel_size, shape",
        ),
        ({"voxel_size": [1, 2]}, r"expected 'voxel_size' as three numbers z, y, x; got \[1, 2\]"),
        ({"voxel_size": [1, 2, 0]}, r"'voxel_size' must be finite, and a voxel size positive; got \[1, 2, 0\]"),
        ({"voxel_size": [1, 2, 3], "translation": [0, 0, float("nan")]}, "'translation' must be finite"),
        ({"voxel_size": 4}, "expected 'voxel_size' as three numbers"),
    ],
)
def test_grids_that_are_missing_or_wrong(attributes, message):
    with pytest.raises(ValueError, match=message):
        stated_grid("a", attributes)
