"""`evaluate` from stores to files: what it prints, what it writes, and what is wrong with what it was given."""

import csv
import importlib
import json
import math
import sys

import numpy as np
import pytest
from skimage.metrics import adapted_rand_error
from skimage.metrics import variation_of_information as skimage_voi
from tests.cellmap_tree import write_tree
from tests.volumes import servers
from tests.workflows.evaluation_stores import PROBABILITY, blocky, store

from scripts.__main__ import main
from scripts.volumes import open_volume
from scripts.workflows.pack import pack

evaluate = importlib.import_module("scripts.workflows.evaluate").evaluate

FILES = ["report.html", "scores.csv", "scores.json", "summary.csv"]


@pytest.fixture
def write(tmp_path):
    def write_one(name, array, **options):
        return store(tmp_path / f"{name}.zarr", array, **options)

    return write_one


def run(monkeypatch, capsys, *arguments):
    """What the command prints."""
    monkeypatch.setattr(sys, "argv", ["scripts", "evaluate", *map(str, arguments)])
    main()
    return capsys.readouterr().out


def numbers(result, label=None, prediction=None):
    """Numbers of a class over all crops."""
    rows = [row for row in result.classes if label in (None, row.label) and prediction in (None, row.prediction)]
    assert len(rows) == 1
    return rows[0].numbers


def test_the_command_prints_a_table_and_writes_files(write, tmp_path, monkeypatch, capsys):
    truth, good, bad = blocky(1), blocky(1), blocky(2)
    good[:3] = 0
    paths = write("truth", truth), write("good", good), write("bad", bad)
    options = ["--metrics", "voi,f1@0.75", "--output", tmp_path / "out"]
    out = run(monkeypatch, capsys, f"{paths[1]},{paths[2]}", paths[0], *options)
    head, first, second, written = out.splitlines()
    assert head.split() == ["class", "prediction", "crops", "voi", "voi_split", "voi_merge", "f1@0.75", "note"]
    expected = [sum(skimage_voi(truth, each, ignore_labels=(0,))) for each in (good, bad)]
    assert first.split()[:4] == ["truth", "good", "1", f"{expected[0]:.3f}*"]
    assert second.split()[:3] == ["bad", "1", f"{expected[1]:.3f}"]
    assert written == f"written: {tmp_path / 'out/report.html'}, scores.csv, summary.csv, scores.json"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
    content = json.loads((tmp_path / "out/scores.json").read_text())
    assert content["settings"]["metrics"] == ["voi", "f1@0.75"]
    assert [row["numbers"]["voi"] for row in content["classes"]] == pytest.approx(expected)


def boxes(*corners):
    """An object of 3 x 3 x 3 voxels at each corner."""
    array = np.zeros((12, 12, 12), np.uint8)
    for n, (z, y, x) in enumerate(corners, start=1):
        array[z : z + 3, y : y + 3, x : x + 3] = n
    return array


def test_crops_of_the_challenge_are_pooled_as_its_definition_says(tmp_path):
    """Objects: 4 pairs, 1 false and 2 missed ones: F1 8/11. Voxels: 2 right and 1 missed, IoU 2/3.

    Three pairs are the same, the fourth is shifted by one voxel; three entries are at the cap of 6 nm.
    """
    mask, part = np.zeros((12, 12, 12), np.uint8), np.zeros((12, 12, 12), np.uint8)
    mask[0, 0, :3], part[0, 0, :2] = 1, 1
    corners = [(0, 0, 0), (0, 8, 0), (8, 0, 0), (8, 8, 8)]
    for crop, name, true, predicted in (
        ("crop1", "nuc", boxes(*corners), boxes(*corners[1:], (4, 4, 4))),
        ("crop2", "nuc", boxes((2, 2, 2), (8, 8, 8)), boxes((2, 2, 3))),
        ("crop1", "er", mask, part),
    ):
        place = f"jrc.zarr/recon-1/labels/groundtruth/{crop}/{name}"
        store(tmp_path / "truth" / place, true, version="0.4")
        store(tmp_path / "predicted" / crop / name, predicted, version="0.4")
    result = evaluate(str(tmp_path / "predicted"), str(tmp_path / "truth"), metrics="cellmap", output=None)
    found = numbers(result, "nuc")
    assert found["cellmap_f1"] == pytest.approx(8 / 11)
    diagonal = math.sqrt(3)
    hausdorff = (3 + 1.01 ** (-1 / diagonal) + 3 * 1.01 ** (-6 / diagonal)) / 7
    assert found["cellmap"] == pytest.approx(math.sqrt(8 / 11 * hausdorff))
    assert numbers(result, "er")["cellmap"] == pytest.approx(2 / 3)
    assert result.overall == {"predicted": pytest.approx(math.sqrt(found["cellmap"] * 2 / 3))}


def test_a_submission_scores_as_the_stores_that_it_was_packed_from(tmp_path):
    tree = write_tree(tmp_path / "tree")
    labels = str(tree / "{dataset}.zarr/recon-1/labels/groundtruth/{crop}/{label}")
    pack(labels, tmp_path / "all.zip")
    pack(labels, tmp_path / "part.zip", labels="nuc,cell")
    result = evaluate(
        [str(tmp_path / "all.zip"), str(tmp_path / "part.zip")], str(tree), metrics="cellmap,dice,f1", output=None
    )
    assert result.overall == {"all.zip": 1, "part.zip": 0}
    assert numbers(result, "ecs", "part.zip") == {"cellmap": 0, "dice": 0}
    assert numbers(result, "nuc", "part.zip")["f1@0.5"] == 1
    notes = {(row.label, row.prediction): row.note for row in result.crops if row.note}
    assert notes == dict.fromkeys([("ecs", "part.zip"), ("nucleolus", "part.zip")], "missing, scored as empty")


def test_crops_are_cut_out_of_the_prediction_of_a_whole_dataset(tmp_path):
    whole = blocky(5, (24, 24, 24))
    store(tmp_path / "p/jrc.zarr/er", whole, spacing=(4, 4, 4), translation=(100, 0, 0))
    for crop, (z, y, x) in {"crop1": (0, 2, 3), "crop2": (11, 12, 13)}.items():
        part = whole[z : z + 9, y : y + 8, x : x + 7]
        place = tmp_path / f"t/jrc.zarr/recon-1/labels/groundtruth/{crop}/er"
        store(place, part, spacing=(4, 4, 4), translation=(100 + 4 * z, 4 * y, 4 * x), version="0.4")
    result = evaluate(str(tmp_path / "p"), str(tmp_path / "t"), metrics="voi,dice", kind="instance", output=None)
    assert [(row.crop, row.numbers["voi"], row.numbers["dice"]) for row in result.crops] == [
        ("crop1", 0, 1), ("crop2", 0, 1),
    ]  # fmt: skip
    challenge = evaluate(str(tmp_path / "p"), str(tmp_path / "t"), metrics="cellmap", output=None)
    assert numbers(challenge)["cellmap"] == 1


def test_named_classes_are_scored_by_their_numbers(write):
    truth, prediction = np.array([[1, 1, 2, 3]] * 2, np.uint8).reshape(2, 1, 1, 4)
    prediction[..., 1] = 3
    result = evaluate(write("p", prediction), write("t", truth), classes={1: "liver", 2: "spleen"}, output=None)
    assert {row.label: row.numbers["iou"] for row in result.classes} == {"liver": 0.5, "spleen": 1, "t": 0.75}
    with pytest.raises(ValueError, match=r"numbers with names, \{1: 'a'\}, are for kind classes; got kind instance"):
        evaluate("p", "t", classes={1: "a"}, kind="instance", output=None)


def test_a_list_of_cases_is_a_truth_and_predictions_in_one(write, tmp_path, monkeypatch, capsys):
    write("t", boxes((0, 0, 0)))
    write("p", boxes((0, 0, 1)))
    entry = {"truth": "t.zarr", "prediction": {"mine": "p.zarr"}, "class": "box", "kind": "semantic"}
    (tmp_path / "cases.json").write_text(json.dumps([entry]))
    out = run(monkeypatch, capsys, tmp_path / "cases.json", "--metrics=dice,iou", "--output", tmp_path / "out")
    assert out.splitlines()[1].split() == ["box", "1", "0.667", "0.500"]


def test_metrics_follow_from_the_kind_where_none_are_named(write):
    array = boxes((0, 0, 0))
    assert set(numbers(evaluate(write("p", array), write("t", array), kind="semantic", output=None))) == {"dice", "iou"}
    floats = array.astype(np.float32)
    assert set(numbers(evaluate(write("pf", floats), write("tf", floats), output=None))) == {"mae", "r2"}


def test_empty_everywhere_is_perfect_and_has_no_surface(write):
    empty = np.zeros((4, 4, 4), np.uint8)
    paths = write("p", empty), write("nuc", empty)
    found = numbers(evaluate(*paths, metrics="dice,iou,voi,rand,f1,pq,ap,cellmap,assd", output=None))
    assert math.isnan(found.pop("assd"))
    errors = {"voi", "voi_split", "voi_merge", "rand_error"}
    assert {name: value for name, value in found.items() if value != (0 if name in errors else 1)} == {}


def test_anisotropic_voxels_count_in_physical_length(write):
    """A slab moved by one voxel of 40 nm along z."""
    truth, prediction = np.zeros((2, 6, 8, 8), np.uint8)
    truth[2:], prediction[3:] = 1, 1
    spacing = {"spacing": (40, 4, 4)}
    result = evaluate(
        write("p", prediction, **spacing),
        write("t", truth, **spacing),
        metrics="assd,hausdorff95,surface_dice@39,surface_dice@40",
        output=None,
    )
    assert list(numbers(result).values()) == [40, 40, 0, 1]


def test_the_spacing_of_a_store_that_states_none_is_given(tmp_path):
    truth, prediction = np.zeros((2, 6, 8, 8), np.uint8)
    truth[2:], prediction[3:] = 1, 1
    for name, array in (("t", truth), ("p", prediction)):
        np.save(tmp_path / f"{name}.npy", array)
    paths = str(tmp_path / "p.npy"), str(tmp_path / "t.npy")
    assert numbers(evaluate(*paths, metrics="assd", output=None))["assd"] == 1
    assert numbers(evaluate(*paths, metrics="assd", spacing=(30, 4, 4), output=None))["assd"] == 30


def test_an_evaluation_is_not_replaced_unasked(write, tmp_path):
    path = write("t", boxes((0, 0, 0)))
    options = {"metrics": "dice", "output": tmp_path / "out"}
    evaluate(path, path, **options)
    with pytest.raises(FileExistsError, match=r"out holds an evaluation; choose another output, or pass --overwrite"):
        evaluate(path, path, **options)
    evaluate(path, path, **options, overwrite=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": "dise"}, r"unknown metric 'dise' \(did you mean 'dice'"),
        ({"metrics": "voi,mae", "kind": "semantic"}, r"'voi' needs kind instance, but .* semantic; .*\n.*'mae' needs"),
        ({"metrics": "ece"}, r"metric 'ece' needs probabilities, but the predictions hold whole numbers"),
        ({"metrics": "dice", "threshold": 127}, r"threshold: expected a probability between 0 and 1, got 127"),
        ({"metrics": "dice", "threads": 0}, r"threads and n_workers: expected at least 1, got 0 and None"),
        ({"metrics": "dice", "n_workers": 0}, r"threads and n_workers: expected at least 1, got 2 and 0"),
        ({"metrics": "assd", "memory_limit": 1e5}, r"assd need a whole crop .* \[12, 12, 12\] voxels, about 110,592"),
        ({"metrics": "dice", "classes": "nuc"}, r"t.zarr has no class 'nuc'; classes there: t"),
        ({}, r"t.zarr: nothing says whether its values are ids of objects or a mask"),
    ],
)
def test_what_cannot_be_measured_is_said_before_anything_is_read(write, options, message):
    truth, prediction = write("t", boxes((0, 0, 0))), write("p", boxes((0, 0, 0)))
    with pytest.raises(ValueError, match=message):
        evaluate(prediction, truth, output=None, **options)
    assert open_volume(truth).decoded_bytes == 0


def test_the_command_line_ends_with_one_line(write, monkeypatch, capsys):
    truth, far = write("t", boxes((0, 0, 0))), write("far", boxes((0, 0, 0)), translation=(0, 0, 1000))
    with pytest.raises(SystemExit, match=r"error: .*far.zarr lies at .*wholly outside of the grid"):
        run(monkeypatch, capsys, far, truth, "--metrics", "dice", "--output", "None")


def test_probabilities_are_scored_at_a_threshold_and_calibrated(write):
    values = np.array([51, 102, 204, 255], np.uint8).reshape(1, 1, 4)
    prediction = write("p", values, encoding=PROBABILITY)
    truth = write("t", np.array([0, 1, 1, 1], np.uint8).reshape(1, 1, 4))
    assert numbers(evaluate(prediction, truth, metrics="dice", output=None))["dice"] == pytest.approx(2 * 2 / (2 + 3))
    assert numbers(evaluate(prediction, truth, metrics="dice", threshold=0.3, output=None))["dice"] == 1
    # confidence 0.8 right, 0.6 wrong, 0.8 right, 1 right
    error = numbers(evaluate(prediction, truth, metrics="ece", output=None))["ece"]
    assert error == pytest.approx((2 * 0.2 + 0.6 + 0) / 4)


def test_truth_and_prediction_in_a_bucket(tmp_path, monkeypatch):
    tree = write_tree(tmp_path / "tree")
    for name, value in servers.ACCESS.items():
        monkeypatch.setenv(name, value)
    with servers.s3_server() as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        client = servers.client(address)
        client.create_bucket(Bucket="cells", ACL="public-read")
        for path in (tree / "jrc_fine.zarr/recon-1/labels").rglob("*"):
            if path.is_file():
                key = str(path.relative_to(tree))
                client.put_object(Bucket="cells", Key=key, Body=path.read_bytes())
        pattern = "{dataset}.zarr/recon-1/labels/groundtruth/{crop}/nuc"
        paths = [str(tree), f"s3://cells/{pattern}", f"{tree}/{pattern}"]
        result = evaluate(paths, "s3://cells", metrics="dice", names="a,b,c", output=None)
    assert [row.numbers["dice"] for row in result.classes if row.label == "nuc"] == [1, 1, 1]
    whole, there, here = (row.numbers["dice"] for row in result.classes if row.label == "ecs")
    assert whole == 1
    assert there == here < 1


@pytest.mark.real_data
def test_a_watershed_of_neurons_scores_as_scikit_image_says(real_data, tmp_path):
    """A quarter of the volume, with ids that need 64 bits and chunks that differ."""
    from scipy.ndimage import gaussian_filter, label
    from skimage.segmentation import watershed

    raw = open_volume(real_data / "em_fibsem/medulla250_raw.tif").read((0, 0, 0), (64, 250, 250))[0]
    bodies = open_volume(real_data / "em_fibsem/medulla250_bodies.tif").read((0, 0, 0), (64, 250, 250))[0]
    smooth = gaussian_filter(raw.astype(np.float32), 2)
    segments = watershed(-smooth, label(smooth > 150)[0])
    truth = store(
        tmp_path / "t.zarr", bodies.astype(np.uint64) + np.uint64(2**40), spacing=(10, 10, 10), chunks=(32, 64, 64)
    )
    prediction = store(tmp_path / "p.zarr", segments.astype(np.uint32), spacing=(10, 10, 10), chunks=(64, 64, 64))
    found = numbers(evaluate(prediction, truth, metrics="voi,rand,f1", output=tmp_path / "out"))
    split, merge = skimage_voi(bodies + 1, segments)
    assert (found["voi_split"], found["voi_merge"]) == pytest.approx((split, merge), rel=1e-9)
    assert found["rand_error"] == pytest.approx(adapted_rand_error(bodies + 1, segments)[0], rel=1e-9)
    with (tmp_path / "out/scores.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert int(row["voxels"]) == bodies.size


def test_a_dry_run_says_what_would_be_compared_and_writes_nothing(write, tmp_path):
    path = write("t", boxes((0, 0, 0)))
    said = evaluate(path, path, metrics="dice,voi", output=tmp_path / "out", dry_run=True)
    assert "metrics dice, voi" in said
    assert said.endswith(f"dry run: {tmp_path / 'out'} is not written")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="metric"):
        evaluate(path, path, metrics="dicee", output=tmp_path / "out", dry_run=True)
