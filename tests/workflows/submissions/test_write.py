"""One prediction becomes one array: type, values, grid."""

import numpy as np
import pytest
import zarr

from scripts.volumes import Encoding, create_ome_zarr
from scripts.workflows.submissions.manifest import WantedLabel
from scripts.workflows.submissions.write import PackedLabel, write_label


def predict(path, values, spacing=(4, 4, 4), translation=(0, 0, 0), unit="nm", **options):
    values = np.asarray(values)
    values = values if values.ndim == 4 else values[None]
    writer = create_ome_zarr(
        path,
        values.shape,
        values.dtype,
        spacing=spacing,
        translation=translation,
        unit=unit,
        chunks=(2, 2, 2),
        **options,
    )
    writer.write((0, 0, 0), values)
    return str(path)


def write(tmp_path, name, path, wanted=None):
    said = write_label(PackedLabel("crop1", name, "jrc", path, wanted), tmp_path / "out")
    return zarr.open_array(tmp_path / "out" / "crop1" / name, mode="r"), said


@pytest.mark.parametrize(
    ("name", "values", "dtype", "expected"),
    [
        pytest.param("mito", [0, 1, 1], np.uint32, ("uint8", [0, 1, 1]), id="one object"),
        pytest.param("mito", [0, 255, 7], np.uint64, ("uint8", [0, 255, 7]), id="largest that fits"),
        pytest.param("mito", [0, 300, 7], np.int64, ("uint16", [0, 300, 7]), id="300 objects stay 300"),
        pytest.param("nuc", [0, 65536, 7], np.int32, ("uint32", [0, 65536, 7]), id="beyond 16 bits"),
        pytest.param("nuc", [0, 2**40, 7], np.uint64, ("uint64", [0, 2**40, 7]), id="beyond 32 bits"),
        pytest.param("nuc", [0, 0, 0], np.uint64, ("uint8", [0, 0, 0]), id="no object"),
        pytest.param("nuc", [False, True, True], bool, ("uint8", [0, 1, 1]), id="bool"),
        pytest.param("er", [0, 300, 7], np.int64, ("uint8", [0, 1, 1]), id="mask of ids"),
        pytest.param("er", [-1, 0, 1], np.int8, ("uint8", [0, 0, 1]), id="unknown is not there"),
        pytest.param("er", [0.5, 0.51, 0.1], np.float32, ("uint8", [0, 1, 0]), id="probabilities"),
    ],
)
def test_types_follow_the_content(tmp_path, name, values, dtype, expected):
    path = predict(tmp_path / "p.zarr", np.array(values, dtype).reshape(1, 1, 3))
    array, said = write(tmp_path, name, path)
    assert (str(array.dtype), array[0, 0].tolist()) == expected
    assert array.metadata.zarr_format == 2
    assert said == f"crop1/{name}: {expected[0]}, 1 x 1 x 3 voxels of 4 x 4 x 4 nm"


def test_stored_probabilities_are_decoded(tmp_path):
    values = np.array([0, 127, 128, 255], np.uint8).reshape(1, 1, 4)
    path = predict(tmp_path / "p.zarr", values, attributes=Encoding(1 / 255).as_attributes())
    assert write(tmp_path, "er", path)[0][0, 0].tolist() == [0, 0, 1, 1]
    with pytest.raises(TypeError, match=r"p\.zarr: mito is a class of objects, .* it holds probabilities\. Segment it"):
        write(tmp_path, "mito", path)


def test_grid_and_unit(tmp_path):
    path = predict(tmp_path / "p.zarr", np.ones((2, 3, 4), np.uint8), (0.008, 0.004, 0.002), (1, 2, -3), "um")
    array, _ = write(tmp_path, "er", path)
    np.testing.assert_allclose(array.attrs["voxel_size"], [8, 4, 2])
    np.testing.assert_allclose(array.attrs["translation"], [1000, 2000, -3000])
    assert array.attrs["shape"] == [2, 3, 4]


def test_attributes_of_plain_arrays_count(tmp_path):
    attributes = {"voxel_size": [8, 8, 8], "translation": [1, 2, 3]}
    zarr.create_array(tmp_path / "p.zarr", data=np.ones((2, 2, 2), np.uint8), attributes=attributes, zarr_format=2)
    assert dict(write(tmp_path, "er", str(tmp_path / "p.zarr"))[0].attrs) == {**attributes, "shape": [2, 2, 2]}
    zarr.create_array(tmp_path / "q.zarr", data=np.ones((2, 2, 2), np.uint8), zarr_format=2)
    with pytest.raises(ValueError, match=r"q\.zarr: the attributes state no voxel size"):
        write(tmp_path, "nuc", str(tmp_path / "q.zarr"))


def test_large_arrays_are_copied_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("scripts.workflows.submissions.write._BOX_VOXELS", 1)
    ids = np.random.default_rng(0).integers(0, 400, (70, 65, 130)).astype(np.uint32)
    ids[:64, :64, :64] = 0  # a part of which nothing is stored
    writer = create_ome_zarr(tmp_path / "p.zarr", (1, *ids.shape), "uint32", spacing=(1, 1, 1), chunks=(64, 64, 64))
    writer.write((0, 0, 0), ids[None])
    array, _ = write(tmp_path, "mito", str(tmp_path / "p.zarr"))
    np.testing.assert_array_equal(array[...], ids)
    assert array.dtype == np.uint16
    assert array.chunks == (64, 64, 64)
    assert not (tmp_path / "out/crop1/mito/0.0.0").exists()


def test_onto_the_grid_that_is_asked_for(tmp_path):
    """Ids at 2 nm from 8 nm on, a grid of 4 nm at 4 nm: every second voxel, one voxel later."""
    ids = np.arange(1, 7, dtype=np.uint32).reshape(1, 1, 6) + 300
    path = predict(tmp_path / "p.zarr", ids, (4, 4, 2), (0, 0, 8))
    wanted = WantedLabel("crop1", "jrc", "mito", (4.0, 4.0, 4.0), (0.0, 0.0, 4.0), (1, 2, 5))
    array, said = write(tmp_path, "mito", path, wanted)
    assert array[0, 0].tolist() == [0, 302, 304, 306, 0]
    assert not array[0, 1].any()
    assert array.dtype == np.uint16
    assert dict(array.attrs) == {"voxel_size": [4, 4, 4], "translation": [0, 0, 4], "shape": [1, 2, 5]}
    assert said == "crop1/mito: uint16, 1 x 2 x 5 voxels of 4 x 4 x 4 nm"
    soft = predict(tmp_path / "q.zarr", np.array([0, 51, 204, 255], np.uint8).reshape(1, 1, 4), (4, 4, 4),
                   attributes=Encoding(1 / 255).as_attributes())  # fmt: skip
    wanted = WantedLabel("crop1", "jrc", "er", (4.0, 4.0, 2.0), (0.0, 0.0, 0.0), (1, 1, 8))
    array, _ = write(tmp_path, "er", soft, wanted)
    # probabilities 0, 0.2, 0.8, 1 between which is interpolated: 0, 0.05, 0.15, 0.35, 0.65, 0.85, 0.95, 0.75
    assert array[0, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (np.zeros((2, 1, 1, 3), np.uint8), ValueError, r"p\.zarr has 2 channels; expected one label, D H W"),
        (
            np.zeros((1, 1, 3), np.float32),
            TypeError,
            r"whose ids are whole numbers; it holds float32\. Segment it first",
        ),
        (np.full((1, 1, 3), -1, np.int16), ValueError, r"ids must be 0 \(background\) or more; got -1"),
    ],
)
def test_faults(tmp_path, values, error, message):
    with pytest.raises(error, match=message):
        write(tmp_path, "mito", predict(tmp_path / "p.zarr", values))
