"""Whole trainings on data, disks and workers that fail: what is said, what stays, what goes on."""

import json
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
import zarr
from ignite.engine import Events
from tests.bundle.prepared_python import prepared_python
from tests.bundle.running import BUNDLE, folders, options, read_history
from tests.bundle.trainings import SHORT, checkpoints, differences, last_checkpoint, send, train

from scripts.engines import CheckpointWriteError, LabelValueError
from scripts.patches import PatchError
from scripts.transforms.intensity import SCHEMES
from scripts.workflows import RunError
from scripts.workflows.faults import find_cause, root_message

ORGANS = {"organ": {"channels": 3}}


def write(path: Path, array: np.ndarray) -> str:
    stored = zarr.create_array(str(path), shape=array.shape, chunks=(16, 16, 16), dtype=array.dtype, overwrite=True)
    stored[...] = array
    return str(path)


@pytest.fixture
def scan(tmp_path):
    """Noise with three organs that are everywhere, and the settings of two short epochs on it."""
    rng = np.random.default_rng(0)
    image = rng.normal(100, 20, (48, 48, 48)).astype(np.float32)
    organ = rng.integers(0, 3, image.shape).astype(np.uint8)
    rows = [{"image": write(tmp_path / "image.zarr", image), "organ": write(tmp_path / "organ.zarr", organ)}]
    return {
        "targets": ORGANS,
        "volumes": rows,
        "split_guard": 0,
        "max_epochs": 2,
        "previews": False,
        "normalization": "zscore",
        "keep_last": 9,
        "min_labeled_ratio": 0.0,
    }


def array_of(scan, key="image"):
    return zarr.open_array(scan["volumes"][0][key], mode="r+")


def assert_finite(root, epochs=2):
    rows = read_history(root)
    assert [row["epoch"] for row in rows] == [str(n + 1) for n in range(epochs)]
    assert all(np.isfinite(float(value)) for row in rows for key, value in row.items() if value and "nan" not in key)


def cause_of(caught, kind):
    found = find_cause(caught.value, kind)
    assert found is not None, repr(caught.value)
    return str(found)


def bad_voxels(scan):
    image = array_of(scan)
    image[1::7, ::5, ::3] = np.nan
    image[2::7, ::5, ::3] = np.inf


def test_nan_and_infinite_voxels_take_the_value_that_is_given(scan, tmp_path):
    bad_voxels(scan)
    train(tmp_path, tmp_path, **scan, nonfinite=0.0)
    assert_finite(tmp_path)


@pytest.mark.parametrize("place", ["everywhere", "seldom"])
def test_nan_and_infinite_voxels_stop_a_training_that_wants_none_by_their_place(scan, tmp_path, place):
    if place == "everywhere":
        bad_voxels(scan)
    else:
        array_of(scan)[40:, 40:, 40:] = np.inf
    with pytest.raises(PatchError) as caught:
        train(tmp_path, tmp_path, **scan | {"max_epochs": 50}, nonfinite="error")
    said = root_message(caught.value)
    assert f"{tmp_path}/image.zarr" in said
    voxel = json.loads(said.partition("the first at ")[2].partition(" (z y x)")[0])
    assert not np.isfinite(array_of(scan)[tuple(voxel)])


def test_a_class_that_the_target_does_not_have_is_named_with_its_place(scan, tmp_path):
    array_of(scan, "organ")[20:28, 20:28, 20:28] = 7
    with pytest.raises(LabelValueError) as caught:
        train(tmp_path, tmp_path, **scan | {"max_epochs": 20})
    said = str(caught.value)
    assert "target 'organ' has 3 channels, so classes 0 to 2, but its label holds 7; raise 'channels'" in said
    assert f"It is in {tmp_path}/organ.zarr, patch at [" in said
    start = json.loads("[" + said.rpartition("patch at [")[2].partition("]")[0] + "]")
    assert (array_of(scan, "organ")[tuple(slice(n, n + 16) for n in start)] == 7).any()


OFTEN = ("zscore", "zscore_volume")


@pytest.mark.parametrize("value", [0.0, 0.1])
@pytest.mark.parametrize(
    "scheme", [pytest.param(one, marks=[] if one in OFTEN else pytest.mark.stress) for one in SCHEMES]
)
def test_images_without_contrast_train(scan, tmp_path, scheme, value):
    """All zero, which no chunk is stored of, and a constant that float32 does not hold exactly."""
    if scheme == "dtype_range":
        scan["volumes"][0]["image"] = write(tmp_path / "bytes.zarr", np.full((48,) * 3, round(10 * value), np.uint8))
    else:
        array_of(scan)[...] = value
    train(tmp_path, tmp_path, **scan | {"normalization": scheme, "max_epochs": 1})
    assert_finite(tmp_path, 1)


@pytest.mark.parametrize(
    ("shape", "patch"), [((1, 48, 48), [1, 16, 16]), ((48, 1, 48), [16, 1, 16]), ((48, 48, 48), [1, 16, 16])]
)
def test_axes_of_one_voxel(scan, tmp_path, shape, patch):
    rng = np.random.default_rng(1)
    row = {
        "image": write(tmp_path / "flat.zarr", rng.normal(0, 1, shape).astype(np.float32)),
        "organ": write(tmp_path / "flat_organ.zarr", rng.integers(0, 3, shape).astype(np.uint8)),
    }
    train(tmp_path, tmp_path, **scan | {"volumes": [row], "patch_size": patch})
    assert_finite(tmp_path)


def test_a_volume_smaller_than_a_patch_is_padded_with_what_does_not_count(scan, tmp_path, caplog):
    rng = np.random.default_rng(1)
    small = {
        "image": write(tmp_path / "small.zarr", rng.normal(100, 20, (10, 12, 14)).astype(np.float32)),
        "organ": write(tmp_path / "small_organ.zarr", rng.integers(0, 3, (10, 12, 14)).astype(np.uint8)),
        "split": "train",
    }
    seen = []

    def watch(parser):
        trainer = parser.get_parsed_content("train#trainer")
        trainer.add_event_handler(
            Events.ITERATION_COMPLETED, lambda: seen.append(trainer.state.output["label"]["organ"].clone())
        )

    rows = [small, *({**row, "split": "val"} for row in scan["volumes"])]
    augment = {"random_space": None, "augment": []}
    train(
        tmp_path, tmp_path, watch, **scan | {"volumes": rows, "split_method": "volume", "val_fraction": 0.0}, **augment
    )
    assert_finite(tmp_path)
    assert f"volume {tmp_path}/small.zarr of shape (10, 12, 14) is smaller than the patch [16, 16, 16]" in caplog.text
    assert all((one >= 0).sum(dim=(1, 2, 3, 4)).tolist() == [10 * 12 * 14] * 2 for one in seen)


def test_an_image_and_a_label_of_other_shapes_do_not_start(scan, tmp_path):
    scan["volumes"][0]["organ"] = write(tmp_path / "other.zarr", np.ones((48, 48, 47), np.uint8))
    with pytest.raises(RuntimeError) as caught:
        train(tmp_path, tmp_path, **scan)
    said = cause_of(caught, RunError)
    assert (
        f"organ: {tmp_path}/other.zarr has shape (48, 48, 47), the image {tmp_path}/image.zarr has (48, 48, 48)" in said
    )
    assert not (tmp_path / "output").exists()


def after_one_epoch(action):
    """Something happens in the second epoch."""

    def prepare(parser):
        parser.get_parsed_content("train#trainer").add_event_handler(Events.EPOCH_STARTED(once=2), action)

    return prepare


@pytest.mark.parametrize("key", ["image", "organ"])
def test_a_store_that_is_deleted_while_it_is_read_is_named(scan, tmp_path, key):
    lost = Path(scan["volumes"][0][key])
    with pytest.raises(PatchError, match=rf"cannot be made: .*{key}\.zarr"):
        train(tmp_path, tmp_path, after_one_epoch(lambda: shutil.rmtree(lost)), **scan)
    assert checkpoints(tmp_path)[0].startswith("model_epoch=1")


def fill(*paths):
    """Let the disk be full for files that are written by way of a neighbour."""

    def action():
        for path in paths:
            path.parent.mkdir(exist_ok=True)
            path.with_name(f"{path.name}.partial").symlink_to("/dev/full")

    return action


def test_logs_and_tables_that_cannot_be_written_do_not_end_a_training(scan, tmp_path, caplog):
    names = ("history.csv", "steps.csv", "run.json", "worst_patches.json")
    train(
        tmp_path,
        tmp_path,
        after_one_epoch(fill(*(tmp_path / "output" / name for name in names))),
        **scan | {"previews": True},
    )
    for name in names:
        assert caplog.text.count(f"output/{name} cannot be written: No space left on device; the training goes on") == 1
    assert checkpoints(tmp_path)[-1].startswith("model_epoch=2")


def test_pictures_that_cannot_be_written_do_not_end_a_training(scan, tmp_path, caplog):
    """A file stands where the folder should be, and at the picture's place a folder."""
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "previews").touch()
    (tmp_path / "output" / "history.png").mkdir()
    train(tmp_path, tmp_path, **scan | {"previews": True})
    assert caplog.text.count("previews cannot be written: File exists; the training goes on without it") == 1
    assert len(read_history(tmp_path)) == 2


ON_A_SMALL_DISK = """
import ctypes, os, runpy, shutil, sys

FOLDER, KEPT, SIZE = sys.argv[1:4]
library = ctypes.CDLL(None, use_errno=True)
user, group = os.getuid(), os.getgid()
if library.unshare(0x10000000 | 0x00020000):  # a user and a view of the disks of its own
    sys.exit(77)
for name, text in (("setgroups", "deny"), ("uid_map", f"0 {{user}} 1"), ("gid_map", f"0 {{group}} 1")):
    with open(f"/proc/self/{{name}}", "w") as file:
        file.write(text)
if library.mount(b"tmpfs", FOLDER.encode(), b"tmpfs", 0, f"size={{SIZE}}".encode()):
    sys.exit(77)
sys.argv[1:] = sys.argv[4:]
try:
    runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
finally:
    shutil.copytree(FOLDER, KEPT)
"""


def words(root, scan, **changes):
    return [
        "run",
        "training",
        *options(**{**folders(root), **SHORT, **scan, **changes}),
        "--config_file",
        "configs/train.json",
    ]


def python(*arguments):
    return subprocess.run(
        [prepared_python(), *map(str, arguments)], cwd=BUNDLE, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.long
def test_a_disk_that_is_full_leaves_the_checkpoint_before_and_the_training_goes_on_from_it(scan, tmp_path):
    """A real disk, of memory, for the first checkpoint and half of the second."""
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    done = python("-m", "monai.bundle", *words(whole, scan))
    assert done.returncode == 0, done.stderr
    first, second = sorted((whole / "models").glob("model_epoch=*.pt"))
    best = (whole / "models" / "model.pt").stat().st_size
    room = first.stat().st_size + 2 * best + second.stat().st_size // 2
    mounted = parted / "models"
    mounted.mkdir(parents=True)
    kept = tmp_path / "kept"
    done = python("-c", ON_A_SMALL_DISK.format(), mounted, kept, room // 4096 * 4096, *words(parted, scan))
    if done.returncode == 77:
        pytest.skip("no small disk can be mounted here")
    assert done.returncode == 1
    assert f"error: {mounted}/{second.name} cannot be written: No space left on device; it takes about" in done.stderr
    assert "make room, then go on from there with --load_model latest" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in kept.iterdir()) == ["model.pt", first.name]
    assert json.loads((parted / "output" / "run.json").read_text())["state"] == "failed"
    shutil.copytree(kept, mounted, dirs_exist_ok=True)
    done = python("-m", "monai.bundle", *words(parted, scan, load_model="latest"))
    assert done.returncode == 0, done.stderr
    assert differences(last_checkpoint(parted, 2), last_checkpoint(whole, 2)) == [".config"]


def test_a_full_disk_at_a_stop_is_told_too(scan, tmp_path):
    def prepare(parser):
        trainer = parser.get_parsed_content("train#trainer")
        trainer.add_event_handler(
            Events.EPOCH_STARTED(once=2), fill(tmp_path / "models" / "model_epoch=1_iteration=3.pt")
        )
        trainer.add_event_handler(Events.ITERATION_STARTED(once=3), send(signal.SIGTERM))

    with pytest.raises(CheckpointWriteError, match=r"1_iteration=3\.pt cannot be written: No space left on device"):
        train(tmp_path, tmp_path, prepare, **scan)
    (left,) = checkpoints(tmp_path)
    assert left.startswith("model_epoch=1_score=")


APPLY_SPACE = {"_target_": "scripts.transforms.ApplySpatiald", "keys": "@stored_keys", "targets": "@targets"}

FAULT = """
import os, signal
from pathlib import Path

ROOT = Path({root!r})

class Fault:
    \"\"\"Once there is a checkpoint, something happens to the worker that makes a sample.\"\"\"

    def __call__(self, sample):
        if (ROOT / "wanted").exists() and any((ROOT / "models").glob("*_epoch=1*")):
            {action}
        return sample
"""


@pytest.mark.parametrize(
    ("action", "said"),
    [
        pytest.param(
            "os.kill(os.getpid(), signal.SIGKILL)",
            "error: a process that loads patches has died",
            marks=pytest.mark.long,
        ),
        pytest.param('raise ValueError("no such tissue")', "error: patch at [", marks=pytest.mark.stress),
    ],
)
def test_a_worker_that_fails_ends_the_training_with_a_line_and_it_goes_on(scan, tmp_path, monkeypatch, action, said):
    (tmp_path / "broken_transform.py").write_text(FAULT.format(root=str(tmp_path), action=action))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "wanted").touch()
    augment = [APPLY_SPACE, {"_target_": "broken_transform.Fault"}]
    changes = {"num_workers": 1, "augment": augment, "max_epochs": 3}
    done = python("-m", "monai.bundle", *words(tmp_path, scan, **changes))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(said)
    if "tissue" in action:
        assert last.endswith(f"of size [16, 16, 16] of {tmp_path}/image.zarr cannot be made: no such tissue")
    assert checkpoints(tmp_path)[0].startswith("model_epoch=1")
    (tmp_path / "wanted").unlink()
    done = python("-m", "monai.bundle", *words(tmp_path, scan, **changes, load_model="latest"))
    assert done.returncode == 0, done.stderr
    assert [row["epoch"] for row in read_history(tmp_path)] == ["1", "2", "3"]
