"""`points`: nested files of annotated points from a label, every option of it."""

import importlib
import sys
from collections import Counter

import numpy as np
import pytest
import zarr

from scripts.__main__ import main
from scripts.patches import draw_points, point_patches
from scripts.volumes import read_points

points = importlib.import_module("scripts.workflows.points").points

SHAPE = (16, 18, 20)


def store(path, array):
    stored = zarr.create_array(str(path), shape=array.shape, chunks=(8, 8, 8), dtype=array.dtype)
    stored[...] = array
    return str(path)


@pytest.fixture
def folder(tmp_path):
    """Two cells and, as classes, two organs."""
    cells = np.zeros(SHAPE, np.uint16)
    cells[2:8, 2:8, 2:8], cells[9:14, 9:16, 9:18] = 5, 9
    store(tmp_path / "cells.zarr", cells)
    store(tmp_path / "organs.zarr", (cells > 0) * np.uint8(2) - (cells == 5))
    store(tmp_path / "mask.zarr", (np.arange(20) < 12).astype(np.uint8) * np.ones(SHAPE, np.uint8))
    return tmp_path


def test_files_of_several_sizes_are_nested(folder):
    said = points(folder / "cells.zarr", k=[64, 8, 16], output=folder / "new" / "points.csv", seed=2)
    files = {k: folder / "new" / f"points_{k}.csv" for k in (8, 16, 64)}
    drawn = {k: read_points(path, SHAPE) for k, path in files.items()}
    assert drawn[64] == draw_points(folder / "cells.zarr", 64, seed=2)
    assert drawn[8] == drawn[64][:8]
    assert drawn[16] == drawn[64][:16]
    assert said.splitlines() == [
        f"{folder / 'cells.zarr'}: points drawn everywhere, seed 2",
        "points  class  of it  instances  file",
        *(f"{k:6d}  {label:5d}  {k // 2:5d}  {2 * label:9d}  {files[k]}" for k in (8, 16, 64) for label in (0, 1)),
    ]


def drawn_with(folder, name="cells", **options):
    points(folder / f"{name}.zarr", k=12, output=folder / "drawn.csv", overwrite=True, **options)
    return read_points(folder / "drawn.csv")


def labels(found):
    return Counter((point.label, point.instance) for point in found)


def test_options_that_say_what_is_drawn(folder):
    assert labels(drawn_with(folder)) == {(0, 0): 6, (1, 5): 3, (1, 9): 3}
    assert labels(drawn_with(folder, background=False)) == {(1, 5): 6, (1, 9): 6}
    assert labels(drawn_with(folder, "organs", channels=3)) == {(0, 0): 4, (1, 0): 4, (2, 0): 4}
    assert labels(drawn_with(folder, "organs", channels=3, classes=2)) == {(0, 0): 6, (2, 0): 6}
    found = labels(drawn_with(folder, "organs", channels=3, instances=folder / "cells.zarr"))
    assert found == {(0, 0): 4, (1, 5): 4, (2, 9): 4}
    assert labels(drawn_with(folder, ignore_label=5)) == {(0, 0): 6, (1, 9): 6}
    assert max(point.x for point in drawn_with(folder)) >= 12
    assert max(point.x for point in drawn_with(folder, mask=folder / "mask.zarr")) < 12
    assert drawn_with(folder, seed=1) != drawn_with(folder)


@pytest.mark.parametrize("several", [False, True])
def test_boxes_say_where(folder, several):
    box = [[0, 0, 0], [8, 18, 20]]
    within = drawn_with(folder, region=[box, [[0, 0, 0], [2, 2, 2]]] if several else box)
    assert labels(within) == {(0, 0): 6, (1, 5): 6}
    assert labels(drawn_with(folder, exclude=[box] if several else box)) == {(0, 0): 6, (1, 9): 6}
    assert "within the boxes given" in points(folder / "cells.zarr", k=2, region=box, output=folder / "box.csv")


def test_files_are_kept(folder):
    points(folder / "cells.zarr", k=8, output=folder / "points_8.csv")
    kept = (folder / "points_8.csv").read_text()
    with pytest.raises(FileExistsError, match=r"points_8\.csv exists; choose another output, or pass --overwrite"):
        points(folder / "cells.zarr", k=[4, 8], output=folder / "points.csv", seed=1)
    assert not (folder / "points_4.csv").exists()
    points(folder / "cells.zarr", k=[4, 8], output=folder / "points.csv", seed=1, overwrite=True)
    assert (folder / "points_8.csv").read_text() != kept


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k must be whole numbers above 0, such as 16,64; got 0"),
        ({"k": [4, 2.5]}, r"k must be whole numbers .*; got \[4, 2\.5\]"),
        ({"k": "many"}, "k must be whole numbers .*; got 'many'"),
        ({"classes": "cell"}, "classes must be whole numbers .*; got 'cell'"),
        ({"output": "points.txt"}, r"expected a name that ends in \.csv, got points\.txt"),
        ({"region": 5}, r"region must be a box \[\[z0,y0,x0\],\[z1,y1,x1\]\] in voxels, or a list of boxes; got 5"),
        ({"exclude": []}, r"exclude must be a box .*; got \[\]"),
        ({"region": [[0, 0], [5, 5]]}, r"region must be two corners of whole numbers"),
        ({"region": [[0, 0, 0], [2, 2, 2]]}, "class 1: 0, class 0: 8"),
        ({"k": 5000}, r"k = 5000 points need 2500 of each class, .*: class 1: 531, class 0: "),
    ],
)
def test_faults(folder, options, message):
    with pytest.raises(ValueError, match=message):
        points(folder / "cells.zarr", **{"output": folder / "points.csv", **options})
    assert not list(folder.glob("*.csv"))


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["scripts", "points", *map(str, arguments)])
    main()


def test_from_the_command_line_to_patches(folder, monkeypatch, capsys):
    region = ["--region", "[[0,0,0],[16,18,16]]", "--exclude", "[[[0,0,0],[3,18,20]],[[15,0,0],[16,1,1]]]"]
    monkeypatch.chdir(folder)
    run(monkeypatch, folder / "cells.zarr", "--k", "4,16", "--nobackground", *region)
    assert capsys.readouterr().out.splitlines()[2] == "     4      1      4          2  points_4.csv"
    found = read_points(folder / "points_16.csv", (16, 18, 16))
    assert min(point.z for point in found) >= 3
    rows = [{"image": str(folder / "cells.zarr"), "points": str(folder / "points_16.csv")}]
    assert len(point_patches(rows, [1, 1, 1])) == 16
    with pytest.raises(SystemExit, match=r"error: points_4\.csv exists"):
        run(monkeypatch, folder / "cells.zarr", "--k", "4,16")


def test_a_dry_run_draws_and_writes_nothing(folder):
    before = sorted(folder.iterdir())
    said = points(folder / "cells.zarr", k=[4, 8], output=folder / "points.csv", dry_run=True)
    assert sorted(folder.iterdir()) == before
    wet = points(folder / "cells.zarr", k=[4, 8], output=folder / "points.csv")
    assert said == f"{wet}\ndry run: nothing is written"
