"""Submissions are read as they were written, and refused by the name of what is wrong."""

import numpy as np
import pytest
from tests.workflows.submission_files import GRID, label, write_zip, zarray

from scripts.workflows.submissions.submission import read_submission


@pytest.mark.parametrize("root", ["", "submission.zarr/", "a/b.zarr/"])
def test_labels_are_read_without_unpacking(tmp_path, root):
    ids = np.arange(24, dtype=np.uint16).reshape(2, 3, 4) * 1000
    path = write_zip(
        tmp_path / "x.zip",
        {f"{root}.zgroup": '{"zarr_format": 2}'},
        label(f"{root}crop10/mito", ids, {"resolution": [1.74, 2, 2], "offset": [0, 0, 0]}),
        label(f"{root}crop10/er"),
        label(f"{root}9/nuc", attributes=GRID | {"shape": [2, 3, 4]}),
    )
    with read_submission(path) as submission:
        assert len(submission) == 3
        found = {(entry.crop, entry.label): entry for entry in submission}
        assert list(found) == [("crop10", "er"), ("crop10", "mito"), ("crop9", "nuc")]
        mito = found["crop10", "mito"]
        np.testing.assert_array_equal(mito.array[...], ids)
        np.testing.assert_array_equal(mito.array[1, :, 2], ids[1, :, 2])
        assert mito.array.dtype == np.uint16
        assert (mito.voxel_size, mito.translation) == ((1.74, 2, 2), (0, 0, 0))
        assert (found["crop9", "nuc"].voxel_size, found["crop9", "nuc"].translation) == ((4, 4, 4), (10, 20, 30))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("entries", "options", "message"),
    [
        ([{"readme.txt": "hello"}], {}, "holds no labels; expected arrays such as submission.zarr/crop1/nuc"),
        ([label(), {"../evil": "x"}], {}, r"the entry '\.\./evil' leads out of the archive"),
        ([label("nuc")], {}, r"the entry 'nuc/\.zarray' is no label of a crop; expected <crop>/<class>/"),
        ([label("test/nuc")], {}, r"the entry 'test/nuc/\.zarray' is no label of a crop"),
        ([label("crop1/nuc/s0")], {}, r"the entry 'crop1/nuc/s0/\.zarray' is no label of a crop"),
        ([label("a/crop1/nuc"), label("b/crop1/er")], {}, r"'b/crop1/er/\.zarray' lies in another folder .* 'a, b'"),
        ([label("crop1/nuc"), label("1/nuc")], {}, r"the entry '1/nuc/\.zarray' is a second nuc of crop1"),
        ([label("crop1/nucc")], {"classes": ["nuc", "er"]}, r"'crop1/nucc/\.zarray' is of no known class .*'nuc'\?\)"),
        ([label(attributes=None)], {}, r"the entry 'crop1/nuc/\.zarray': the attributes state no voxel size"),
        ([label(attributes={"voxel_size": [1, 1, 1]})], {}, r"nuc/\.zarray': the attributes state no translation"),
        ([label(attributes=GRID | {"shape": [2, 3, 5]})], {}, r"has shape \[2, 3, 4\], but .* state \[2, 3, 5\]"),
        ([label(attributes=GRID | {"shape": 24})], {}, r"has shape \[2, 3, 4\], but its attributes state 24"),
        ([label(values=np.zeros((2, 2, 2), np.float32))], {}, r"'crop1/nuc/\.zarray': expected whole numbers"),
        ([label(filters=[{"id": "pickle"}])], {}, r"'crop1/nuc/\.zarray': expected no filters"),
        ([{"crop1/nuc/zarr.json": "{}"}], {}, r"the entry 'crop1/nuc/zarr\.json' is of zarr v3; expected zarr v2"),
        ([{"crop1/nuc/.zarray": "{"}], {}, r"the entry 'crop1/nuc/\.zarray' is no JSON"),
        ([label()], {"max_entry_bytes": 150}, r"the entry 'crop1/nuc/\.zarray' unpacks to \d+ bytes; allowed are 150"),
        ([label()], {"max_total_bytes": 200}, "unpack to more than 200 bytes"),
        ([label()], {"max_array_bytes": 23}, r"the array of \[2, 3, 4\] has 24 bytes; allowed are 23"),
        ([{"crop1/nuc/.zarray": zarray((9, 9, 9))}], {"max_entry_bytes": 700}, r"a chunk of \[9, 9, 9\] has 729 bytes"),
    ],
)  # fmt: skip
def test_faults(tmp_path, entries, options, message):
    with pytest.raises(ValueError, match=message):
        read_submission(write_zip(tmp_path / "x.zip", *entries), **options)


def test_what_is_no_zip(tmp_path):
    (tmp_path / "x.zip").write_text("hello")
    with pytest.raises(ValueError, match=r"x\.zip: expected a zip file"):
        read_submission(tmp_path / "x.zip")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.zip"):
        read_submission(tmp_path / "nowhere.zip")
