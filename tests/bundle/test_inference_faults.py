"""Inference and processing by their configs, when something goes wrong: signals, disks, volumes, numbers."""

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import time

import nibabel
import numpy as np
import psutil
import pytest
import torch
from monai.bundle import ConfigParser
from monai.inferers import SlidingWindowInferer
from tests.bundle.running import BUNDLE, options
from tests.inferers.runs import snapshot

from scripts.blockwise import RunFolder, RunGroup
from scripts.inferers.block_job import BlockJob
from scripts.segmentation.object_job import ObjectJob
from scripts.volumes import OmeZarrWriter, create_ome_zarr, open_volume
from scripts.volumes.writable_array import WritableArray
from scripts.workflows.faults import find_cause

SMALL = {
    "patch_size": [16, 16, 16],
    "features_per_stage": [4, 8],
    "n_blocks_per_stage": [1, 1],
    "device": "cpu",
    "weights": None,
    "targets": {"sheet": {"channels": 1}, "depth": {"channels": 1, "kind": "scalar"}},
    "chunk_size": [16, 16, 16],
    "inferer#block_size": [16, 16, 16],
    "bundle_root": str(BUNDLE),
}
SHAPE = (40, 36, 32)


def store(path, values):
    """An image C D H W as OME-Zarr."""
    writer = create_ome_zarr(path, values.shape, values.dtype, spacing=(1, 1, 1), chunks=(16,) * 3)
    writer.write((0, 0, 0), values)
    return path


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    values = np.random.default_rng(0).integers(1, 255, (1, *SHAPE)).astype(np.float32)
    return store(tmp_path_factory.mktemp("data") / "scan.zarr", values)


def configured(scan, output, **changes):
    torch.manual_seed(0)
    parser = ConfigParser()
    parser.read_config(BUNDLE / "configs" / "inference.json")
    parser.update({**SMALL, "input": str(scan), "output": str(output), **changes})
    return parser


def predict(scan, output, **changes):
    """Run the config in this process."""
    parser = configured(scan, output, **changes)
    parser.get_parsed_content("initialize")
    parser.get_parsed_content("run")
    return output


def failure(*places, **changes):
    """What a run ends with; MONAI wraps what a component of a config raises."""
    with pytest.raises((RuntimeError, ValueError, OSError)) as caught:
        predict(*places, **changes)
    return find_cause(caught.value, (ValueError, OSError))


def process(prediction, output):
    parser = ConfigParser()
    parser.read_config(BUNDLE / "configs" / "process.json")
    parser.update(
        {"input": str(prediction), "output": str(output), "block_size": [16] * 3, "chunk_size": 16, "threads": 1}
    )
    parser.get_parsed_content("run")
    return output


def read(path):
    volume = open_volume(path)
    return volume.read((0, 0, 0), volume.spatial_shape)


@pytest.fixture(scope="module")
def undisturbed(scan, tmp_path_factory):
    return predict(scan, tmp_path_factory.mktemp("undisturbed") / "out.zarr")


class At:
    """Calls something when a method of a class is called for the nth time.

    Args:
        monkeypatch: replaces the method.
        owner: the class.
        method: its name.
        call: which call, from 1 on.
        action: is called before it.
    """

    def __init__(self, monkeypatch, owner, method, call, action):
        original, calls = getattr(owner, method), []

        def instead(*args, **options):
            calls.append(1)
            if len(calls) == call:
                action()
            return original(*args, **options)

        monkeypatch.setattr(owner, method, instead)


SIGNALS = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated")}


def send(number):
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_an_inference_in_order_and_it_goes_on(scan, undisturbed, tmp_path, monkeypatch, capfd, number):
    status, word = SIGNALS[number]
    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        At(patch, BlockJob, "evaluate", 9, send(number))
        with pytest.raises(SystemExit) as stopped:
            predict(scan, tmp_path / "out.zarr")
    assert stopped.value.code == status
    assert signal.getsignal(signal.SIGTERM) is before
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "windows" not in line]
    assert line.startswith(f"{word}. {tmp_path}/out.zarr: ")
    assert line.endswith(" of 8 blocks are finished and stay; start the same run again to go on from there")
    done = len(list((tmp_path / "out.run" / "done").iterdir()))
    assert 0 < done < 8
    assert f" {done} of 8" in line
    predict(scan, tmp_path / "out.zarr")
    assert snapshot(tmp_path / "out.zarr") == snapshot(undisturbed)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_a_processing_in_order_and_it_goes_on(undisturbed, tmp_path, monkeypatch, capfd, number):
    whole = process(undisturbed / "sheet", tmp_path / "whole.zarr")
    status, word = SIGNALS[number]
    with monkeypatch.context() as patch:
        At(patch, ObjectJob, "write", 5, send(number))
        with pytest.raises(SystemExit) as stopped:
            process(undisturbed / "sheet", tmp_path / "out.zarr")
    assert stopped.value.code == status
    said = capfd.readouterr().err.splitlines()
    assert said[-1] == f"{word}. {tmp_path}/out.zarr: start the same run again to go on from there"
    assert "Traceback" not in "".join(said)
    process(undisturbed / "sheet", tmp_path / "out.zarr")
    assert snapshot(tmp_path / "out.zarr") == snapshot(whole)


def at_work(group):
    """Processes of a group that have not ended; those whose parent has gone may wait for somebody to note that."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
    return found


@pytest.mark.stress
@pytest.mark.parametrize("overlays", [[], ["configs/inference_distributed.json"]], ids=["one process", "dask"])
@pytest.mark.parametrize("number", SIGNALS)
def test_a_terminal_s_signals_end_the_command_within_seconds(tmp_path, overlays, number):
    """As typed: Ctrl-C goes to the whole group of processes, SIGTERM to the first one; nothing is left running."""
    values = np.random.default_rng(0).integers(1, 255, (1, 128, 128, 128)).astype(np.float32)
    image, output = store(tmp_path / "scan.zarr", values), tmp_path / "out.zarr"
    configs = str(["configs/inference.json", *overlays])
    given = {"input": image, "output": output, "device": "cpu", "inferer#block_size": [32] * 3, "chunk_size": [16] * 3}
    words = ["-m", "monai.bundle", "run", "inference", "--config_file", configs, *options(**given)]
    workers = options(n_workers=2) if overlays else []
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, *words, *workers], cwd=BUNDLE, stdout=said, stderr=said, start_new_session=True
        )
        done = tmp_path / "out.run" / "done"
        while process.poll() is None and not (done.exists() and any(done.iterdir())):
            time.sleep(0.05)
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        begun, status = time.monotonic(), process.wait(120)
    text = (tmp_path / "said").read_text()
    assert status == SIGNALS[number][0], text
    assert time.monotonic() - begun < 60
    assert "Traceback" not in text
    assert f"{SIGNALS[number][1]}. {output}: " in text.splitlines()[-1]
    while left := at_work(process.pid):
        assert time.monotonic() - begun < 60, left
        time.sleep(0.1)


def damaged(path, values):
    """A volume with a NaN, infinities and a part that is NaN alone."""
    values = values.copy()
    values[0, 3, 4, 5], values[0, 20, 21, 22], values[0, 21, 21, 22] = np.nan, np.inf, -np.inf
    values[0, 30:, 20:, 20:] = np.nan
    return store(path, values)


def test_numbers_that_are_none_take_the_value_that_is_asked_for(scan, tmp_path):
    """The result is MONAI's, on an image that was normalised and filled by hand."""
    image = read(damaged(tmp_path / "nan.zarr", read(scan)))
    predict(tmp_path / "nan.zarr", tmp_path / "out.zarr", nonfinite=1.5)
    finite = image[np.isfinite(image)].astype(np.float64)
    filled = np.where(np.isfinite(image), (image - finite.mean()) / finite.std(), 1.5).astype(np.float32)
    network = configured(scan, tmp_path / "x.zarr").get_parsed_content("network_def").eval()
    expected = in_memory(filled, network)
    np.testing.assert_allclose(read(tmp_path / "out.zarr" / "depth"), expected, atol=2e-4)


@pytest.mark.parametrize(
    ("owner", "method", "call"),
    [pytest.param(WritableArray, "write", 3, id="pieces"), pytest.param(RunFolder, "write", 20, id="run's folder")],
)
def test_a_full_disk_ends_a_processing_with_its_name_and_it_goes_on(
    undisturbed, tmp_path, monkeypatch, owner, method, call
):
    whole = process(undisturbed / "sheet", tmp_path / "whole.zarr")
    with monkeypatch.context() as patch:
        At(patch, owner, method, call, full)
        with pytest.raises((RuntimeError, OSError)) as caught:
            process(undisturbed / "sheet", tmp_path / "out.zarr")
    error = find_cause(caught.value, OSError)
    assert error.errno == errno.ENOSPC
    assert f"{tmp_path}/out.zarr: no space left on the device. What is finished stays; free some" in str(error)
    process(undisturbed / "sheet", tmp_path / "out.zarr")
    assert snapshot(tmp_path / "out.zarr") == snapshot(whole)


def in_memory(image, network):
    """MONAI's result for an image C D H W that is normalised."""
    with torch.no_grad():
        inferer = SlidingWindowInferer((16,) * 3, 2, 0.25, "gaussian")
        return inferer(torch.from_numpy(image)[None], lambda x: network(x)["depth"])[0].numpy()


def test_numbers_that_are_none_stop_the_run_with_their_box_on_request(scan, tmp_path):
    damaged(tmp_path / "nan.zarr", read(scan))
    message = r"nan\.zarr, window of 16 x 16 x 16 voxels at \[0, 0, 0\]: 1 voxels are NaN or infinite"
    with pytest.raises(ValueError, match=message):
        raise failure(tmp_path / "nan.zarr", tmp_path / "out.zarr", nonfinite="error")


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_a_constant_volume_is_predicted_without_numbers_that_are_none(tmp_path, value):
    """No division by zero: normalised, it is zero everywhere."""
    image = store(tmp_path / "flat.zarr", np.full((1, 20, 20, 20), value, np.float32))
    predict(image, tmp_path / "out.zarr", skip_empty=False)
    network = configured(image, tmp_path / "x.zarr").get_parsed_content("network_def").eval()
    expected = in_memory(np.zeros((1, 20, 20, 20), np.float32), network)
    np.testing.assert_allclose(read(tmp_path / "out.zarr" / "depth"), expected, atol=1e-5)


def test_an_all_zero_volume_is_left_out_and_comes_out_as_zeros(tmp_path):
    image = store(tmp_path / "zero.zarr", np.zeros((1, 20, 20, 20), np.float32))
    predict(image, tmp_path / "out.zarr")
    for name in SMALL["targets"]:
        assert not read(tmp_path / "out.zarr" / name).any()


@pytest.mark.parametrize("shape", [(7, 20, 5), (1, 24, 24), (1, 1, 40), (1, 1, 1)], ids=str)
def test_a_volume_smaller_than_a_window_is_padded_as_monai_does(tmp_path, shape):
    values = np.random.default_rng(0).integers(1, 255, (1, *shape)).astype(np.float32)
    image = store(tmp_path / "small.zarr", values)
    predict(image, tmp_path / "out.zarr", normalization="none", skip_empty=False)
    network = configured(image, tmp_path / "x.zarr").get_parsed_content("network_def").eval()
    expected = in_memory(values, network)
    assert expected.shape == (1, *shape)
    np.testing.assert_allclose(read(tmp_path / "out.zarr" / "depth"), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("suffix", ["zarr", "nii"])
def test_an_input_that_is_deleted_in_mid_run_ends_it_and_nothing_is_made_up(
    scan, undisturbed, tmp_path, monkeypatch, suffix
):
    """What is gone must not count as empty: the run stops, and goes on to the same bytes when the input is back."""
    image = tmp_path / f"scan.{suffix}"
    if suffix == "zarr":
        shutil.copytree(scan, image, copy_function=shutil.copy2)
    else:
        nibabel.save(nibabel.Nifti1Image(read(scan)[0].T, np.eye(4)), image)
    away = tmp_path / f"away.{suffix}"
    with monkeypatch.context() as patch:
        At(patch, BlockJob, "finish", 2, lambda: image.rename(away))
        error = failure(image, tmp_path / "out.zarr")
    with pytest.raises(FileNotFoundError, match=rf"scan\.{suffix}(/0 is gone| cannot be opened)"):
        raise error
    assert 0 < len(list((tmp_path / "out.run" / "done").iterdir())) < 8
    away.rename(image)
    predict(image, tmp_path / "out.zarr")
    for name in SMALL["targets"]:
        np.testing.assert_array_equal(read(tmp_path / "out.zarr" / name), read(undisturbed / name))


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full():
    raise FULL


@pytest.mark.parametrize(
    ("owner", "method", "call"),
    [
        pytest.param(OmeZarrWriter, "create", 2, id="metadata of an image"),
        pytest.param(RunFolder, "write", 1, id="header of the run"),
        pytest.param(RunFolder, "write", 6, id="sums or ledger"),
        pytest.param(WritableArray, "write", 3, id="chunk"),
        pytest.param(OmeZarrWriter, "list_levels", 1, id="list of the levels"),
        pytest.param(RunGroup, "finish", 1, id="end of the run"),
    ],
)
def test_a_full_disk_ends_the_run_with_its_name_and_it_goes_on(
    scan, undisturbed, tmp_path, monkeypatch, owner, method, call
):
    with monkeypatch.context() as patch:
        At(patch, owner, method, call, full)
        error = failure(scan, tmp_path / "out.zarr")
    assert isinstance(error, OSError)
    assert error.errno == errno.ENOSPC
    assert f"{tmp_path}/out.zarr: no space left on the device." in str(error)
    assert "start the same run again" in str(error)
    predict(scan, tmp_path / "out.zarr")
    assert snapshot(tmp_path / "out.zarr") == snapshot(undisturbed)
    assert not (tmp_path / "out.run").exists()
