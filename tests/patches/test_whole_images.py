"""image_patches: unlabelled images covered with patches, against what numpy says is stored."""

import numpy as np
import pytest
import zarr

from scripts.patches import image_patches


@pytest.fixture
def image(tmp_path):
    """Chunks of 8 voxels; stored are those of a corner, and one far from it."""
    array = zarr.create_array(str(tmp_path / "image.zarr"), shape=(32, 40, 24), chunks=(8, 8, 8), dtype="uint8")
    values = np.zeros(array.shape, np.uint8)
    values[:8, :16, :8] = 1
    values[26, 35, 20] = 1
    array[...] = values
    stored = values.reshape(4, 8, 5, 8, 3, 8).any((1, 3, 5))
    return str(tmp_path / "image.zarr"), np.kron(stored, np.ones((8, 8, 8), bool))


@pytest.mark.parametrize(("size", "stride"), [((8, 8, 8), None), ((12, 8, 10), 5), ((8, 16, 8), (3, 8, 24))])
def test_every_patch_that_holds_a_stored_chunk_is_there(image, size, stride):
    path, stored = image
    steps = size if stride is None else (stride,) * 3 if isinstance(stride, int) else stride
    axes = [sorted({*range(0, n - k, step), n - k}) for n, k, step in zip(stored.shape, size, steps, strict=True)]
    expected = [
        [z, y, x]
        for z in axes[0] for y in axes[1] for x in axes[2]
        if stored[z : z + size[0], y : y + size[1], x : x + size[2]].any()
    ]  # fmt: skip
    found = image_patches([{"image": path}], size, stride=stride)
    assert [patch["start"] for patch in found] == expected
    assert found[0] == {"volume": 0, "start": expected[0], "size": list(size), "ref_label": None}


def test_several_volumes_and_regions(image):
    path, _ = image
    rows = [{"image": path, "region": [[0, 0, 0], [8, 9, 8]]}, {"image": path, "region": [[24, 32, 16], [32, 40, 24]]}]
    found = [(patch["volume"], patch["start"]) for patch in image_patches(rows, (8, 8, 8))]
    assert found == [(0, [0, 0, 0]), (0, [0, 1, 0]), (1, [24, 32, 16])]


def test_the_stride_grows_until_there_are_few(tmp_path):
    array = zarr.create_array(str(tmp_path / "dense.zarr"), shape=(64, 64, 64), chunks=(32, 32, 32), dtype="uint8")
    array[...] = 1
    every = image_patches([{"image": str(tmp_path / "dense.zarr")}], (8, 8, 8), stride=2)
    few = image_patches([{"image": str(tmp_path / "dense.zarr")}], (8, 8, 8), stride=2, max_patches=100)
    assert len(every) == 29**3
    assert 27 <= len(few) <= 100
    assert max(patch["start"] for patch in few) == [56, 56, 56]


def test_faults(image):
    path, _ = image
    with pytest.raises(ValueError, match=r"patch_size must be three positive numbers z, y, x; got \[8, 8\]"):
        image_patches([{"image": path}], [8, 8])
    with pytest.raises(ValueError, match=r"has \[32, 40, 24\] voxels to train on, fewer than a patch of \[8, 8, 25\]"):
        image_patches([{"image": path}], (8, 8, 25))
    with pytest.raises(ValueError, match=r"nothing is stored in the region \[\[8, 16, 0\], \[16, 24, 8\]\]"):
        image_patches([{"image": path, "region": [[8, 16, 0], [16, 24, 8]]}], (8, 8, 8))
