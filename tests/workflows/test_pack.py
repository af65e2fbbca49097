"""`pack`: from predictions in a tree to a zip file that is read again."""

import importlib
import sys
import zipfile

import numpy as np
import pytest
import zarr
from tests.cellmap_tree import write_multiscale

from scripts.__main__ import main
from scripts.workflows.submissions.submission import read_submission

pack = importlib.import_module("scripts.workflows.pack").pack


@pytest.fixture(scope="module")
def predictions(tmp_path_factory):
    """crop1 of dataset a with nuc (ids 1, 2) and er, crop2 of dataset b with er; voxels of 4 nm."""
    folder = tmp_path_factory.mktemp("predictions")
    for path, highest in {"a.zarr/crop1/nuc": 2, "a.zarr/crop1/er": 1, "b.zarr/crop2/er": 1}.items():
        write_multiscale(
            folder / path, lambda z, y, x, n=highest: n * (x > 16) + 0.0 * (y + z), (4, 4, 4), (10, 20, 0), (3, 4, 8), 1
        )
    return folder


def names(path):
    with read_submission(path) as submission:
        return [f"{entry.crop}/{entry.label}" for entry in submission]


def test_a_submission_is_read_as_it_was_predicted(predictions, tmp_path):
    said = pack(f"{predictions}/{{dataset}}.zarr/{{crop}}/{{label}}", tmp_path / "new" / "mine.zip")
    with zipfile.ZipFile(tmp_path / "new" / "mine.zip") as archive:
        entries = archive.namelist()
    assert "submission.zarr/crop1/nuc/.zarray" in entries
    assert all(name.startswith("submission.zarr/") for name in entries)
    assert len(set(entries)) == len(entries)
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "mine.zip"]
    with read_submission(tmp_path / "new" / "mine.zip", classes=["nuc", "er"]) as submission:
        found = {f"{entry.crop}/{entry.label}": entry for entry in submission}
        assert list(found) == ["crop1/er", "crop1/nuc", "crop2/er"]
        expected = np.broadcast_to([0, 0, 0, 0, 0, 2, 2, 2], (3, 4, 8))
        np.testing.assert_array_equal(found["crop1/nuc"].array[...], expected)
        np.testing.assert_array_equal(found["crop2/er"].array[...], expected > 0)
        assert {str(entry.array.dtype) for entry in found.values()} == {"uint8"}
        assert (found["crop1/er"].voxel_size, found["crop1/er"].translation) == ((4, 4, 4), (10, 20, 0))
        assert found["crop1/er"].array.attrs["shape"] == [3, 4, 8]
    assert said.splitlines()[1] == "crop1/nuc: uint8, 3 x 4 x 8 voxels of 4 x 4 x 4 nm"
    assert said.splitlines()[-1].startswith(f"written: {tmp_path / 'new' / 'mine.zip'}, 3 labels, ")


def test_an_unpacked_submission_is_zarr(predictions, tmp_path):
    pack(f"{predictions}/{{dataset}}.zarr/{{crop}}", tmp_path / "submission.zip")  # {label} is added
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        archive.extractall(tmp_path)
    group = zarr.open_group(tmp_path / "submission.zarr", mode="r")
    assert group.metadata.zarr_format == 2
    assert sorted(group.group_keys()) == ["crop1", "crop2"]
    assert sorted(group["crop1"].array_keys()) == ["er", "nuc"]


@pytest.mark.parametrize(
    ("pattern", "options", "expected"),
    [
        ("{dataset}.zarr/{crop}/{label}", {"labels": "er"}, ["crop1/er", "crop2/er"]),
        ("{dataset}.zarr/{crop}/{label}", {"labels": ["n*", "x"]}, ["crop1/nuc"]),
        ("{dataset}.zarr/{crop}/{label}", {"datasets": "b"}, ["crop2/er"]),
        ("{dataset}.zarr/{crop}/{label}", {"crops": 1}, ["crop1/er", "crop1/nuc"]),
        ("{dataset}.zarr/{crop}/{label}", {"crops": "crop2,crop3"}, ["crop2/er"]),
        ("*.zarr/crop{crop}/{label}", {"crops": [2]}, ["crop2/er"]),
        ("a.zarr/{crop}/{label}/s0", {}, ["crop1/er", "crop1/nuc"]),
    ],
)
def test_what_is_packed(predictions, tmp_path, pattern, options, expected):
    pack(f"{predictions}/{pattern}", tmp_path / "x.zip", **options)
    assert names(tmp_path / "x.zip") == expected


MANIFEST = """crop_name,dataset,class_label,voxel_size,translation,shape
1,a,nuc,[4.0;4.0;2.0],[10.0;20.0;16.0],[3;4;6]
1,a,mito,[4.0;4.0;4.0],[10.0;20.0;0.0],[3;4;8]
2,c,er,[4.0;4.0;4.0],[10.0;20.0;0.0],[3;4;8]
"""


def test_a_manifest_decides_what_and_on_which_grid(predictions, tmp_path):
    (tmp_path / "manifest.csv").write_text(MANIFEST)
    pattern = f"{predictions}/{{dataset}}.zarr/{{crop}}/{{label}}"
    said = pack(pattern, tmp_path / "x.zip", manifest=tmp_path / "manifest.csv")
    with read_submission(tmp_path / "x.zip") as submission:
        (entry,) = submission
        # twice as fine along x; the grid begins 8 of its voxels later, where 0 0 2 2 2 2 are
        np.testing.assert_array_equal(entry.array[...], np.broadcast_to([0, 0, 2, 2, 2, 2], (3, 4, 6)))
        assert (entry.voxel_size, entry.translation) == ((4, 4, 2), (10, 20, 16))
    assert "not in the manifest, left out: 2 labels (crop1/er, crop2/er)" in said
    assert "in the manifest, but not predicted: 2 labels (crop1/mito, crop2/er)" in said
    said = pack(pattern, tmp_path / "y.zip", manifest=tmp_path / "manifest.csv", crops=1, labels="nuc")
    assert "in the manifest" not in said
    with pytest.raises(
        ValueError, match=r"manifest\.csv: asks for none of the 1 predictions, such as crop2/er of dataset b"
    ):
        pack(pattern, tmp_path / "z.zip", manifest=tmp_path / "manifest.csv", crops=2)
    pack(f"{predictions}/*.zarr/{{crop}}/{{label}}", tmp_path / "z.zip", manifest=tmp_path / "manifest.csv", crops=2)
    assert names(tmp_path / "z.zip") == ["crop2/er"]  # the pattern names no dataset, so any will do


def test_files_are_kept_and_failures_leave_nothing(predictions, tmp_path):
    pattern = f"{predictions}/{{dataset}}.zarr/{{crop}}/{{label}}"
    pack(pattern, tmp_path / "x.zip", labels="er")
    before = (tmp_path / "x.zip").read_bytes()
    with pytest.raises(FileExistsError, match=r"x\.zip exists; choose another path, or pass --overwrite"):
        pack(pattern, tmp_path / "x.zip")
    floats = tmp_path / "floats/a.zarr/crop1/nuc"
    write_multiscale(floats, lambda z, y, x: x, (4, 4, 4), (0, 0, 0), (2, 2, 2), 1, dtype="float32")
    with pytest.raises(TypeError, match="nuc is a class of objects, whose ids are whole numbers; it holds float32"):
        pack(f"{tmp_path}/floats/a.zarr/{{crop}}/{{label}}", tmp_path / "x.zip", overwrite=True)
    assert (tmp_path / "x.zip").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["floats", "x.zip"]
    pack(pattern, tmp_path / "x.zip", overwrite=True)
    assert len(names(tmp_path / "x.zip")) == 3


@pytest.mark.parametrize(
    ("pattern", "output", "error", "message"),
    [
        ("{dataset}.zarr/{label}", "x.zip", ValueError, r"predictions: expected a path with \{crop\}"),
        ("{dataset}.zarr/{crop}", "x.zarr", ValueError, r"output: expected a name that ends in \.zip, got .*x\.zarr"),
        ("nowhere/{crop}", "x.zip", FileNotFoundError, r"no predictions fit .*nowhere/\{crop\}/\{label\}"),
        ("{crop}/crop1/{label}", "x.zip", ValueError, "'a.zarr' is no crop's name; expected such as crop557, or 557"),
    ],
)
def test_faults(predictions, tmp_path, pattern, output, error, message):
    with pytest.raises(error, match=message):
        pack(f"{predictions}/{pattern}", tmp_path / output)


def test_two_predictions_of_one_label(tmp_path):
    for dataset in ("a", "b"):
        write_multiscale(
            tmp_path / f"{dataset}.zarr/crop1/er", lambda z, y, x: x > 0, (4, 4, 4), (0, 0, 0), (2, 2, 2), 1
        )
    with pytest.raises(ValueError, match=r"er of crop1 is there twice: .*a\.zarr/crop1/er and .*b\.zarr/crop1/er"):
        pack(f"{tmp_path}/{{dataset}}.zarr/{{crop}}/{{label}}", tmp_path / "x.zip")


def test_from_the_command_line(predictions, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["scripts", "pack", f"{predictions}/{{dataset}}.zarr/{{crop}}/{{label}}", "--crops", "2"]
    )
    main()
    assert "crop2/er: uint8, 3 x 4 x 8 voxels" in capsys.readouterr().out
    assert names(tmp_path / "submission.zip") == ["crop2/er"]


def test_a_dry_run_lists_what_would_be_packed_and_writes_nothing(predictions, tmp_path):
    said = pack(f"{predictions}/{{dataset}}.zarr/{{crop}}/{{label}}", tmp_path / "x.zip", labels="er", dry_run=True)
    assert said.splitlines()[-1].startswith(f"dry run: {tmp_path / 'x.zip'} is not written, ")
    assert all("/er: " in line for line in said.splitlines()[:-1])
    assert list(tmp_path.iterdir()) == []
