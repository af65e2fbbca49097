"""Arrays of .npz archives against NumPy."""

import numpy as np
import pytest

from scripts.volumes import open_volume

VALUES = np.random.default_rng(0).normal(size=(4, 5, 6)).astype("float32")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_the_first_array_counts_and_an_only_one_may_have_any_name(tmp_path, save):
    save(tmp_path / "x.npz", VALUES, other=np.zeros(3))
    save(tmp_path / "y.npz", scan=VALUES)
    for name in ("x.npz", "y.npz"):
        volume = open_volume(tmp_path / name)
        assert volume.shape == (1, 4, 5, 6)
        np.testing.assert_array_equal(volume.read((1, 0, 2), (2, 5, 3))[0], VALUES[1:3, :, 2:5])


def test_what_holds_no_volume_is_named(tmp_path):
    np.savez(tmp_path / "x.npz", a=VALUES, b=VALUES)
    with pytest.raises(ValueError, match=r"x\.npz: not a readable \.npz .*one of the name arr_0; found \['a', 'b'\]"):
        open_volume(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", np.array(["text"]))
    with pytest.raises(ValueError, match=r"x\.npz: the array holds <U4; expected bool, integers or floats"):
        open_volume(tmp_path / "x.npz")
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(ValueError, match=r"x\.npz: not a readable \.npz archive of numbers: "):
        open_volume(tmp_path / "x.npz")
