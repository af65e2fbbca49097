"""Runs of block drivers: filters, outputs, what they touch, stops, several processes, faults."""

import csv
import json
import math

import numpy as np
import pytest
from skimage import measure
from tests.segmentation.block_runs import SPACING, cells, read, run, same_partition, smooth_noise, snapshot, store

from scripts.blockwise import DaskWorkers
from scripts.segmentation import (
    Agglomerated,
    Components,
    Watershed,
)
from scripts.segmentation.object_job import ObjectJob
from scripts.volumes import open_volume


@pytest.mark.long
def test_filters_and_the_table_speak_of_whole_objects(tmp_path):
    mask = smooth_noise((24, 24, 24), 5) > 0.68
    labels = measure.label(mask, connectivity=1)
    properties = measure.regionprops(labels)
    path = store(tmp_path / "in.zarr", mask.astype(np.uint8))
    arguments = {"inputs": {"m": path}, "segmenter": Components("m", above=0)}
    inner = [p for p in properties if min(p.bbox[:3]) > 0 and max(p.bbox[3:]) < 24]
    cases = {
        "min": ({"min_size": 20}, [p for p in properties if p.area >= 20]),
        "max": ({"max_size": 20}, [p for p in properties if p.area <= 20]),
        "physical": ({"min_size": 20.0, "physical_sizes": True}, [p for p in properties if p.area >= 20]),
        "largest": ({"largest": 2}, sorted(properties, key=lambda p: -p.area)[:2]),
        "border": ({"drop_border": True}, inner),
    }
    counts = set()
    for name, (options, expected) in cases.items():
        (output,) = run(tmp_path / name, **arguments, **options).values()
        wanted = np.isin(labels, [p.label for p in expected])
        assert same_partition(read(output), np.where(wanted, labels, 0)), name
        counts.add(len(expected))
        rows = list(csv.DictReader((tmp_path / f"{name}_objects.csv").read_text().splitlines()))
        found = sorted((int(r["voxels"]), *(int(r[f"{axis}_start"]) for axis in "zyx")) for r in rows)
        assert found == sorted((int(p.area), *p.bbox[:3]) for p in expected), name
        assert [int(r["id"]) for r in rows] == list(range(1, len(expected) + 1))
    assert len(counts) >= 4, counts  # they are different questions


@pytest.mark.parametrize(("n", "dtype"), [(255, "uint8"), (256, "uint16"), (300, "uint16")])
def test_the_output_has_the_smallest_type_and_never_wraps(tmp_path, n, dtype):
    mask = np.zeros((8, 20, 20), np.uint8)
    places = np.argwhere(np.ones((4, 10, 10)))[:n] * 2
    mask[tuple(places.T)] = 1
    path = store(tmp_path / "in.zarr", mask)
    (output,) = run(tmp_path / "out", {"m": path}, Components("m", above=0)).values()
    assert open_volume(output).dtype == dtype
    assert len(np.unique(read(output))) == n + 1


@pytest.mark.long
def test_geometry_pyramid_and_report(tmp_path):
    path = store(tmp_path / "in.zarr", smooth_noise((40, 40, 40), 1))
    paths = run(tmp_path / "out", {"p": path}, Components("p", above=0.6), levels=2, ome_version="0.4")
    volume, report = open_volume(paths["objects"]), json.loads((tmp_path / "out.json").read_text())
    assert (volume.spacing, volume.translation, volume.unit) == (SPACING, (5, 6, 7), "um")
    assert open_volume(paths["objects"], level=1).spatial_shape == (40, 40, 20)  # x is finest
    assert report["outputs"] == paths
    assert report["objects"] == {"objects": int(read(paths["objects"]).max())}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.zarr", "out.json", "out.zarr", "out_objects.csv"]


def test_blocks_of_which_nothing_is_stored_are_never_touched(tmp_path, monkeypatch):
    mask = np.zeros((64, 16, 16), np.uint8)
    mask[35:37, 3:5, 3:5] = 1
    path = store(tmp_path / "in.zarr", mask)
    seen, label = [], ObjectJob.label
    monkeypatch.setattr(ObjectJob, "label", lambda job, block: seen.append(block) or label(job, block))
    run(tmp_path / "out", {"m": path}, Components("m", above=0))
    assert seen == [(4, 0, 0)]


def test_nothing_at_all_is_an_empty_segmentation(tmp_path):
    path = store(tmp_path / "in.zarr", np.zeros((9, 9, 9), np.uint8))
    (output,) = run(tmp_path / "out", {"m": path}, Components("m", above=0)).values()
    assert read(output).max() == 0
    assert (tmp_path / "out_objects.csv").read_text().count("\n") == 1


@pytest.mark.parametrize("stop", [("label", 3), ("link", 5), ("write", 2)])
def test_a_run_that_stopped_goes_on_and_repeats_nothing(tmp_path, monkeypatch, stop):
    path = store(tmp_path / "p.zarr", smooth_noise((24, 24, 24), 2))
    arguments = {"inputs": {"p": path}, "segmenter": Components("p", above=0.5), "levels": 2}
    run(tmp_path / "whole", **arguments)
    method, calls = stop
    seen, original = [], getattr(ObjectJob, method)

    def counted(job, block):
        if len(seen) == calls:
            raise KeyboardInterrupt
        original(job, block)
        seen.append(block)

    monkeypatch.setattr(ObjectJob, method, counted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", **arguments)
    calls = math.inf
    again = list(seen)
    seen.clear()
    with pytest.raises(ValueError, match=r"other settings: segmenter\[1\]\.above: 0\.5 -> 0\.6"):
        run(tmp_path / "cut", **{**arguments, "segmenter": Components("p", above=0.6)})
    run(tmp_path / "cut", **arguments)
    assert not set(seen) & set(again)
    assert len(seen) + len(again) == 27
    assert snapshot(tmp_path / "cut.zarr") == snapshot(tmp_path / "whole.zarr")
    assert (tmp_path / "cut_objects.csv").read_bytes() == (tmp_path / "whole_objects.csv").read_bytes()
    seen.clear()
    assert run(tmp_path / "cut", **arguments) == {"objects": str(tmp_path / "cut.zarr" / "objects")}
    assert seen == []  # it is done


@pytest.mark.usefixtures("prepared_workers")
def test_two_processes_write_the_bytes_of_one(tmp_path):
    _, boundary = cells((24, 24, 24), (1, 1, 1))
    path = store(tmp_path / "b.zarr", boundary, spacing=(1, 1, 1))
    arguments = {
        "inputs": {"b": path},
        "segmenter": Agglomerated((0.3, 0.7), boundary="b", halo_length=3.0),
        "block_size": 12,
        "levels": 2,
    }
    run(tmp_path / "one", **arguments)
    run(tmp_path / "two", **arguments, workers=DaskWorkers(n_workers=2))
    assert snapshot(tmp_path / "two.zarr") == snapshot(tmp_path / "one.zarr")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": {"q": "x"}}, "Components reads p; inputs are q"),
        ({"block_size": 6}, r"block_size \[6, 6, 6\] must hold whole chunks of \[4, 4, 4\] voxels"),
        ({"segmenter": lambda: Components("p", connectivity=4, above=0)}, r"connectivity must be 1, 2 or 3 .* got 4"),
        ({"segmenter": lambda: Components("p", strong_above=2)}, "strong_above = 2 needs above"),
        ({"segmenter": lambda: Components("p")}, "must hold whole numbers in an integer dtype, got float32"),
        ({"segmenter": lambda: Agglomerated(boundary="p", affinities="p")}, "give boundary or affinities"),
        ({"segmenter": lambda: Agglomerated(affinities="p")}, "affinities need offsets"),
        ({"segmenter": lambda: Agglomerated(boundary="p", fragments="mutex")}, "fragments = mutex needs affinities"),
        ({"segmenter": lambda: Watershed("p", "p"), "fill_holes": 9}, "fill_holes does not go with Watershed"),
        ({"min_size": -1}, "min_size must be 0 or more, or None; got -1"),
        ({"levels": 0}, "levels"),
    ],
)
def test_what_cannot_be_is_said(tmp_path, change, message):
    path = store(tmp_path / "p.zarr", smooth_noise((8, 8, 8), 2))
    arguments = {"inputs": {"p": path}, "segmenter": lambda: Components("p", above=0.5)} | change
    with pytest.raises((ValueError, TypeError), match=message):
        run(tmp_path / "out", **{**arguments, "segmenter": arguments["segmenter"]()})


def test_inputs_must_lie_on_one_grid(tmp_path):
    inputs = {name: store(tmp_path / f"{name}.zarr", np.ones((n, 8, 8), np.uint8)) for name, n in (("b", 8), ("m", 9))}
    with pytest.raises(ValueError, match=r"b\.zarr has \(8, 8, 8\) voxels, .*m\.zarr has \(9, 8, 8\)"):
        run(tmp_path / "out", inputs, Agglomerated(boundary="b", mask="m"))
