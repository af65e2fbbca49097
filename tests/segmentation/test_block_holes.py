"""Holes filled across blocks against those of the whole volume."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skimage import measure
from tests.segmentation.block_runs import read, run, same_partition, store

from scripts.segmentation import (
    Components,
    fill_holes,
)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
