"""Objects found block by block against those of the whole volume in memory."""

import csv
import json
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage import filters, measure, segmentation
from skimage.metrics import variation_of_information

from scripts.blockwise import DaskWorkers, Threads
from scripts.segmentation import (
    Agglomerated,
    BlockFunction,
    BlockSegmentation,
    Components,
    Watershed,
    build_region_graph,
    direct_offsets,
    fill_holes,
    labels_to_affinities,
)
from scripts.segmentation.object_job import ObjectJob
from scripts.volumes import create_ome_zarr, open_volume

SPACING = (2.0, 1.0, 0.5)


def store(path, data, **options):
    """Write an array D H W or C D H W; its path."""
    data = data if data.ndim == 4 else data[None]
    options = {"spacing": SPACING, "translation": (5, 6, 7), "unit": "um", "chunks": (8, 8, 8)} | options
    writer = create_ome_zarr(path, data.shape, data.dtype, **options)
    writer.write((0, 0, 0), data, aligned=False)
    return str(path)


def read(path):
    volume = open_volume(path)
    return volume.read((0, 0, 0), volume.spatial_shape)[0]


def same_partition(a, b):
    """Whether two labellings agree up to renaming."""
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]).astype(np.uint64), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1] and ((a == 0) == (b == 0)).all()


def smooth_noise(shape, seed, sigma=1.0):
    """0..1, blobs."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), sigma)
    return ((noise - noise.min()) / (noise.max() - noise.min())).astype(np.float32)


def run(output, inputs, segmenter, **options):
    options = {"chunk_size": 4, "block_size": 8, "levels": 1} | options
    return BlockSegmentation(inputs, segmenter, output, **options).run()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(*[st.integers(3, 21)] * 3),
    chunk=st.tuples(*[st.integers(2, 6)] * 3),
    factor=st.tuples(*[st.integers(1, 3)] * 3),
    connectivity=st.integers(1, 3),
    density=st.sampled_from([0.05, 0.2, 0.35, 0.6]),
    seed=st.integers(0, 99),
    threads=st.integers(1, 2),
)
def test_components_are_those_of_the_whole_volume(
    tmp_path_factory, shape, chunk, factor, connectivity, density, seed, threads
):
    folder = tmp_path_factory.mktemp("x")
    mask = np.random.default_rng(seed).random(shape) < density
    path = store(folder / "in.zarr", mask.astype(np.float32), chunks=(5, 5, 5))
    (output,) = run(
        folder / "out",
        {"foreground": path},
        Components(above=0.5, connectivity=connectivity),
        chunk_size=chunk,
        block_size=[c * f for c, f in zip(chunk, factor, strict=True)],
        workers=Threads(threads),
    ).values()
    found, expected = read(output), measure.label(mask, connectivity=connectivity)
    assert same_partition(found, expected)
    assert found.max() == expected.max()


@pytest.mark.parametrize("connectivity", [1, 2, 3])
def test_ids_that_touch_stay_apart_within_and_across_blocks(tmp_path, connectivity):
    ids = np.random.default_rng(0).integers(0, 3, (19, 17, 13)).astype(np.uint64) * (2**40 + 1)
    path = store(tmp_path / "in.zarr", ids)
    (output,) = run(tmp_path / "out", {"ids": path}, Components("ids", connectivity=connectivity)).values()
    dense = np.searchsorted(np.unique(ids), ids)
    expected = measure.label(dense, background=0, connectivity=connectivity)
    assert same_partition(read(output), expected)


def test_hysteresis_keeps_an_object_whose_strong_part_lies_in_another_block(tmp_path):
    values = smooth_noise((30, 26, 22), 3)
    path = store(tmp_path / "in.zarr", values)
    low, high = np.quantile(values, [0.7, 0.97]).tolist()
    (output,) = run(
        tmp_path / "out", {"p": path}, Components("p", above=low, strong_above=high, connectivity=1)
    ).values()
    expected = measure.label(filters.apply_hysteresis_threshold(values, low, high), connectivity=1)
    assert 1 < expected.max() < measure.label(values > low, connectivity=1).max()
    assert same_partition(read(output), expected)


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


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(*[st.integers(3, 17)] * 3),
    block=st.tuples(*[st.integers(2, 9)] * 3),
    connectivity=st.integers(1, 3),
    classes=st.integers(1, 2),
    density=st.sampled_from([0.6, 0.8, 0.9]),
    max_size=st.sampled_from([1, 3, 100]),
    seed=st.integers(0, 99),
)
def test_holes_are_filled_as_in_the_whole_volume(
    tmp_path_factory, shape, block, connectivity, classes, density, max_size, seed
):
    folder, rng = tmp_path_factory.mktemp("x"), np.random.default_rng(seed)
    ids = ((rng.random(shape) < density) * rng.integers(1, classes + 1, shape)).astype(np.uint8)
    path = store(folder / "in.zarr", ids)
    segmenter = Components("ids", connectivity=connectivity)
    (output,) = run(
        folder / "out", {"ids": path}, segmenter, chunk_size=block, block_size=block, fill_holes=max_size
    ).values()
    objects = measure.label(ids, background=0, connectivity=connectivity)
    assert same_partition(read(output), fill_holes(objects, max_size))


def test_holes_count_for_the_size_and_dropped_objects_are_no_wall(tmp_path):
    mask = np.zeros((12, 12, 12), np.float32)
    mask[2:9, 2:9, 2:9] = 1
    mask[3:8, 3:8, 3:8] = 0  # 343 voxels, of which 125 are a hole
    mask[5, 5, 5] = 0.4  # an object in it that is not strong
    path = store(tmp_path / "in.zarr", mask)
    arguments = {"inputs": {"m": path}, "chunk_size": 4, "block_size": 4}
    weak = Components("m", above=0.3)
    strong = Components("m", above=0.3, strong_above=0.5)
    sizes = {}
    for name, segmenter, options in (
        ("open", weak, {"fill_holes": 100}),
        ("weak", weak, {"fill_holes": 200}),
        ("strong", strong, {"fill_holes": 200}),
        ("large", Components("m", above=0.5), {"fill_holes": 200, "min_size": 300}),
        ("small", Components("m", above=0.5), {"min_size": 300}),
    ):
        (output,) = run(tmp_path / name, segmenter=segmenter, **arguments, **options).values()
        sizes[name] = np.bincount(read(output).ravel())[1:].tolist()
    assert sizes == {"open": [218, 1], "weak": [218, 1], "strong": [218], "large": [343], "small": []}


def test_what_is_not_stored_may_stand_for_foreground(tmp_path):
    """Stored 0 is 1 by this encoding."""
    data = np.zeros((1, 16, 8, 8), np.uint8)
    data[0, 3, 3, 3] = 1
    attributes = {"polytome": {"scale": -1.0, "offset": 1.0}}
    path = tmp_path / "in.zarr"
    writer = create_ome_zarr(path, data.shape, "uint8", spacing=(1, 1, 1), chunks=(8, 8, 8), attributes=attributes)
    writer.write((0, 0, 0), data)
    (output,) = run(tmp_path / "out", {"p": path}, Components("p", above=0.5)).values()
    assert np.bincount(read(output).ravel()).tolist() == [1, data.size - 1]


def test_nothing_at_all_is_an_empty_segmentation(tmp_path):
    path = store(tmp_path / "in.zarr", np.zeros((9, 9, 9), np.uint8))
    (output,) = run(tmp_path / "out", {"m": path}, Components("m", above=0)).values()
    assert read(output).max() == 0
    assert (tmp_path / "out_objects.csv").read_text().count("\n") == 1


def test_a_watershed_with_a_halo_is_that_of_the_whole_volume(tmp_path):
    """Cells of a regular lattice, each smaller than the halo."""
    z, y, x = np.indices((24, 24, 24))
    landscape = sum(np.abs((axis % 6) - 2.5) for axis in (z, y, x)).astype(np.float32)
    mask = (np.max([np.abs((axis % 6) - 2.5) for axis in (z, y, x)], axis=0) < 2.5).astype(np.uint8)
    seeds = np.zeros(mask.shape, np.uint64)
    seeds[2::6, 2::6, 2::6] = (np.arange(1, 65, dtype=np.uint64) + 2**33).reshape(4, 4, 4)
    inputs = {
        "land": store(tmp_path / "land.zarr", landscape, spacing=(1, 1, 1)),
        "seeds": store(tmp_path / "seeds.zarr", seeds, spacing=(1, 1, 1)),
        "mask": store(tmp_path / "mask.zarr", mask, spacing=(1, 1, 1)),
    }
    flooded = segmentation.watershed(landscape, measure.label(seeds > 0), mask=mask > 0)
    found = {}
    for halo in (0.0, 6.0):
        segmenter = Watershed("land", "seeds", mask="mask", halo_length=halo)
        (output,) = run(tmp_path / f"out{halo}", inputs, segmenter).values()
        found[halo] = read(output)
    assert same_partition(found[6.0], flooded)
    assert not same_partition(found[0.0], flooded)
    assert found[6.0].dtype == np.uint8  # 64 objects, whatever their seeds' ids


def cells(shape, spacing, seed=0, n=20):
    """Voronoi cells D H W of random points, and a boundary map."""
    rng = np.random.default_rng(seed)
    points = rng.random((n, 3)) * shape * np.array(spacing)
    grid = np.stack(np.indices(shape), -1) * np.array(spacing)
    distances = np.linalg.norm(grid[..., None, :] - points, axis=-1)  # D H W n
    nearest = np.sort(distances, axis=-1)
    boundary = np.exp(-((nearest[..., 1] - nearest[..., 0]) ** 2) / 2)
    return distances.argmin(-1) + 1, boundary.astype(np.float32)


def highest_on_the_way(boundary, axis):
    """Highest of each voxel and the next one along an axis; 1 where there is none."""
    following = np.ones_like(boundary)
    low, high = [slice(None)] * 3, [slice(None)] * 3
    low[axis], high[axis] = slice(None, -1), slice(1, None)
    following[tuple(low)] = boundary[tuple(high)]
    return np.maximum(boundary, following)


@pytest.fixture
def solved(monkeypatch):
    """What segmenters were given to solve, and the pieces of the whole volume."""
    seen, solve, link = [], Agglomerated.solve, ObjectJob.link

    def note(segmenter, pieces):
        seen.append(pieces)
        return solve(segmenter, pieces)

    def keep(job, block):
        link(job, block)
        if not seen:
            seen.append(job._both(tuple(slice(0, n) for n in job.grid.shape))[0])

    monkeypatch.setattr(Agglomerated, "solve", note)
    monkeypatch.setattr(ObjectJob, "link", keep)
    return seen


@pytest.mark.parametrize("quantile", [None, 0.6])
def test_the_graph_of_all_blocks_is_that_of_the_volume_and_cells_are_found_across_them(tmp_path, solved, quantile):
    truth, boundary = cells((30, 30, 30), (1, 1, 1))
    path = store(tmp_path / "b.zarr", boundary, spacing=(1, 1, 1))
    segmenter = Agglomerated(
        thresholds=(0.0, 0.7, 1.0), boundary="b", halo_length=6.0, min_distance=2.0, quantile=quantile
    )
    paths = run(tmp_path / "out", {"b": path}, segmenter, block_size=12)
    assert list(paths) == ["objects_0", "objects_0.7", "objects_1"]
    fragments, middle, one = (read(path) for path in paths.values())
    pieces, given = solved
    assert same_partition(fragments, pieces)
    affinities = 1 - np.stack([highest_on_the_way(boundary, axis) for axis in range(3)])
    graph = build_region_graph(pieces, affinities, direct_offsets(), histogram=quantile is not None)
    for name, array in graph.to_arrays().items():
        np.testing.assert_array_equal(given.graph.to_arrays()[name], array)
    assert len(np.unique(one)) == 1 or quantile  # boundaries of strength 1 stay
    assert all(len(np.unique(middle[fragments == i])) == 1 for i in np.unique(fragments))  # nested
    assert sum(variation_of_information(truth, fragments)) > 1
    assert sum(variation_of_information(truth, middle)) < 0.5


def test_affinities_give_what_their_boundary_gives_and_small_objects_are_absorbed(tmp_path):
    truth, _ = cells((24, 24, 24), (1, 1, 1), n=8)
    offsets = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [4, 0, 0], [0, 4, 0], [0, 0, 4]]
    affinities = labels_to_affinities(truth, offsets).clip(0, 1).astype(np.float32) * 0.9 + 0.05
    inputs = {"a": store(tmp_path / "a.zarr", affinities, spacing=(1, 1, 1))}
    found = {}
    for name, options in {
        "watershed": {"level": 0.15},
        "mutex": {"fragments": "mutex"},
        "absorbed": {"fragments": "mutex", "min_size": 3000},
    }.items():
        segmenter = Agglomerated((0.5,), affinities="a", offsets=offsets, halo_length=8.0, **options)
        (output,) = run(tmp_path / name, inputs, segmenter, block_size=12).values()
        found[name] = read(output)
    assert sum(variation_of_information(truth, found["watershed"])) < 0.5
    assert same_partition(found["mutex"], truth)
    sizes = np.bincount(found["absorbed"].ravel())[1:]
    assert min(np.bincount(truth.ravel())[1:]) < 3000 <= min(sizes)


def test_a_mask_bounds_objects(tmp_path):
    truth, boundary = cells((20, 20, 20), (1, 1, 1), n=4)
    mask = (np.indices(truth.shape)[2] < 11).astype(np.uint8)
    inputs = {
        "b": store(tmp_path / "b.zarr", boundary, spacing=(1, 1, 1)),
        "m": store(tmp_path / "m.zarr", mask, spacing=(1, 1, 1)),
    }
    (output,) = run(tmp_path / "out", inputs, Agglomerated(boundary="b", mask="m")).values()
    np.testing.assert_array_equal(read(output) > 0, mask > 0)


def brightest_two(arrays, spacing):
    """Classes of a value; for the test of functions."""
    assert spacing == SPACING
    values = ndimage.uniform_filter(arrays["p"][0], 3)
    return (values > 0.45).astype(np.uint8) + (values > 0.55)


def test_a_function_of_your_own_sees_what_lies_around_its_block(tmp_path):
    values = smooth_noise((20, 20, 20), 8)
    path = store(tmp_path / "p.zarr", values)
    expected = measure.label(brightest_two({"p": values[None]}, SPACING), background=0, connectivity=1)
    found = {}
    for halo in (0.0, 2.0):
        segmenter = BlockFunction(brightest_two, ["p"], halo_length=halo)
        (output,) = run(tmp_path / f"out{halo}", {"p": path}, segmenter).values()
        found[halo] = read(output)
    assert same_partition(found[2.0], expected)
    assert not same_partition(found[0.0], expected)


def snapshot(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


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
