"""Which volumes a page shows, and under which names."""

import shutil

import numpy as np
import pytest
import zarr

from scripts.viewers import open_layers
from scripts.volumes import create_ome_zarr


def write(path, value=1, shape=(1, 8, 8, 8), dtype="float32", **options):
    options = {"spacing": (1, 1, 1), "unit": "um"} | options
    writer = create_ome_zarr(path, shape, dtype, **options)
    writer.write((0, 0, 0), np.full(shape, value, dtype), aligned=False)
    writer.finish()
    return path


@pytest.fixture
def prediction(tmp_path):
    """A group as inference leaves it: two targets, and a file of its own."""
    zarr.create_group(tmp_path / "prediction.zarr")
    for name in ("sheet", "depth"):
        write(tmp_path / "prediction.zarr" / name, levels=2)
    (tmp_path / "prediction.zarr" / "polytome_run.jsonl").write_text("{}")
    return tmp_path / "prediction.zarr"


def test_a_group_of_images_is_a_layer_each(prediction, tmp_path):
    layers = open_layers([write(tmp_path / "scan.zarr"), prediction])
    assert [layer.name for layer in layers] == ["scan", "prediction/depth", "prediction/sheet"]
    assert [[volume.spatial_shape for volume in layer.volumes] for layer in layers] == [
        [(8, 8, 8)], [(8, 8, 8), (4, 4, 4)], [(8, 8, 8), (4, 4, 4)],
    ]  # fmt: skip
    assert [[grid.spacing[0] for grid in layer.grids] for layer in layers] == [[1], [1, 2], [1, 2]]


def test_a_level_alone(prediction):
    (layer,) = open_layers([f"{prediction}/sheet::1"])
    assert [volume.spatial_shape for volume in layer.volumes] == [(4, 4, 4)]
    assert layer.stored[0].folder == prediction / "sheet" / "1"
    assert layer.grids[0].translation == (0.5, 0.5, 0.5)


def test_volumes_of_one_name_are_told_apart(prediction, tmp_path, monkeypatch):
    paths = [write(tmp_path / folder / "v.zarr", levels=2) for folder in ("images", "labels")]
    assert [layer.name for layer in open_layers(paths)] == ["images/v", "labels/v"]
    assert [layer.name for layer in open_layers([paths[0], f"{paths[0]}::1"])] == ["images/v", "images/v (2)"]
    copy = shutil.copytree(prediction, tmp_path / "other" / "prediction.zarr") / "depth"
    names = [layer.name for layer in open_layers([prediction / "depth", copy])]
    assert names == [f"{tmp_path.name}/prediction/depth", "other/prediction/depth"]
    monkeypatch.chdir(tmp_path / "images")
    assert [layer.name for layer in open_layers(["v.zarr", paths[1]])] == ["v", "labels/v"]


def test_kinds_are_asked_for_by_name_or_its_last_part(prediction):
    layers = open_layers([prediction], {"prediction/sheet": "image", "depth": "probability"})
    assert [layer.kind for layer in layers] == ["probability", "image"]
    assert [layer.kind for layer in open_layers([prediction])] == ["image", "image"]


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ({"sheeet": "image"}, r"'sheeet' is no layer \(did you mean 'sheet'\?\); the layers are prediction/depth, pre"),
        ({"depth": "labels"}, "kinds: prediction/depth: labels are whole numbers"),
        ("labels", "kinds: expected names and kinds, such as .*depth: labels.*, got 'labels'"),
    ],
)
def test_kinds_that_do_not_fit(prediction, kinds, message):
    with pytest.raises(ValueError, match=message):
        open_layers([prediction], kinds)


def test_a_kind_for_two_layers_of_one_name(prediction, tmp_path):
    with pytest.raises(ValueError, match="kinds: 'sheet' fits several layers; the layers are sheet, prediction/depth"):
        open_layers([write(tmp_path / "sheet"), prediction], {"sheet": "image"})


def test_a_time_point_is_read_by_python(tmp_path):
    group = zarr.create_group(tmp_path / "t.zarr", zarr_format=3)
    axes = [{"name": "t", "type": "time"}, *({"name": a, "type": "space"} for a in "zyx")]
    scale = [{"type": "scale", "scale": [1.0] * 4}]
    image = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    array = group.create_array("0", shape=(2, 4, 4, 4), chunks=(1, 4, 4, 4), dtype="uint8")
    array[1] = 5
    (layer,) = open_layers([tmp_path / "t.zarr"], time=1)
    assert layer.why_read == "its axes are tzyx"
    assert layer.volume.read((0, 0, 0), (4, 4, 4)).mean() == 5
    with pytest.raises(ValueError, match="time axis of length 2"):
        open_layers([tmp_path / "t.zarr"])


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("nothing.zarr", FileNotFoundError, "nothing.zarr does not exist; the nearest folder that does is"),
        ("notes.txt", ValueError, "'.txt' is no known suffix"),
        ("folder", ValueError, "is a folder without zarr array or group"),
        ("group.zarr", ValueError, "is a zarr group without OME-Zarr image"),
    ],
)
def test_what_is_no_volume(tmp_path, name, error, message):
    (tmp_path / "notes.txt").write_text("no volume")
    (tmp_path / "folder").mkdir()
    zarr.create_group(tmp_path / "group.zarr").create_group("empty")
    with pytest.raises(error, match=message):
        open_layers([tmp_path / name])


def test_a_damaged_chunk_is_named_once_and_read_as_empty(tmp_path, caplog):
    path = write(tmp_path / "v.zarr", 7, dtype="uint8", chunks=(8, 8, 4))
    (path / "0/c/0/0/0").write_bytes(b"damaged")
    (layer,) = open_layers([path])
    for _ in range(2):
        assert layer.volume.read((0, 0, 0), (8, 8, 8))[0, 0, 0].tolist() == [0] * 4 + [7] * 4
    (message,) = [record.getMessage() for record in caplog.records]
    assert "v.zarr/0: chunk 'c/0/0/0' (stored voxels [0:8, 0:8, 0:4]) cannot be read" in message
