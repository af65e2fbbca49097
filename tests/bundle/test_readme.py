"""The README's commands, run as they stand on small data."""

import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tifffile
from tests.bundle.prepared_python import prepared_python

from scripts.volumes import create_ome_zarr, open_volume

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SHRINK = "--max_epochs 1 --max_steps_per_epoch 2 --max_val_steps_per_epoch 1"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def run(script, folder):
    path = f"{Path(prepared_python()).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_WAIT_POLICY": "PASSIVE"}
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture
def data(tmp_path):
    """A scan with sheets across it, labelled everywhere."""
    z = np.indices((32, 32, 32))[0]
    sheet = ((z % 5) < 3).astype(np.uint8)[None]
    scan = (sheet * 120 + np.random.default_rng(0).integers(0, 60, sheet.shape)).astype(np.uint8)
    for name, array in (("scan", scan), ("sheet", sheet)):
        create_ome_zarr(tmp_path / f"{name}.zarr", array.shape, "uint8", spacing=(8,) * 3, unit="um").write(
            (0, 0, 0), array
        )
    return tmp_path


@pytest.mark.long
def test_training_on_your_own_zarr_and_swapping_a_component(data):
    own = next(block for block in blocks("bash") if "my_train.json" in block)
    assert own.startswith(". .venv/bin/activate && cd bundle\n")
    script = own.removeprefix(". .venv/bin/activate && cd bundle\n").replace("/data", str(data))
    assert "[64, 64, 64]" in script
    script = script.replace("[64, 64, 64]", "[16, 16, 16]").replace(
        "my_train.json']\"\n", f"my_train.json']\" {SHRINK}\n"
    )
    run(script, ROOT / "bundle")
    prediction = open_volume(data / "prediction.zarr" / "sheet")
    assert prediction.spatial_shape == (32, 32, 32)
    assert prediction.spacing == (8.0, 8.0, 8.0)
    assert (data / "run" / "history.csv").is_file()
    objects = next(block for block in blocks("bash") if "process.json" in block).replace("/data", str(data))
    shown = run(re.sub(r"(scripts view .*) +#.*", r"\1 --no_wait", objects), ROOT / "bundle")
    assert open_volume(data / "objects.zarr" / "objects").spatial_shape == (32, 32, 32)
    assert all(name in shown for name in ("scan", "prediction/sheet", "objects/objects"))

    swap = next(block for block in blocks("json") if "torch.optim.SGD" in block)
    (data / "swap.json").write_text(json.dumps(json.loads(swap)))
    configs = ["configs/train.json", str(data / "my_train.json"), str(data / "swap.json")]
    out = run(f'python -m monai.bundle run training --config_file "{configs}" {SHRINK}', ROOT / "bundle")
    assert "train_depth" in out


def test_converting_a_tiff(tmp_path):
    voxels = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)
    tifffile.imwrite(tmp_path / "scan.tif", voxels)
    command = re.search(r"`(python -m scripts convert [^`]*)`", README)[1]
    run(f"export PYTHONPATH={ROOT / 'bundle'}; {command}", tmp_path)
    scan = open_volume(tmp_path / "scan.zarr")
    assert np.array_equal(scan.read((0, 0, 0), (5, 6, 7))[0], voxels)
    assert scan.spacing == (8.0, 8.0, 8.0)
    assert scan.unit == "um"


def test_the_make_targets_exist():
    for target in re.findall(r"`?make ([a-z]+)", README):
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, target
