import pytest

from scripts.volumes.paths import is_url, parents, repair_url, require_exists, short_name, split_level


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.zarr", ("a.zarr", None)),
        ("a.zarr::2", ("a.zarr", 2)),
        ("s3://bucket/a.zarr::0", ("s3://bucket/a.zarr", 0)),
        ("simplecache::s3://bucket/a.zarr", ("simplecache::s3://bucket/a.zarr", None)),
        ("simplecache::s3://bucket/a.zarr::1", ("simplecache::s3://bucket/a.zarr", 1)),
    ],
)
def test_split_level(path, expected):
    assert split_level(path) == expected


@pytest.mark.parametrize("path", ["a.zarr::-1", "a.zarr::two", "a.zarr::"])
def test_bad_level(path):
    with pytest.raises(ValueError, match=r"expected PATH::LEVEL .* got '(-1|two|)'"):
        split_level(path)


def test_urls():
    assert is_url("s3://b/x")
    assert is_url("simplecache::https://b/x")
    assert not is_url("/a/b.zarr")
    assert not is_url("b.zarr")
    assert repair_url("s3:/b/x.zarr") == "s3://b/x.zarr"
    assert repair_url("s3://b/x.zarr") == "s3://b/x.zarr"
    assert repair_url("/a/b") == "/a/b"


def test_parents():
    assert parents("/a/x.zarr/labels/0", 2) == [("/a/x.zarr/labels", "0"), ("/a/x.zarr", "labels/0")]
    assert parents("memory://x.zarr/0", 3) == [("memory://x.zarr", "0")]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/a/scan.zarr", "scan"),
        ("/a/scan.ome.zarr/labels/cells/", "scan/labels/cells"),
        ("/a/b/case_1.nii.gz", "case_1"),
        ("x.tif", "x"),
        ("s3://bucket/plain", "plain"),
    ],
)
def test_short_name(path, name):
    assert short_name(path) == name


def test_missing_path_names_the_nearest_parent(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(FileNotFoundError, match=rf"b/c.zarr does not exist; the nearest .* is {tmp_path}/data$"):
        require_exists(str(tmp_path / "data" / "b" / "c.zarr"))
