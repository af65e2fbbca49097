"""What tests of block drivers share: stores, random volumes, comparisons."""

import numpy as np
from scipy import ndimage

from scripts.segmentation import (
    BlockSegmentation,
)
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


def snapshot(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def cells(shape, spacing, seed=0, n=20):
    """Voronoi cells D H W of random points, and a boundary map."""
    rng = np.random.default_rng(seed)
    points = rng.random((n, 3)) * shape * np.array(spacing)
    grid = np.stack(np.indices(shape), -1) * np.array(spacing)
    distances = np.linalg.norm(grid[..., None, :] - points, axis=-1)  # D H W n
    nearest = np.sort(distances, axis=-1)
    boundary = np.exp(-((nearest[..., 1] - nearest[..., 0]) ** 2) / 2)
    return distances.argmin(-1) + 1, boundary.astype(np.float32)
