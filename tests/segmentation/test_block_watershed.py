"""Watershed block by block."""

import numpy as np
from skimage import measure, segmentation
from tests.segmentation.block_runs import read, run, same_partition, store

from scripts.segmentation import (
    Watershed,
)


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
