"""Normals stored as uint16: what the printed commands make of them."""

import shlex
import subprocess
import sys

import numpy as np
import pytest
import zarr
from tests.workflows.task_files import MINIMAL, SHEETNORM, changed, imported

from scripts.volumes import NORMAL_UINT16, encode, open_volume


@pytest.mark.parametrize("form", [2, 3])
def test_normals_as_they_were_stored_can_be_read_after_the_printed_command(tmp_path, form):
    rng = np.random.default_rng(0)
    normals = rng.normal(size=(3, 4, 5, 6))
    normals /= np.linalg.norm(normals, axis=0)
    stored = encode(normals, NORMAL_UINT16, "uint16")
    stored[:, 0, 0, 0] = 0  # no normal there
    first, last = tmp_path / "first's.zarr", tmp_path / "last.zarr"
    for path, data in ((first, stored), (last, stored.transpose(1, 2, 3, 0))):  # C Z Y X -> Z Y X C
        zarr.create_array(str(path), data=data, chunks=(2, 2, 2, 3), zarr_format=form)
    volumes = [{"input": "/d/raw.zarr", "normals": str(path)} for path in (first, last)]
    task = changed(MINIMAL, dataset_config={"targets": {"normals": {"channels": 3}}, "volume_paths": volumes})
    said, train, _ = imported(tmp_path, task)
    commands = [line[line.index("python -c") :] for line in said.splitlines() if "python -c" in line]
    assert len(commands) == 2
    for line in commands:
        subprocess.run([sys.executable, *shlex.split(line)[1:]], check=True)
    expected = stored / 32767.5 - 1
    expected[:, 0, 0, 0] = 0
    for row in train["volumes"]:
        volume = open_volume(row["normals"])
        np.testing.assert_allclose(volume.decode(volume.read((0, 0, 0), (4, 5, 6))), expected, atol=1e-6)
    assert "python -c" not in imported(tmp_path, task)[0]


def test_unreadable_normals_are_advised_upon(tmp_path):
    said, _, _ = imported(tmp_path, SHEETNORM)
    assert "normals: /d/normals.zarr cannot be opened here; if it holds uint16, state its encoding first" in said
