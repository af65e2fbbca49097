"""Agglomeration across blocks."""

import numpy as np
import pytest
from skimage.metrics import variation_of_information
from tests.segmentation.block_runs import cells, read, run, same_partition, store

from scripts.segmentation import (
    Agglomerated,
    build_region_graph,
    direct_offsets,
    labels_to_affinities,
)
from scripts.segmentation.object_job import ObjectJob


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
