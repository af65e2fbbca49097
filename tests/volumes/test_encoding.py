import numpy as np
import pytest

from scripts.volumes import NORMAL_INT8, NORMAL_UINT16, Encoding, decode, encode


def test_attributes_round_trip():
    assert NORMAL_UINT16.as_attributes() == {
        "polytome": {"scale": 1 / 32767.5, "offset": -1.0, "zero_is_missing": True}
    }
    assert Encoding.from_attributes(NORMAL_INT8.as_attributes()) == NORMAL_INT8
    assert Encoding.from_attributes({"polytome": {"source": "x"}}) is None
    assert Encoding.from_attributes({}) is None


@pytest.mark.parametrize(
    ("encoding", "dtype", "step"), [(NORMAL_INT8, "int8", 1 / 127), (NORMAL_UINT16, "uint16", 1 / 32767.5)]
)
def test_normals_come_back_within_half_a_step(encoding, dtype, step):
    normals = np.random.default_rng(0).normal(size=(3, 4, 5, 6)).astype(np.float32)
    normals /= np.linalg.norm(normals, axis=0)
    normals[:, 0, 0, 0] = 0.0
    normals[:, 1, 1, 1] = np.nan
    stored = encode(normals, encoding, dtype)
    assert stored.dtype == dtype
    assert not stored[:, 0, 0, 0].any()
    assert not stored[:, 1, 1, 1].any()
    back = decode(stored, encoding)
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back[:, 0, 0, 0], 0.0)
    np.testing.assert_array_equal(back[:, 1, 1, 1], 0.0)
    normals[:, 1, 1, 1] = 0.0
    assert np.abs(back - normals).max() <= step / 2 + 1e-6


def test_hand_computed_values():
    raw = np.array([[[[0, 65535]]], [[[0, 0]]], [[[0, 32768]]]], dtype=np.uint16)  # C=3, D H W = 1 1 2
    np.testing.assert_allclose(
        decode(raw, NORMAL_UINT16)[:, 0, 0], [[0, 1], [0, -1], [0, 32768 / 32767.5 - 1]], atol=1e-6
    )
    probability = np.array([-0.2, 0.0, 0.498, 0.502, 1.0, 1.7]).reshape(1, 1, 1, 6)
    np.testing.assert_array_equal(encode(probability, Encoding(1 / 255), "uint8").ravel(), [0, 0, 127, 128, 255, 255])
    np.testing.assert_array_equal(encode(np.full((1, 1, 1, 1), 1e9), None, "int16").ravel(), [32767])


def test_floats_are_neither_rounded_nor_clipped():
    values = np.array([0.3, 70.5, np.nan], dtype=np.float32).reshape(1, 1, 1, 3)
    np.testing.assert_array_equal(encode(values, None, "float32"), values)
    np.testing.assert_array_equal(decode(encode(values, Encoding(0.5, 1.0), "float32"), Encoding(0.5, 1.0)), values)


def test_nan_without_mark_is_an_error():
    with pytest.raises(ValueError, match="1 voxels hold NaN, which uint8 cannot store"):
        encode(np.full((2, 1, 1, 1), np.nan), None, "uint8")


def test_without_encoding_decode_casts():
    raw = np.array([[[[0, 7]]]], dtype=np.int16)
    np.testing.assert_array_equal(decode(raw, None), raw.astype(np.float32))
