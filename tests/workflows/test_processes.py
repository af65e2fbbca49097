"""Several processes, started as torchrun does."""

import os
import subprocess
import sys

import pytest
from tests.bundle.prepared_python import prepared_python

from scripts.workflows import join_processes
from scripts.workflows.processes import first_process_finds

PROGRAM = """
import sys
import torch.distributed as dist
from scripts.workflows.processes import first_process_finds, join_processes
join_processes(True)
found = first_process_finds(lambda: sys.argv[1:] + [str(dist.get_rank())] if len(sys.argv) > 1 else [])
open(f"rank{dist.get_rank()}.txt", "w").write(repr(found) + dist.get_backend())
dist.destroy_process_group()
"""


@pytest.fixture
def launch(tmp_path):
    def run(*arguments):
        (tmp_path / "program.py").write_text(PROGRAM)
        words = [prepared_python(), "-m", "torch.distributed.run", "--nproc_per_node=2", "program.py", *arguments]
        path = os.pathsep.join(sys.path)
        done = subprocess.run(
            words, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, check=False
        )
        return done.returncode, {file.name: file.read_text() for file in tmp_path.glob("rank*.txt")}

    return run


def test_without_faults_all_go_on(launch):
    code, files = launch()
    assert code == 0
    assert files == {"rank0.txt": "[]gloo", "rank1.txt": "[]gloo"}


def test_faults_are_those_of_the_first_and_the_others_end(launch):
    code, files = launch("no such volume")
    assert code != 0
    assert files.get("rank0.txt", "['no such volume', '0']gloo") == "['no such volume', '0']gloo"
    assert "rank1.txt" not in files


def test_one_process_is_alone():
    join_processes(False)
    assert first_process_finds(lambda: ["fault"]) == ["fault"]


def test_a_process_that_torchrun_has_not_started_cannot_join():
    with pytest.raises(ValueError, match=r"started by torchrun: torchrun --nproc_per_node=GPUS -m monai\.bundle run"):
        join_processes(True)
