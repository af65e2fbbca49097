"""PNG pictures against what Pillow was given."""

import numpy as np
import pytest
from PIL import Image

from scripts.volumes import CorruptChunkError, open_volume

RANDOM = np.random.default_rng(0)


def whole(volume):
    return volume.read((0, 0, 0), volume.spatial_shape)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_grey_values_are_one_slice(tmp_path, dtype):
    values = RANDOM.integers(0, np.iinfo(dtype).max, (5, 7)).astype(dtype)
    Image.fromarray(values).save(tmp_path / "x.png")
    volume = open_volume(tmp_path / "x.png")
    assert volume.shape == (1, 1, 5, 7)
    assert volume.dtype == dtype
    assert not volume.states_geometry
    assert volume.name == "x"
    np.testing.assert_array_equal(whole(volume)[0, 0], values)
    np.testing.assert_array_equal(volume.read((0, 2, 3), (1, 2, 4))[0, 0], values[2:4, 3:7])


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colours_are_channels(tmp_path, channels):
    values = RANDOM.integers(0, 255, (5, 7, channels), dtype="uint8")
    Image.fromarray(values).save(tmp_path / "x.png")
    np.testing.assert_array_equal(whole(open_volume(tmp_path / "x.png")), values.transpose(2, 0, 1)[:, None])


def test_palettes_become_colours_and_bits_grey_values(tmp_path):
    colours = np.zeros((4, 4, 3), np.uint8)
    colours[:2, :, 0], colours[2:, :, 1] = 255, 255
    Image.fromarray(colours).convert("P").save(tmp_path / "palette.png")
    np.testing.assert_array_equal(whole(open_volume(tmp_path / "palette.png"))[:, 0], colours.transpose(2, 0, 1))
    bits = RANDOM.integers(0, 2, (5, 7)).astype(bool)
    Image.fromarray(bits).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(whole(open_volume(tmp_path / "bits.png"))[0, 0], bits * 255)


def test_what_is_no_png_is_named(tmp_path):
    (tmp_path / "x.png").write_bytes(b"GIF89a")
    with pytest.raises(ValueError, match=r"x\.png: no readable PNG file: cannot identify image file"):
        open_volume(tmp_path / "x.png")


def test_a_cut_file_is_named(tmp_path):
    Image.fromarray(RANDOM.integers(0, 255, (64, 64), dtype="uint8")).save(tmp_path / "x.png")
    (tmp_path / "x.png").write_bytes((tmp_path / "x.png").read_bytes()[:2000])
    with pytest.raises(CorruptChunkError, match=r"x\.png: chunk 'whole file'"):
        whole(open_volume(tmp_path / "x.png"))
