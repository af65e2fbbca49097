"""What workers that die, hang or fail end with, and that batches are MONAI's where nothing happens."""

import ast
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.transforms import Compose, Lambdad
from tests.bundle.prepared_python import start_server

from scripts.patches import LoaderError, PatchDataset, PatchError, PatchLoader, PatchSampler
from scripts.patches.loader import collate_alike

ROOT = Path(__file__).parents[2]
DATA = [
    {"image": f"scan{number}.zarr", "start": [number, 0, 0], "size": [1, 1, 1], "value": torch.tensor(float(number))}
    for number in range(8)
]


def loader(transform=None, num_workers=0, **options):
    if num_workers:
        start_server()
        options["multiprocessing_context"] = "forkserver"
    return PatchLoader(PatchDataset(DATA, transform), num_workers, batch_size=2, **options)


def at_five(action):
    """A transform that does something when it meets the datum with the value 5."""

    def transform(datum):
        if datum["value"] == 5:
            action()
        return datum

    return transform


class Kill:
    """Ends the process that makes the sample as the system does when memory runs out."""

    def __call__(self, datum):
        if datum["value"] == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return datum


class Sleep:
    def __call__(self, datum):
        if datum["value"] == 5:
            time.sleep(600)
        return datum


class Slow:
    def __call__(self, datum):
        time.sleep(0.3)
        return datum


class Fail:
    def __call__(self, datum):
        if datum["value"] == 5:
            raise ValueError("no such chunk\nand more")
        return datum


class SignalsOf:
    """What Ctrl-C means to the process that makes the sample."""

    def __call__(self, datum):
        os.kill(os.getpid(), signal.SIGINT)
        return {"ignored": signal.getsignal(signal.SIGINT) == signal.SIG_IGN}


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_are_those_of_monai(num_workers):
    sampler = PatchSampler(8, 6, seed=1)
    drawn = [batch["value"].tolist() for batch in loader(None, num_workers, sampler=sampler)]
    sampler.set_epoch(1)
    plain = DataLoader(PatchDataset(DATA), batch_size=2, sampler=sampler)
    assert drawn == [batch["value"].tolist() for batch in plain]


def test_workers_that_persist_serve_every_epoch():
    batches = loader(None, 1, persistent_workers=True, load_timeout=60)
    for _ in range(2):
        assert [batch["value"].tolist() for batch in batches] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert len(batches) == 4


def test_a_worker_that_is_killed_is_told():
    """It may take a batch with it that it had announced."""
    with pytest.raises(LoaderError, match=r"patches has died.*; mostly .* memory had run out: lower num_workers"):
        list(loader(Kill(), 1, load_timeout=60))


@pytest.mark.parametrize("error", [EOFError(), ConnectionResetError(104, "reset"), FileNotFoundError(2, "no socket")])
def test_a_batch_that_a_dead_worker_cannot_hand_over_is_its_death(monkeypatch, error):
    def broken(self):
        raise error
        yield

    monkeypatch.setattr(DataLoader, "__iter__", broken)
    with pytest.raises(LoaderError, match=r"^a process that loads patches has died; mostly"):
        next(iter(loader(num_workers=1)))


def test_errors_of_data_that_look_alike_are_raised(monkeypatch):
    """Of a data set that is not the bundle's."""
    plain = PatchLoader([1], num_workers=0)
    monkeypatch.setattr(DataLoader, "__iter__", lambda self: iter(map(Path.read_text, [Path("/no/such")])))
    with pytest.raises(FileNotFoundError, match=r"/no/such"):
        next(iter(plain))


def test_workers_that_hang_are_told_after_the_timeout(monkeypatch):
    monkeypatch.setattr("scripts.patches.loader._LOOK_EVERY", 0.2)
    made = loader(Sleep(), 1, load_timeout=300)
    batches = iter(made)
    assert [next(batches)["value"].tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    made.load_timeout = 1
    said = r"no batch has come for load_timeout = 1 s .*\(num_workers = 1\): .* raise load_timeout if they are only"
    with pytest.raises(LoaderError, match=said):
        next(batches)


def test_slow_workers_are_waited_for_between_looks(monkeypatch):
    """PyTorch's own timeout, at which it looks after its workers, is shorter than ours."""
    monkeypatch.setattr("scripts.patches.loader._LOOK_EVERY", 0.05)
    batches = loader(Slow(), 1, load_timeout=120)
    assert batches.timeout == 0.05
    assert [batch["value"].tolist() for batch in batches] == [[0, 1], [2, 3], [4, 5], [6, 7]]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_patch_that_cannot_be_made_is_named_in_the_same_words_wherever_it_was(num_workers):
    batches = iter(loader(Fail(), num_workers))
    assert [next(batches)["value"].tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    with pytest.raises(PatchError) as caught:
        next(batches)
    assert str(caught.value) == (
        "patch at [5, 0, 0] of size [1, 1, 1] of scan5.zarr cannot be made: no such chunk\nand more"
    )


def test_what_transforms_of_monai_raise_is_said_without_their_frames():
    def fail(value):
        raise OSError("scan5.zarr: chunk 'c/0' cannot be read")

    dataset = PatchDataset(DATA, Compose([Lambdad("value", fail)]))
    with pytest.raises(PatchError, match=r"of scan0\.zarr cannot be made: scan5\.zarr: chunk 'c/0' cannot be read$"):
        dataset[0]


def test_errors_of_code_say_their_kind_and_place():
    dataset = PatchDataset(DATA, at_five(lambda: {}["lost"]))
    with pytest.raises(PatchError, match=r"cannot be made: KeyError: lost \(.*test_loader\.py, line \d+\)$") as caught:
        dataset[5]
    assert isinstance(caught.value.__cause__.__cause__, KeyError)


def test_a_datum_without_a_place_is_named_by_its_image():
    with pytest.raises(PatchError, match=r"^patch of a\.zarr, b\.zarr cannot be made: invalid literal") as caught:
        PatchDataset([{"image": ["a.zarr", "b.zarr"]}], lambda datum: int("x"))[0]
    assert caught.value.plain == str(caught.value)


def test_workers_leave_ctrl_c_to_the_process_that_they_work_for():
    assert all(batch["ignored"].all() for batch in loader(SignalsOf(), 1))


SHARING = """
import multiprocessing, sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])
from scripts.patches import PatchDataset, PatchLoader

def megabytes(process):
    lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    return [int(line.split()[1]) / 1000 for line in lines if line.startswith(("Rss", "Private"))]

if __name__ == "__main__":
    data = [{"image": "a", "start": [0], "size": [1]}] * 8
    for _ in PatchLoader(PatchDataset(data), 2, multiprocessing_context="forkserver", persistent_workers=True):
        found = [megabytes(process) for process in multiprocessing.active_children()]
    print([(resident, sum(private)) for resident, *private in found])
"""


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="the system does not tell what is shared")
def test_workers_share_what_they_import(tmp_path):
    """A process that imported by itself had 370 of 500 MB alone. Here Python starts, as it does for a user."""
    program = tmp_path / "sharing.py"
    program.write_text(SHARING)
    words = [sys.executable, str(program), str(ROOT / "bundle")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=True)
    found = ast.literal_eval(done.stdout)
    assert len(found) == 2
    assert all(resident > 200 and private < resident / 3 for resident, private in found), found


def test_a_list_as_sampler_holds_numbers():
    assert len(list(loader(sampler=[1, 0, 3]))) == len(list(loader(sampler=list(np.arange(3))))) == 2
    with pytest.raises(ValueError, match=r"sampler must give numbers of patches; got \[range\(0, 2\)\]"):
        loader(sampler=[range(2)])
    with pytest.raises(ValueError, match=r"sampler must give numbers of patches; got \[\]"):
        loader(sampler=[])


def test_patches_come_in_batches():
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1; got None"):
        PatchLoader(PatchDataset(DATA), batch_size=None)


@pytest.mark.parametrize("timeout", [0, -1.5])
def test_a_timeout_that_is_not_positive_is_an_error(timeout):
    with pytest.raises(ValueError, match=rf"load_timeout must be a positive number of seconds.*got {timeout}"):
        loader(load_timeout=timeout)


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ([(2, 3), (2, 4)], r"differ: 'image' \(2, 3\) and \(2, 4\)\. Transforms must leave"),
        ([(2, 3), None], r"differ: 'image' \(2, 3\) and missing\."),
    ],
)
def test_patches_of_unlike_shapes_are_told_by_key(samples, said):
    batch = [{"image": None if shape is None else torch.zeros(shape), "seed": 1} for shape in samples]
    with pytest.raises(PatchError, match=said):
        collate_alike(batch)


def test_patches_of_one_shape_become_a_batch():
    batch = collate_alike(
        [{"image": torch.full((2,), float(n)), "name": "a", "patch": {"start": [n]}} for n in range(2)]
    )
    assert batch["image"].tolist() == [[0, 0], [1, 1]]
    assert collate_alike([torch.zeros(1), torch.ones(1)]).tolist() == [[0], [1]]
