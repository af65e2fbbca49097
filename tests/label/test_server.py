"""A real MONAI Label server, set up by the commands of docs/monai_label.md, against the bundle's own predictions."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pytest
from tests.bundle.running import BUNDLE, options, run, write_overlay

from scripts.volumes import open_volume
from scripts.workflows import phantom

pytestmark = pytest.mark.label

STUB = Path(__file__).parent / "stub"

SCANS = {
    "scan": [[0.5, 0, 0, 1], [0, 0.5, 0, 2], [0, 0, 0.8, 3], [0, 0, 0, 1]],
    "oblique": [[0.43, -0.21, 0.55, -30], [0.2, 0.66, -0.52, 12.5], [-0.16, 0.27, 0.78, 7], [0, 0, 0, 1]],
    "flipped": [[0, 0, -1.2, 9], [-0.5, 0, 0, -8], [0, 0.6, 0, 7], [0, 0, 0, 1]],
}
"""From voxel x, y, z to position."""

SECONDS_TO_START = 120


@dataclass
class Server:
    """Where it runs, and how it is asked."""

    folder: Path
    port: int
    commands: list[str]

    def get(self, path: str) -> dict:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
            return json.load(answer)

    def ask(self, scan: str) -> nibabel.Nifti1Image:
        """The label of a scan, by the command of the documentation."""
        (command,) = [text for text in self.commands if text.startswith("curl")]
        assert "image=scan&" in command
        shell(command.replace("image=scan&", f"image={scan}&"), self.folder)
        label = nibabel.load(self.folder / "label.nii.gz")
        return nibabel.Nifti1Image(np.asarray(label.dataobj), label.affine)


def shell(command: str, folder: Path, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command, cwd=folder, shell=True, capture_output=True, text=True, timeout=120, check=False, env=environment
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def orthogonal(affine: list[list[float]]) -> np.ndarray:
    """The same voxel sizes and nearly the same directions, at right angles, as ITK wants them."""
    matrix = np.array(affine, float)
    sizes = np.linalg.norm(matrix[:3, :3], axis=0)
    left, _, right = np.linalg.svd(matrix[:3, :3] / sizes)
    matrix[:3, :3] = left @ right * sizes
    return matrix


def documented_commands(python: Path, port: int) -> list[str]:
    """Command blocks of the page after the installation, for this interpreter and port."""
    blocks = re.findall(r"```bash\n(.*?)```", (BUNDLE / "docs" / "monai_label.md").read_text(), re.DOTALL)
    assert "tests/label/requirements.txt" in blocks[0]
    assert all("label-venv/bin/python" in block for block in blocks[:3])
    return [
        block.strip().replace("label-venv/bin/python", str(python)).replace("8000", str(port)) for block in blocks[1:]
    ]


@pytest.fixture(scope="module")
def server(label_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("label")
    for name in ("configs", "models", "scripts"):
        shutil.copytree(BUNDLE / name, folder / "bundle" / name, ignore=shutil.ignore_patterns("__pycache__"))
    phantom(folder / "phantom.zarr", size=64, n_blocks=2, block=32)
    part = open_volume(folder / "phantom.zarr" / "raw").read((5, 0, 8), (40, 50, 56))[0]
    (folder / "studies").mkdir()
    for name, affine in SCANS.items():
        image = nibabel.Nifti1Image(part.T, orthogonal(affine))  # z y x -> x y z
        image.header.set_xyzt_units("mm")
        nibabel.save(image, folder / "studies" / f"{name}.nii.gz")

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    found = subprocess.run([label_python, "-c", "import torchvision"], capture_output=True, check=False)
    environment = os.environ | {"MONAI_LABEL_SESSION_PATH": str(folder / "sessions")}
    environment.pop("PYTHONPATH", None)
    if found.returncode != 0:
        environment["PYTHONPATH"] = str(STUB)
    prepare, start, *others = documented_commands(label_python, port)
    shell(prepare, folder, environment)
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            f"exec {start}", cwd=folder, shell=True, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wanted = Server(folder, port, others)
        wait_for(wanted, process)
        yield wanted
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(server: Server, process: subprocess.Popen) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end and process.poll() is None:
        try:
            server.get("/info/")
        except OSError:
            time.sleep(0.5)
        else:
            return
    pytest.fail(f"the server did not start:\n{(server.folder / 'server.log').read_text()[-6000:]}")


@pytest.fixture(scope="module")
def own(server: Server) -> Path:
    """What the bundle itself writes for each scan."""
    images = [{"image": str(server.folder / "studies" / f"{name}.nii.gz")} for name in SCANS]
    overlay = write_overlay(server.folder / "inputs.json", input_data=images)
    run(
        "inference",
        *options(output=server.folder / "own" / "{name}.nii.gz", threshold=0.5, device="cpu"),
        configs=["configs/inference.json", overlay],
    )
    return server.folder / "own"


def test_the_server_offers_the_target_of_the_metadata(server: Server) -> None:
    models = server.get("/info/")["models"]
    assert list(models) == ["polytome"]
    assert models["polytome"]["labels"] == {"sheet": 1}
    assert models["polytome"]["type"] == "segmentation"
    assert models["polytome"]["version"] == json.loads((BUNDLE / "configs" / "metadata.json").read_text())["version"]


@pytest.mark.parametrize("scan", SCANS)
def test_the_label_that_is_posted_back_is_the_bundles_own(server: Server, own: Path, scan: str) -> None:
    label = server.ask(scan)
    expected = nibabel.load(own / f"{scan}_sheet.nii.gz")
    source = nibabel.load(server.folder / "studies" / f"{scan}.nii.gz")
    assert label.shape == source.shape
    np.testing.assert_allclose(label.affine, source.affine, atol=1e-5)
    ours, voxels = np.asarray(label.dataobj), np.asarray(expected.dataobj)
    assert ours.dtype == voxels.dtype == np.uint8
    assert 0.02 < voxels.mean() < 0.98
    # a probability of just 0.5 is rounded by each in its own way
    assert np.count_nonzero(ours != voxels) <= voxels.size // 5000
