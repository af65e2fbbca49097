"""Who may write to an output, what an unfinished run leaves there, and what replaces it."""

import json
import pickle

import numpy as np
import pytest
import zarr
from tests.inferers.runs import read, snapshot

from scripts.geometry import parse_targets
from scripts.inferers import output_format
from scripts.inferers.store import PredictionStore
from scripts.volumes import Grid, open_volume

HEADER = {"roi_size": (8, 8, 8), "network": "abc"}
FORMATS = {
    name: output_format(row)
    for name, row in parse_targets({"sheet": {"channels": 1}, "normals": {"channels": 3, "kind": "normal"}}).items()
}
OPTIONS = {"chunk_size": (8, 8, 8), "shard_size": None, "levels": 2, "version": "0.5"}
SHAPE = (16, 12, 10)


@pytest.fixture
def store(tmp_path):
    return PredictionStore(str(tmp_path / "x.zarr"))


def create(store, **options):
    store.create(FORMATS, SHAPE, Grid((2, 1, 1), (5, 6, 7), "um"), **{**OPTIONS, **options})


def fill(store):
    """Write every chunk, as numbers that tell them apart."""
    for start in ((0, 0, 0), (8, 0, 0), (0, 8, 0), (8, 8, 0), (0, 0, 8), (8, 0, 8), (0, 8, 8), (8, 8, 8)):
        size = [min(8, n - s) for n, s in zip(SHAPE, start, strict=True)]
        store.write("sheet", start, np.full((1, *size), sum(start) + 1, np.uint8))
        store.write("normals", start, np.full((3, *size), sum(start) - 9, np.int8))


def finished(store, header=HEADER):
    """A run from its beginning to its end."""
    assert not store.begin(header, resume=True)
    create(store)
    fill(store)
    store.build_levels()
    store.finish("in.zarr", header)
    return store


def test_one_image_per_target_with_geometry_and_encoding(store, tmp_path):
    finished(store)
    assert store.paths == {name: str(tmp_path / "x.zarr" / name) for name in FORMATS}
    sheet, normals = (open_volume(path) for path in store.paths.values())
    assert (sheet.shape, sheet.dtype, sheet.chunks) == ((1, *SHAPE), np.uint8, (8, 8, 8))
    assert (normals.shape, normals.dtype) == ((3, *SHAPE), np.int8)
    for volume in (sheet, normals):
        assert (volume.spacing, volume.translation, volume.unit) == ((2, 1, 1), (5, 6, 7), "um")
        assert open_volume(f"{volume.path}::1").spatial_shape == (16, 6, 5)
    assert sheet.decode(np.full((1, 1, 1, 1), 51, np.uint8)).item() == pytest.approx(0.2)
    assert read(store.paths["sheet"])[0, 9, 9, 9] == 25
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.zarr"]


def test_the_header_is_known_from_the_first_moment_to_the_last(store, tmp_path):
    assert store.stored_header() is None
    assert not store.begin(HEADER, resume=True)
    as_stored = {"roi_size": [8, 8, 8], "network": "abc"}
    assert store.stored_header() == as_stored
    create(store)
    assert PredictionStore(store.path).stored_header() == as_stored
    fill(store)
    store.build_levels()
    store.finish("in.zarr", HEADER)
    assert PredictionStore(store.path).stored_header() == as_stored
    attributes = zarr.open_group(store.path, mode="r").attrs["polytome"]
    assert attributes == {"input": "in.zarr", "run": as_stored}


def test_a_finished_run_is_done_and_an_unfinished_one_goes_on(store):
    assert not store.begin(HEADER, resume=True)
    create(store)
    fill(store)
    before = snapshot(store.path)
    again = PredictionStore(store.path)
    assert not again.begin(HEADER, resume=True)
    create(again)
    assert snapshot(store.path) == before  # voxels stay
    again.build_levels()
    again.finish("in.zarr", HEADER)
    assert PredictionStore(store.path).begin(HEADER, resume=True)


@pytest.mark.parametrize("is_finished", [False, True])
def test_another_header_is_refused_and_nothing_is_changed(store, tmp_path, is_finished):
    if is_finished:
        finished(store)
    else:
        store.begin(HEADER, resume=True)
        create(store)
    before = snapshot(tmp_path)
    message = (
        rf"{store.path} holds a run with other settings: roi_size\[2\]: 8 -> 9; network: \"abc\" -> \"xyz\"\. "
        "Give the same settings to go on with it, another output, or overwrite = true to start anew"
    )
    with pytest.raises(ValueError, match=message):
        PredictionStore(store.path).begin({"roi_size": (8, 8, 9), "network": "xyz"}, resume=True)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("is_finished", [False, True])
def test_who_does_not_resume_finds_the_path_taken(store, is_finished):
    if is_finished:
        finished(store)
    else:
        store.begin(HEADER, resume=True)
    with pytest.raises(FileExistsError, match=rf"{store.path} exists; give resume = true, overwrite = true"):
        PredictionStore(store.path).begin(HEADER, resume=False)


def test_a_free_path_needs_no_resume(store, tmp_path):
    (tmp_path / "x.zarr").mkdir()  # an empty folder is free
    assert not store.begin(HEADER, resume=False)


@pytest.mark.parametrize("is_finished", [False, True])
def test_what_is_removed_leaves_nothing(store, tmp_path, is_finished):
    if is_finished:
        finished(store)
    else:
        store.begin(HEADER, resume=True)
        create(store)
        store.folder.write("done/0.0.0", b"{}")
    PredictionStore(store.path).remove()
    assert list(tmp_path.iterdir()) == []
    assert not PredictionStore(store.path).begin({"other": 1}, resume=False)


def test_another_group_is_replaced_only_on_request(store, tmp_path):
    zarr.create_group(store.path, attributes={"kept": 1})
    before = snapshot(tmp_path)
    with pytest.raises(FileExistsError, match=r"x\.zarr exists and was not written by this bundle; .* overwrite"):
        store.begin(HEADER, resume=True)
    assert snapshot(tmp_path) == before
    store.remove()
    assert list(tmp_path.iterdir()) == []


def make_folder(path):
    path.mkdir()
    (path / "thesis.txt").write_text("kept")


def make_file(path):
    path.write_text("kept")


def make_array(path):
    zarr.create_array(str(path), shape=(4,), dtype="uint8")[:] = 7


@pytest.mark.parametrize("make", [make_folder, make_file, make_array])
def test_what_is_no_group_is_never_deleted(store, tmp_path, make):
    make(tmp_path / "x.zarr")
    before = snapshot(tmp_path)
    with pytest.raises(FileExistsError, match=r"x\.zarr exists and is no zarr group, so overwrite = true does not"):
        store.remove()
    with pytest.raises(FileExistsError, match=r"x\.zarr exists and was not written by this bundle"):
        store.begin(HEADER, resume=True)
    assert snapshot(tmp_path) == before


def test_a_folder_beside_the_output_that_is_no_run_is_never_deleted(store, tmp_path):
    """`x.run` may be somebody's measurements."""
    make_folder(tmp_path / "x.run")
    message = r"x\.run exists and is no unfinished run; give another folder as scratch"
    with pytest.raises(FileExistsError, match=message):
        store.begin(HEADER, resume=True)
    with pytest.raises(FileExistsError, match=message):
        store.remove()
    assert (tmp_path / "x.run" / "thesis.txt").read_text() == "kept"


def test_a_run_may_lie_elsewhere(tmp_path):
    store = PredictionStore(str(tmp_path / "x.zarr"), str(tmp_path / "scratch" / "x.run"))
    store.begin(HEADER, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["scratch"]
    create(store)
    fill(store)
    store.build_levels()
    store.finish("in.zarr", HEADER)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_files_that_a_kill_left_half_written_are_swept_away(store, tmp_path):
    store.begin(HEADER, resume=True)
    create(store)
    before = snapshot(store.path)
    for name in ("sheet/0/c/0/0/0.__lock", "sheet/0/zarr.json.1f3a.partial", "normals/1/zarr.json.9.partial"):
        (tmp_path / "x.zarr" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "x.zarr" / name).write_text("half")
    again = PredictionStore(store.path)
    again.begin(HEADER, resume=True)
    assert snapshot(store.path) == before


def test_a_creation_that_was_killed_after_any_file_is_made_good(store, tmp_path):
    """Every state that a kill can leave: each file of the images is there or not, in the order of writing."""
    store.begin(HEADER, resume=True)
    create(store)
    whole = snapshot(store.path)
    order = ["zarr.json", "sheet/zarr.json", "sheet/0/zarr.json", "normals/zarr.json", "normals/0/zarr.json"]
    assert set(order) == set(whole)
    for count in range(len(order) + 1):
        path = tmp_path / str(count) / "x.zarr"
        cut = PredictionStore(str(path))
        cut.begin(HEADER, resume=True)
        for name in order[:count]:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(whole[name])
        again = PredictionStore(str(path))
        assert not again.begin(HEADER, resume=True)
        create(again)
        assert snapshot(path) == whole


@pytest.mark.parametrize("level", [0, 1])
def test_a_pyramid_that_was_killed_in_between_is_made_good(store, tmp_path, level, monkeypatch):
    expected = snapshot(finished(PredictionStore(str(tmp_path / "whole.zarr"))).path)
    store.begin(HEADER, resume=True)
    create(store)
    fill(store)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"scripts.volumes.OmeZarrWriter.{['start_level', 'list_levels'][level]}", killed)
        with pytest.raises(KeyboardInterrupt):
            store.build_levels()
    again = PredictionStore(store.path)
    assert not again.begin(HEADER, resume=True)
    create(again)
    again.build_levels()
    again.finish("in.zarr", HEADER)
    assert snapshot(store.path) == expected


def test_a_store_that_was_sent_away_writes_the_same_images(store):
    store.begin(HEADER, resume=True)
    create(store)
    fill(pickle.loads(pickle.dumps(store)))
    assert read(store.paths["sheet"])[0, 9, 9, 9] == 25


@pytest.mark.parametrize(("version", "zarr_format"), [("0.4", 2), ("0.5", 3)])
def test_the_group_is_of_the_format_of_its_images(store, version, zarr_format):
    store.begin(HEADER, resume=True)
    create(store, version=version)
    fill(store)
    store.build_levels()
    store.finish("in.zarr", HEADER)
    for path in (store.path, *store.paths.values()):
        assert zarr.open_group(path, mode="r").metadata.zarr_format == zarr_format
    assert PredictionStore(store.path).begin(HEADER, resume=True)


def test_the_header_is_plain_json(store, tmp_path):
    store.begin(HEADER, resume=True)
    assert json.loads((tmp_path / "x.run" / "header.json").read_text()) == {"roi_size": [8, 8, 8], "network": "abc"}
