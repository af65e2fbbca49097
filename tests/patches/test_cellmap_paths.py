"""Patterns of paths against folders made by hand."""

import pytest

from scripts.patches.cellmap_paths import child_folders, find_paths, natural_order


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for path in (
        "a/a.zarr/recon-1/crop10",
        "a/a.zarr/recon-1/crop9",
        "a/a.zarr/recon-2/crop9",
        "a/a.zarr/.hidden",
        "b/b.zarr/recon-1/crop1",
        "b/c.zarr/recon-1/crop1",
    ):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "a/a.zarr/recon-1/file").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "keep", "expected"),
    [
        (
            "{d}/{d}.zarr/recon-1/{crop}",
            {},
            ["a/a.zarr/recon-1/crop9", "a/a.zarr/recon-1/crop10", "b/b.zarr/recon-1/crop1"],
        ),
        ("*/{d}.zarr/recon-1/crop1", {"d": ["c", "a"]}, ["a/a.zarr/recon-1/crop1", "b/c.zarr/recon-1/crop1"]),
        ("a/a.zarr/recon-?/{crop}", {"crop": ["crop9"]}, ["a/a.zarr/recon-1/crop9", "a/a.zarr/recon-2/crop9"]),
        ("{d}/x", {"d": ["b*"]}, ["b/x"]),
        ("nowhere/{d}", {}, []),
        ("a/{d}.zarr/crop{d}", {}, ["a/a.zarr/cropa"]),
    ],
)
def test_what_fits_a_pattern(folder, pattern, keep, expected):
    assert [found.path for found in find_paths(pattern, keep)] == expected
    absolute = [found.path for found in find_paths(f"{folder}/{pattern}", keep)]
    assert absolute == [f"{folder}/{path}" for path in expected]


def test_fields_are_told(folder):
    found = find_paths("*/{dataset}.zarr/recon-{number}/crop{crop}")
    assert [(path.fields["dataset"], path.fields["number"], path.fields["crop"]) for path in found] == [
        ("a", "1", "9"), ("a", "1", "10"), ("a", "2", "9"), ("b", "1", "1"), ("c", "1", "1"),
    ]  # fmt: skip


def test_a_field_twice_in_one_name_stands_for_the_same(tmp_path):
    for name in ("x-x", "x-y"):
        (tmp_path / name).mkdir()
    assert [found.path for found in find_paths(f"{tmp_path}/{{d}}-{{d}}")] == [f"{tmp_path}/x-x"]


def test_folders_of_a_folder(folder):
    assert child_folders("a/a.zarr") == ["recon-1", "recon-2"]
    assert child_folders("a/a.zarr/recon-1") == ["crop9", "crop10"]
    assert child_folders("a/a.zarr/recon-1/file") == []
    assert sorted(["crop10", "b", "crop9", "2", "crop9a"], key=natural_order) == ["2", "b", "crop9", "crop9a", "crop10"]
