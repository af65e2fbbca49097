"""Blocks in several worker processes against one process: the same bytes, also when a worker dies."""

import os
import signal
import time
from pathlib import Path

import distributed
import numpy as np
import pytest
import torch

from scripts.inferers import Distributed, ZarrSlidingWindowInferer
from scripts.volumes import OmeZarrWriter, create_ome_zarr, open_volume

pytestmark = pytest.mark.usefixtures("prepared_workers")

TARGETS = {"sheet": {"channels": 1}, "normals": {"channels": 3, "kind": "normal"}}
ARGUMENTS = {
    "roi_size": (16, 12, 12),
    "overlap": 0.5,
    "targets": TARGETS,
    "chunk_size": 10,
    "block_size": 20,
    "sw_batch_size": 2,
    "levels": 3,
}


class Logging(torch.nn.Module):
    """Two outputs; each process notes how many windows it saw, and may die at its first batch, once."""

    def __init__(self, folder, dies=False, seconds=0.0):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Conv3d(1, 4, 3, padding=1)
        self.folder, self.dies, self.seconds = Path(folder), dies, seconds

    def forward(self, x):
        if self.dies:
            try:
                (self.folder / "dead").touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)
            except FileExistsError:
                pass
        time.sleep(self.seconds)
        with (self.folder / f"{os.getpid()}.seen").open("a") as file:
            file.write(f"{len(x)}\n")
        both = self.layer(x) + torch.linspace(0, 1, x.shape[-1])
        return {"sheet": both[:, :1], "normals": both[:, 1:]}


def windows_seen(folder):
    """Windows that each process evaluated."""
    return [sum(map(int, file.read_text().split())) for file in Path(folder).glob("*.seen")]


def snapshot(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def volume(tmp_path_factory):
    path = tmp_path_factory.mktemp("in") / "in.zarr"
    data = np.random.default_rng(0).normal(size=(1, 60, 50, 40)).astype(np.float32)
    create_ome_zarr(path, data.shape, "float32", spacing=(1, 1, 1), chunks=(16, 16, 16)).write((0, 0, 0), data)
    return open_volume(path)


@pytest.fixture(scope="module")
def alone(volume, tmp_path_factory):
    """Bytes and windows of one process with one thread, as workers have."""
    folder = tmp_path_factory.mktemp("alone")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        ZarrSlidingWindowInferer(**ARGUMENTS, output=folder / "out")(volume, Logging(folder))
    finally:
        torch.set_num_threads(threads)
    return snapshot(folder / "out.zarr"), sum(windows_seen(folder))


@pytest.fixture(scope="module")
def scheduler():
    """Address of a scheduler with two workers."""
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster.scheduler_address


@pytest.mark.parametrize("n_workers", [1, 4])
def test_any_number_of_workers_gives_the_bytes_of_one_process(volume, alone, tmp_path, n_workers):
    inferer = ZarrSlidingWindowInferer(**ARGUMENTS, output=tmp_path / "out", executor=Distributed(n_workers=n_workers))
    inferer(volume, Logging(tmp_path, seconds=0.01))
    seen = windows_seen(tmp_path)
    assert snapshot(tmp_path / "out.zarr") == alone[0]
    assert sum(seen) == inferer.totals.evaluated == alone[1]
    assert len(seen) == n_workers  # each had its share
    assert not (tmp_path / "out.run").exists()


def test_the_coarser_levels_are_made_by_workers_too(volume, alone, tmp_path, scheduler, monkeypatch):
    def refuse(*_):
        raise AssertionError("made here")

    monkeypatch.setattr(OmeZarrWriter, "write_level_block", refuse)  # in this process
    executor = Distributed(cluster=scheduler)
    ZarrSlidingWindowInferer(**ARGUMENTS, output=tmp_path / "out", executor=executor)(volume, Logging(tmp_path))
    assert any(name.startswith("sheet/2/c/") for name in alone[0])
    assert snapshot(tmp_path / "out.zarr") == alone[0]


def test_a_worker_that_dies_costs_its_block(volume, alone, tmp_path):
    inferer = ZarrSlidingWindowInferer(**ARGUMENTS, output=tmp_path / "out", executor=Distributed(n_workers=2))
    inferer(volume, Logging(tmp_path, dies=True))
    assert (tmp_path / "dead").exists()
    assert snapshot(tmp_path / "out.zarr") == alone[0]
    assert sum(windows_seen(tmp_path)) == alone[1]  # it died before it had evaluated any


def test_what_one_process_began_workers_finish(volume, alone, tmp_path, scheduler):
    """A run that stopped goes on elsewhere."""
    network = Logging(tmp_path)
    forward, calls = network.forward, []

    def stopping(x):
        calls.append(1)
        if len(calls) > 40:
            raise KeyboardInterrupt
        return forward(x)

    network.forward = stopping
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with pytest.raises(KeyboardInterrupt):
            ZarrSlidingWindowInferer(**ARGUMENTS, output=tmp_path / "out")(volume, network)
    finally:
        torch.set_num_threads(threads)
    inferer = ZarrSlidingWindowInferer(**ARGUMENTS, output=tmp_path / "out", executor=Distributed(scheduler))
    inferer(volume, Logging(tmp_path))
    assert inferer.totals.resumed > 0
    assert snapshot(tmp_path / "out.zarr") == alone[0]


def test_a_running_scheduler_is_used_by_its_address(volume, alone, tmp_path, scheduler):
    inferer = ZarrSlidingWindowInferer(**ARGUMENTS, output=tmp_path / "out", executor=Distributed(scheduler))
    inferer(volume, Logging(tmp_path, seconds=0.01))
    assert snapshot(tmp_path / "out.zarr") == alone[0]
    assert sum(windows_seen(tmp_path)) == alone[1]
    assert len(windows_seen(tmp_path)) == 2


def test_a_worker_without_the_package_is_named(volume, tmp_path):
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster:
        with distributed.Client(cluster) as client:
            client.run(hide_package)
        inferer = ZarrSlidingWindowInferer(
            **ARGUMENTS,
            output=tmp_path / "out",
            executor=Distributed(cluster, code_path=tmp_path / "nowhere"),
        )
        with pytest.raises(RuntimeError, match=r"worker tcp://.* cannot import the package 'scripts'; .*nowhere"):
            inferer(volume, Logging(tmp_path))


def hide_package():
    import sys

    sys.path[:] = [path for path in sys.path if not (Path(path) / "scripts").is_dir()]
    for name in [name for name in sys.modules if name.split(".")[0] == "scripts"]:
        del sys.modules[name]


def test_an_error_in_a_worker_is_raised_here(volume, tmp_path, scheduler):
    inferer = ZarrSlidingWindowInferer(
        **{**ARGUMENTS, "targets": {"other": {"channels": 1}}},
        output=tmp_path / "out",
        executor=Distributed(scheduler),
    )
    with pytest.raises(ValueError, match="the network has no output 'other'; its outputs: sheet, normals"):
        inferer(volume, Logging(tmp_path))
