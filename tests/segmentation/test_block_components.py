"""Components of volumes found block by block against those of the whole volume."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage import filters, measure
from tests.segmentation.block_runs import SPACING, read, run, same_partition, smooth_noise, store

from scripts.blockwise import Threads
from scripts.segmentation import (
    BlockFunction,
    Components,
)
from scripts.volumes import create_ome_zarr


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
