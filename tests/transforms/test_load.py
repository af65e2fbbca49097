"""LoadZarrPatchd: values, geometry, unknown voxels, workers."""

import copy
import logging
import os
import pickle
import shutil
import threading

import numpy as np
import pytest
import torch
import zarr
from monai.data import DataLoader, Dataset, MetaTensor

from scripts.transforms import LoadZarrPatchd
from scripts.volumes import NORMAL_INT8, Volume, create_ome_zarr, encode

TARGETS = {
    "sheet": {"channels": 1},
    "depth": {"channels": 1, "kind": "scalar"},
    "normals": {"channels": 3, "kind": "normal", "mask": "mask"},
}
SPACING, TRANSLATION = (3.0, 1.0, 1.5), (100.0, -5.0, 7.0)


def store(path, data, **kwargs):
    writer = create_ome_zarr(
        path, data.shape, data.dtype, spacing=SPACING, translation=TRANSLATION, unit="um", chunks=(8, 8, 8), **kwargs
    )
    writer.write((0, 0, 0), data)
    return str(path)


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    unit = rng.normal(size=(3, 20, 24, 18))
    unit /= np.linalg.norm(unit, axis=0)
    unit[:, :5] = 0
    return {
        "image": rng.integers(0, 60000, (1, 20, 24, 18), dtype=np.uint16),
        "sheet": rng.integers(0, 2, (1, 20, 24, 18), dtype=np.uint8) * 255,
        "depth": rng.normal(size=(1, 20, 24, 18)).astype(np.float32),
        "normals": unit,
        "mask": rng.integers(0, 2, (1, 20, 24, 18), dtype=np.uint8),
    }


@pytest.fixture
def volume(tmp_path, arrays):
    stored = {**arrays, "normals": encode(arrays["normals"], NORMAL_INT8, "int8")}
    attributes = {"normals": NORMAL_INT8.as_attributes()}
    return {k: store(tmp_path / f"{k}.zarr", v, attributes=attributes.get(k)) for k, v in stored.items()}


KEYS = ["image", "sheet", "depth", "normals", "mask"]


def test_values_and_geometry_of_a_box_inside(volume, arrays):
    start, size = [4, 9, 2], [10, 8, 12]
    sample = LoadZarrPatchd(KEYS, TARGETS)({**volume, "start": start, "size": size, "volume": 3})
    box = (slice(None), *(slice(s, s + n) for s, n in zip(start, size, strict=True)))
    assert sample["image"].dtype == torch.float32
    assert np.array_equal(sample["image"].numpy(), arrays["image"][box].astype(np.float32))
    assert sample["sheet"].dtype == torch.int32
    assert np.array_equal(sample["sheet"].numpy(), arrays["sheet"][box])
    assert np.array_equal(sample["depth"].numpy(), arrays["depth"][box])
    assert np.abs(sample["normals"].numpy() - arrays["normals"][box]).max() <= 0.5 / 127 + 1e-6
    for key in KEYS:
        corner = sample[key].affine.numpy() @ [0, 0, 0, 1]
        assert np.allclose(corner[:3], np.add(TRANSLATION, np.multiply(start, SPACING)))
        assert np.allclose(np.diag(sample[key].affine.numpy())[:3], SPACING)
        assert np.array_equal(sample[key].meta["reference_affine"], sample[key].affine)
        assert np.allclose(sample[key].meta["spacing"], SPACING)
    assert sample["image"].meta["filename_or_obj"] == volume["image"]
    assert sample["patch"]["volume"] == 3
    assert sample["patch"]["start"].tolist() == start
    assert set(sample) == {*KEYS, "patch"}


def test_what_a_datum_notes_about_itself_is_not_in_the_sample(volume):
    notes = {"ref_label": "sheet", "found": [0] * 3, "start_range": [[0, 0, 0], [4, 4, 4]], "spacing": None}
    shares = {"bbox_percent": 0.99, "labeled_ratio": 0.4}
    sample = LoadZarrPatchd(KEYS, TARGETS)({**volume, **notes, **shares, "start": [0] * 3, "size": [4] * 3, "case": 7})
    assert set(sample) == {*KEYS, "patch", "case"}  # what others put there stays


def test_tensors_are_what_the_constructor_of_metatensor_makes(volume):
    sample = LoadZarrPatchd(KEYS, TARGETS)({**volume, "start": [4, 9, 2], "size": [4] * 3})
    for key in KEYS:
        made = sample[key]
        plain = MetaTensor(made.as_tensor(), meta=dict(made.meta))
        assert type(made) is MetaTensor
        assert set(vars(made)) == set(vars(plain))
        assert all(vars(made)[name] == vars(plain)[name] for name in vars(plain) if name != "_meta")
        assert made.affine.dtype == torch.float64
        np.testing.assert_array_equal(copy.deepcopy(made).affine, plain.affine)
        shifted = made + 1
        shifted.affine = torch.eye(4)
        assert not np.array_equal(made.affine, np.eye(4))
    sample["image"].affine[0, 3] += 5  # a transform that works in place
    assert sample["sheet"].affine[0, 3] == sample["image"].affine[0, 3] - 5
    assert sample["image"].meta["reference_affine"][0, 3] == sample["sheet"].affine[0, 3]


def test_the_stored_type_is_in_the_meta(volume):
    datum = {"image": volume["image"], "normals": volume["normals"], "start": [0] * 3, "size": [4] * 3}
    sample = LoadZarrPatchd(KEYS, TARGETS)(datum)
    found = {key: sample[key].meta["dtype"] for key in KEYS}
    assert found == {"image": "uint16", "normals": "int8", "sheet": "", "depth": "", "mask": ""}


def test_outside_the_volume_everything_is_unknown(volume, arrays, caplog):
    start, size = [-2, 20, 0], [30, 8, 18]
    with caplog.at_level(logging.WARNING):
        load = LoadZarrPatchd(KEYS, TARGETS)
        sample = load({**volume, "start": start, "size": size})
        load({**volume, "start": start, "size": size})
    inside = (slice(None), slice(2, 22), slice(0, 4), slice(None))
    outside = np.ones((1, *size), bool)
    outside[inside] = False
    assert (sample["image"].numpy()[outside] == 0).all()
    assert (sample["sheet"].numpy()[outside] == -1).all()
    assert (sample["mask"].numpy()[outside] == 0).all()
    assert np.isnan(sample["depth"].numpy()[outside]).all()
    assert np.isnan(sample["normals"].numpy()[np.repeat(outside, 3, 0)]).all()
    assert np.array_equal(sample["sheet"].numpy()[inside], arrays["sheet"][:, :, 20:])
    assert np.array_equal(sample["mask"].numpy()[inside], arrays["mask"][:, :, 20:])
    told = [r for r in caplog.records if "is smaller than the patch" in r.message and volume["image"] in r.message]
    assert len(told) == 1


def test_what_a_volume_lacks_is_unknown_there(volume):
    datum = {"image": volume["image"], "start": [-2, 0, 0], "size": [8, 8, 8]}
    sample = LoadZarrPatchd(KEYS, TARGETS)(datum)
    assert (sample["sheet"] == -1).all()
    assert torch.isnan(sample["depth"]).all()
    assert sample["normals"].shape == (3, 8, 8, 8)
    assert torch.isnan(sample["normals"]).all()
    assert (sample["mask"][:, :2] == 0).all()  # outside the volume
    assert (sample["mask"][:, 2:] == 1).all()
    named = {"sheet": {"channels": 1, "mask": "seen"}}
    assert (LoadZarrPatchd(["image", "seen"], named)(datum)["seen"][:, 2:] == 1).all()
    with pytest.raises(ValueError, match="carries no 'sheet', and no target is called so"):
        LoadZarrPatchd(["image", "sheet"])(datum)


def test_several_images_become_channels(volume, arrays):
    sample = LoadZarrPatchd("image")({"image": [volume["image"], volume["depth"]], "start": [0] * 3, "size": [4] * 3})
    assert np.array_equal(sample["image"][0].numpy(), arrays["image"][0, :4, :4, :4].astype(np.float32))
    assert np.array_equal(sample["image"][1].numpy(), arrays["depth"][0, :4, :4, :4])


def test_the_arrays_of_a_sample_are_read_at_the_same_time(volume, monkeypatch):
    together = threading.Barrier(len(KEYS), timeout=20)
    read = Volume.read

    def wait_for_the_others(*args, **kwargs):
        together.wait()
        return read(*args, **kwargs)

    load, datum = LoadZarrPatchd(KEYS, TARGETS), {**volume, "start": [0] * 3, "size": [4] * 3}
    expected = load(datum)
    monkeypatch.setattr(Volume, "read", wait_for_the_others)
    sample = load(datum)
    for key in KEYS:
        assert np.array_equal(sample[key].numpy(), expected[key].numpy(), equal_nan=True)
    assert pickle.loads(pickle.dumps(load))._pool is None


def test_the_chunk_cache_is_set_where_a_process_first_reads(volume, monkeypatch):
    calls = []
    monkeypatch.setattr("scripts.transforms.load.set_chunk_cache", calls.append)
    datum = {**volume, "start": [0] * 3, "size": [4] * 3}
    LoadZarrPatchd(KEYS, TARGETS)(datum)
    assert calls == []
    load = LoadZarrPatchd(KEYS, TARGETS, cache_bytes=2**20)
    assert calls == []
    load(datum)
    load(datum)
    assert calls == [2**20]
    load._process = os.getpid() + 1  # as a forked child sees it
    load(datum)
    pickle.loads(pickle.dumps(load))(datum)
    assert calls == [2**20] * 3
    with pytest.raises(ValueError, match="cache_bytes must be at least 0, or null; got -1"):
        LoadZarrPatchd(KEYS, TARGETS, cache_bytes=-1)


class TestLostChunks:
    @pytest.fixture
    def labels(self, tmp_path):
        data = np.zeros((1, 16, 8, 8), np.uint8)
        data[:, 8:12] = 3
        return {"image": store(tmp_path / "raw.zarr", data + 1), "sheet": store(tmp_path / "sheet.zarr", data)}

    @staticmethod
    def load(labels, **notes):
        datum = {**labels, "size": [4, 8, 8], "ref_label": "sheet", **notes}
        return LoadZarrPatchd(["image", "sheet"], TARGETS)(datum)["sheet"].numpy()

    def test_labels_that_are_there(self, labels):
        assert (self.load(labels, start=[8, 0, 0]) == 3).all()
        assert not self.load(labels, start=[4, 0, 0], found=[8, 0, 0]).any()  # moved away from them, on purpose
        assert not self.load(labels, start=[4, 0, 0], ref_label=None).any()
        assert not self.load(labels, start=[4, 0, 0], ref_label="other").any()

    @pytest.mark.parametrize("notes", [{"start": [8, 0, 0]}, {"start": [4, 0, 0], "found": [8, 0, 0]}])
    def test_labels_that_are_gone(self, labels, tmp_path, notes):
        shutil.rmtree(tmp_path / "sheet.zarr" / "0" / "c" / "1")
        with pytest.raises(
            ValueError,
            match=r"'sheet' .*sheet\.zarr has no labelled voxel in the box at \[8, 0, 0\] of size \[4, 8, 8\] .*"
            "when patches were searched: the store has lost chunks, or its labels have changed.*delete the patch cache",
        ):
            self.load(labels, **notes)

    def test_nan_is_no_label(self, tmp_path):
        depth = store(tmp_path / "depth.zarr", np.full((1, 8, 8, 8), np.nan, np.float32))
        with pytest.raises(ValueError, match=r"'depth' .* has no labelled voxel in the box at \[0, 0, 0\]"):
            LoadZarrPatchd(["image", "depth"], TARGETS)(
                {"image": depth, "depth": depth, "start": [0] * 3, "size": [4] * 3, "ref_label": "depth"}
            )


def test_large_ids_survive(tmp_path):
    ids = np.full((1, 8, 8, 8), 2**32 - 5, np.uint32)
    path = store(tmp_path / "ids.zarr", ids)
    sample = LoadZarrPatchd(["image", "ids"])({"image": path, "ids": path, "start": [0] * 3, "size": [8] * 3})
    assert sample["ids"].dtype == torch.int64
    assert (sample["ids"] == 2**32 - 5).all()


def test_arrays_of_different_shape_are_refused(tmp_path, volume):
    other = store(tmp_path / "small.zarr", np.zeros((1, 8, 8, 8), np.uint8))
    with pytest.raises(ValueError, match=r"'sheet'.*has shape \(8, 8, 8\), the image .* has \(20, 24, 18\)"):
        LoadZarrPatchd(["image", "sheet"], TARGETS)({**volume, "sheet": other, "start": [0] * 3, "size": [4] * 3})


def test_the_image_must_be_among_the_keys():
    with pytest.raises(ValueError, match=r"keys must hold 'image'.*got \['sheet'\]"):
        LoadZarrPatchd("sheet")


@pytest.mark.long
def test_two_spawned_workers_read_what_one_process_reads(volume):
    data = [{**volume, "start": [z, 0, 0], "size": [4, 8, 8]} for z in range(0, 16, 4)]
    load = LoadZarrPatchd(KEYS, TARGETS)
    expected = [load(datum) for datum in data]
    loader = DataLoader(Dataset(data, load), batch_size=2, num_workers=2, multiprocessing_context="spawn")
    batches = list(loader)
    for key in KEYS:
        together = torch.cat([batch[key] for batch in batches]).numpy()
        assert np.array_equal(together, np.stack([sample[key].numpy() for sample in expected]), equal_nan=key != "mask")
    assert torch.cat([batch["patch"]["start"] for batch in batches])[:, 0].tolist() == [0, 4, 8, 12]


def test_a_corrupt_chunk_names_store_and_chunk_from_within_a_worker(tmp_path):
    path = tmp_path / "raw.zarr"
    array = zarr.create_array(str(path), shape=(16, 8, 8), chunks=(8, 8, 8), dtype=np.uint8)
    array[...] = np.arange(1024).reshape(16, 8, 8) % 200
    (path / "c" / "1" / "0" / "0").write_bytes(b"broken")
    load = LoadZarrPatchd("image")
    data = [{"image": str(path), "start": [z, 0, 0], "size": [8, 8, 8]} for z in (0, 8)]
    assert load(data[0])["image"].shape == (1, 8, 8, 8)
    with pytest.raises(OSError, match=r"raw\.zarr.*c/1/0/0"):
        load(data[1])
    loader = DataLoader(Dataset(data, load), num_workers=1, multiprocessing_context="spawn")
    with pytest.raises(RuntimeError, match=r"raw\.zarr.*c/1/0/0"):  # MONAI's Dataset wraps it, the message stays
        list(loader)


@pytest.mark.parametrize("axes", [None, "yzx"])
def test_a_datum_with_shape_is_read_at_so_many_voxels(tmp_path, axes):
    """20 24 18 voxels become 10 8 36: means of 2 and of 3 (the middle one), and quarters between two."""
    ramp = np.stack(np.meshgrid(*map(np.arange, (20, 24, 18)), indexing="ij")).astype(np.float32)
    image = ramp[0] + 100 * ramp[1] + 10000 * ramp[2]
    label = (ramp[1] >= 12).astype(np.uint8)
    datum = {"image": store(tmp_path / "i.zarr", image[None]), "sheet": store(tmp_path / "s.zarr", label[None])}
    order = [0, 1, 2] if axes is None else [1, 0, 2]
    start, size, shape = ([values[axis] for axis in order] for values in ([2, 1, 4], [3, 7, 20], [10, 8, 36]))
    load = LoadZarrPatchd(["image", "sheet"], TARGETS)
    sample = load({**datum, "start": start, "size": size, "shape": shape, "volume": 0, "axes": axes})
    at = [2 * np.arange(2, 5) + 0.5, 3 * np.arange(1, 8) + 1.0, (np.arange(4, 24) + 0.5) / 2 - 0.5]
    z, y, x = np.meshgrid(*at, indexing="ij")
    expected = (z + 100 * y + 10000 * x).transpose(order)
    assert np.allclose(sample["image"][0].numpy(), expected, rtol=1e-6)
    assert np.array_equal(sample["sheet"][0].numpy(), (y >= 12).transpose(order))
    spacing = np.array(SPACING) * (2, 3, 0.5)
    first = np.array(TRANSLATION) + np.array([values[0] for values in at]) * SPACING
    for key in ("image", "sheet"):
        assert np.allclose(np.diag(sample[key].affine)[:3], spacing[order])
        assert np.allclose(sample[key].affine.numpy()[:3, 3], first[order])
    assert "shape" not in sample


def test_data_of_two_shapes_are_not_mistaken_for_each_other(tmp_path):
    image = store(tmp_path / "i.zarr", np.random.default_rng(0).random((1, 16, 16, 16), np.float32))
    load = LoadZarrPatchd(["image"], TARGETS)
    datum = {"image": image, "start": [0, 0, 0], "volume": 0}
    for shape in ([8, 8, 8], [16, 16, 16], [4, 8, 8], None):
        size = shape or [16, 16, 16]
        sample = load({**datum, "size": size} | ({} if shape is None else {"shape": shape}))
        assert np.allclose(np.diag(sample["image"].affine)[:3], np.array(SPACING) * 16 / size)


def test_a_shape_that_is_none_is_told(tmp_path):
    image = store(tmp_path / "i.zarr", np.zeros((1, 8, 8, 8), np.uint8))
    with pytest.raises(ValueError, match=r"i\.zarr: shape must be three whole numbers .*; got \(4, 4, 0\)"):
        LoadZarrPatchd(["image"], TARGETS)(
            {"image": image, "start": [0, 0, 0], "size": [4, 4, 4], "shape": [4, 4, 0], "volume": 0}
        )
