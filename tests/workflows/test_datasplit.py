"""`datasplit`: from a tree of stores to a CSV file that trains, every option of it."""

import csv
import importlib
import sys

import numpy as np
import pytest
from tests.cellmap_tree import FINE, is_inside, raw_value, write_tree
from tests.volumes import servers

from scripts.__main__ import main
from scripts.patches import cellmap_volumes, crop_patches, make_datalist, read_datasplit
from scripts.patches.cellmap_crops import S3_SEARCH_PATH
from scripts.transforms import LoadZarrPatchd

datasplit = importlib.import_module("scripts.workflows.datasplit").datasplit


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp("tree"))


def lines(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def chosen(path):
    """What the file says: {crop: (part, classes)}."""
    found = {}
    for usage, _, _, _, group in lines(path):
        crop, _, classes = group.rpartition("/")
        found[crop.rpartition("/")[2]] = (usage, classes.strip("[]").split(","))
    return found


def test_the_file_has_the_form_of_the_toolbox(tree, tmp_path):
    said = datasplit(["nuc", "cell"], search_path=str(tree), csv_path=tmp_path / "split.csv", validation_prob=0.01)
    found = lines(tmp_path / "split.csv")
    assert sorted(row[0] for row in found) == ["train", "train", "validate"]
    store = str(tree / "jrc_fine.zarr")
    assert [row[1:] for row in found if row[4].endswith("crop1/[nuc,cell]")] == [
        [store, "recon-1/em/fibsem-uint8", store, "recon-1/labels/groundtruth/crop1/[nuc,cell]"]
    ]
    assert said.splitlines()[0] == "3 crops of 2 datasets: 2 train, 1 validate"
    table = {line.split()[0]: line.split()[1:] for line in said.splitlines()[1:-1]}
    assert table["class"] == ["train", "validate"]
    assert sum(map(int, table["nuc"])) == 2
    assert sum(map(int, table["cell"])) == 2
    assert said.splitlines()[-1] == f"written: {tmp_path / 'split.csv'}"


EVERY = {"crop1": ["nuc", "cell"], "crop2": ["nuc"], "crop10": ["cell"]}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, EVERY),
        ({"classes": "ecs"}, {"crop2": ["ecs"]}),
        ({"classes": "nuc,ecs"}, {"crop1": ["nuc"], "crop2": ["nuc", "ecs"]}),
        ({"datasets": "jrc_coarse", "classes": "cell"}, {"crop10": ["cell"]}),
        ({"crops": 1}, {"crop1": ["nuc", "cell"]}),
        ({"crops": [2, "crop10"]}, {"crop2": ["nuc"], "crop10": ["cell"]}),
        ({"force_all_classes": True}, {"crop1": ["nuc", "cell"]}),
        ({"filter_by_scale": 8}, {"crop1": ["nuc", "cell"], "crop2": ["nuc"]}),
        ({"filter_by_scale": True, "spacing": [4, 4, 4]}, {"crop1": ["nuc", "cell"]}),
        ({"filter_by_scale": [8, 4, 4]}, {"crop1": ["nuc", "cell"]}),
    ],
)
def test_options_that_choose_crops(tree, tmp_path, options, expected):
    datasplit(**{"classes": ("nuc", "cell"), "search_path": str(tree), "csv_path": tmp_path / "split.csv", **options})
    assert {crop: classes for crop, (_, classes) in chosen(tmp_path / "split.csv").items()} == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"validation_prob": 0}, {"crop1": "train", "crop2": "train", "crop10": "train"}),
        ({"validation_prob": 1}, {"crop1": "validate", "crop2": "validate", "crop10": "validate"}),
        ({"force_all_classes": "validate"}, {"crop1": "validate", "crop2": "train", "crop10": "train"}),
        ({"force_all_classes": "train"}, {"crop1": "train", "crop2": "validate", "crop10": "validate"}),
    ],
)
def test_options_that_divide_them(tree, tmp_path, options, expected):
    datasplit(["nuc", "cell"], search_path=str(tree), csv_path=tmp_path / "split.csv", **options)
    assert {crop: usage for crop, (usage, _) in chosen(tmp_path / "split.csv").items()} == expected


def test_the_seed_chooses(tree, tmp_path):
    found = set()
    for seed in range(12):
        datasplit(["nuc", "cell"], search_path=str(tree), csv_path=tmp_path / "split.csv", seed=seed, overwrite=True)
        found.add(str(chosen(tmp_path / "split.csv")))
    assert len(found) >= 3


def test_names_of_image_and_labels(tmp_path):
    store = write_tree(tmp_path / "data", [FINE]) / "jrc_fine.zarr/recon-1"
    (store / "em/fibsem-uint8").rename(store / "em/other")
    (store / "labels/groundtruth").rename(store / "truth")
    options = {"raw_name": "em/other", "crop_name": "truth/{crop}/{label}"}
    datasplit("nuc", search_path=str(tmp_path / "data"), csv_path=tmp_path / "split.csv", **options)
    assert {row[2] for row in lines(tmp_path / "split.csv")} == {"recon-1/em/other"}
    assert {row[4] for row in lines(tmp_path / "split.csv")} == {f"recon-1/truth/crop{n}/[nuc]" for n in (1, 2)}


def test_a_dry_run_writes_nothing_and_files_are_kept(tree, tmp_path):
    path = tmp_path / "new" / "split.csv"
    said = datasplit("nuc", search_path=str(tree), csv_path=path, dry_run=True)
    assert "2 crops of 1 datasets: 1 train, 1 validate" in said
    assert f"dry run: {path} is not written" in said
    assert not path.parent.exists()
    datasplit("nuc", search_path=str(tree), csv_path=path)
    with pytest.raises(FileExistsError, match=r"split\.csv exists; choose another csv_path, or pass --overwrite"):
        datasplit("cell", search_path=str(tree), csv_path=path)
    assert "[nuc]" in path.read_text()
    datasplit("cell", search_path=str(tree), csv_path=path, overwrite=True)
    assert "[nuc]" not in path.read_text()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"classes": "nucl"}, ValueError, r"no crop has the class 'nucl' \(did you mean 'nuc'\?\)"),
        ({"classes": "nuc", "datasets": "hela"}, FileNotFoundError, "found no crops of datasets hela"),
        ({"classes": "nuc", "use_s3": True}, ValueError, "use_s3 looks in the challenge's bucket, but search_path = "),
        ({"classes": "nuc", "filter_by_scale": True}, ValueError, "filter_by_scale = true needs the spacing"),
        ({"classes": "nuc", "filter_by_scale": 1}, ValueError, r"no label is as fine as filter_by_scale = \[1.0"),
    ],
)
def test_faults(tree, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        datasplit(search_path=str(tree), csv_path=tmp_path / "split.csv", **options)


def test_the_file_trains(tree, tmp_path):
    """Read at 4 nm, patches have the values of their place, and are unknown where a class is not annotated."""
    datasplit(["nuc", "ecs", "cell"], search_path=str(tree), csv_path=tmp_path / "split.csv", crops=[1, 2])
    targets = {name: {"channels": 1} for name in ("nuc", "ecs", "cell")}
    rows = read_datasplit(tmp_path / "split.csv", targets, spacing=(4, 4, 4))
    load = LoadZarrPatchd(["image", *targets], targets)
    for datum in make_datalist(rows, crop_patches(rows, (8, 8, 8), stride=16), targets):
        sample = load(datum)
        index = np.stack(np.meshgrid(*map(np.arange, (8, 8, 8)), indexing="ij"))
        affine = sample["image"].affine.numpy()
        where = [affine[axis, axis] * index[axis] + affine[axis, 3] for axis in range(3)]
        np.testing.assert_allclose(sample["image"][0].numpy(), raw_value(*where), atol=0.51)
        annotated = {"nuc", "cell"} if "crop1" in rows[datum["volume"]]["nuc"] else {"nuc", "ecs"}
        for name in targets:
            found = sample[name][0].numpy()
            if name not in annotated:
                assert (found == -1).all()
            elif "cell" in annotated:  # crop1 is stored at 4 nm, on this grid
                np.testing.assert_array_equal(found, is_inside(name, *where))


def test_the_challenge_bucket_needs_no_file(tree, tmp_path, monkeypatch):
    for name, value in servers.ACCESS.items():
        monkeypatch.setenv(name, value)
    with servers.s3_server() as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        client = servers.client(address)
        client.create_bucket(Bucket="janelia-cosem-datasets", ACL="public-read")
        for path in (tree / "jrc_fine.zarr").rglob("*"):
            if path.is_file():
                key = f"jrc_fine/jrc_fine.zarr/{path.relative_to(tree / 'jrc_fine.zarr')}"
                client.put_object(Bucket="janelia-cosem-datasets", Key=key, Body=path.read_bytes())
        datasplit(["nuc", "cell"], use_s3=True, csv_path=tmp_path / "split.csv", crops=1)
        store = "s3://janelia-cosem-datasets/jrc_fine/jrc_fine.zarr"
        expected = ["train", store, "recon-1/em/fibsem-uint8", store, "recon-1/labels/groundtruth/crop1/[nuc,cell]"]
        assert lines(tmp_path / "split.csv") == [expected]
        targets = {"nuc": {"channels": 1}, "cell": {"channels": 1}}
        streamed = cellmap_volumes(["nuc", "cell"], S3_SEARCH_PATH, spacing=(8, 8, 8), crops=[1])
        assert streamed == read_datasplit(tmp_path / "split.csv", targets, spacing=(8, 8, 8))
        local = cellmap_volumes(["nuc", "cell"], str(tree), spacing=(8, 8, 8), crops=[1])
        samples = [
            LoadZarrPatchd(["image", "nuc"], targets)(make_datalist(rows, crop_patches(rows, (8, 8, 8)), targets)[3])
            for rows in (streamed, local)
        ]
        for key in ("image", "nuc"):
            np.testing.assert_array_equal(samples[0][key].numpy(), samples[1][key].numpy())


def test_from_the_command_line(tree, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["--classes", "nuc,cell", "--search_path", str(tree), "--crops", "1,2", "--filter_by_scale", "[4,4,4]"]
    monkeypatch.setattr(sys, "argv", ["scripts", "datasplit", *command, "--validation_prob", "0"])
    main()
    assert capsys.readouterr().out.splitlines()[0] == "1 crops of 1 datasets: 1 train, 0 validate"
    assert chosen(tmp_path / "datasplit.csv") == {"crop1": ("train", ["nuc", "cell"])}
    with pytest.raises(SystemExit, match=r"error: datasplit\.csv exists; choose another csv_path"):
        main()
