"""The page on exports: its commands as they stand there, in a copy of the bundle; predictions by exported networks.

MONAI's own commands on the page are run by test_zoo.
"""

import re
import shlex
import sys
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path

import fire
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from tests.bundle.running import BUNDLE, command, run, write_overlay

from scripts.networks import PackedOutput
from scripts.volumes import create_ome_zarr, open_volume
from scripts.workflows.bundle import bundle
from scripts.workflows.export import export

PAGE = (BUNDLE / "docs" / "export.md").read_text()
VERBS = {"bundle": bundle, "export": export}
NEEDS_GPU = "_trt"
TARGETS = {"sheet": 1, "normals": 3}
EXPORTED = ["configs/inference.json", "configs/inference_exported.json"]

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning"),
]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """Words of the page's commands, without `python -m`."""
    lines = [shlex.split(line) for block in blocks("bash") for line in block.splitlines()]
    assert all(words[:2] == ["python", "-m"] for words in lines)
    return [words[2:] for words in lines]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The bundle's folder as in its zip, with a small volume, after the page's commands that write and predict."""
    pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
    root = tmp_path_factory.mktemp("export")
    bundle(root / "polytome.zip")
    with zipfile.ZipFile(root / "polytome.zip") as archive:
        archive.extractall(root)
    folder = root / "polytome"
    rng = np.random.default_rng(0)
    shape, spacing = (1, 32, 32, 56), (8.0, 8.0, 8.0)
    raw = create_ome_zarr(folder / "data" / "phantom.zarr" / "raw", shape, "uint8", spacing=spacing)
    raw.write((0, 0, 0), rng.integers(1, 255, shape).astype(np.uint8))
    (folder / "output").mkdir()
    write_overlay(folder / "output" / "network.json")  # of a training with the settings of inference.json
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for module, *words in commands():
            if module == "scripts":
                verb, *rest = words
                fire.Fire(VERBS[verb], command=rest)
            elif words[0] == "run" and not any(NEEDS_GPU in word for word in words):
                command(module, *words, cwd=folder)
        yield folder


def voxels(path: Path) -> np.ndarray:
    volume = open_volume(path)
    return volume.read((0, 0, 0), volume.spatial_shape).astype(float)


@pytest.fixture(scope="module")
def plain(folder: Path) -> Path:
    """What the network itself predicts."""
    run("inference", "--device", "cpu", "--output", "output/plain.zarr", configs=EXPORTED[:1], cwd=folder)
    return folder / "output" / "plain.zarr"


def test_the_commands_of_the_page_write_what_it_says(folder: Path) -> None:
    names = {path.name for path in (folder / "models").iterdir()}
    assert names == {"model.pt", "model.ts", "model.pt2", "model.onnx"}
    assert [path.name for path in (folder / "dist").iterdir()] == ["polytome_v0.1.0.zip"]


def test_the_python_of_the_page_reads_what_the_files_say_and_loads_the_network(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (reading, loading) = blocks("python")
    monkeypatch.chdir(folder)
    exec(compile(reading, "export.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == [str(TARGETS)] * 3
    found: dict[str, torch.nn.Module] = {}
    exec(compile(loading.replace(")\n", ', device="cpu")\n'), "export.md", "exec"), found)
    stored = torch.load(folder / "models" / "model.pt", weights_only=True)
    assert all(torch.equal(value, stored[name]) for name, value in found["network"].state_dict().items())


@pytest.mark.parametrize("kind", ["ts", "pt2", "onnx"])
def test_streams_of_exported_networks_are_those_of_the_network(folder: Path, plain: Path, kind: str) -> None:
    for target in TARGETS:
        wanted = voxels(plain / target)
        assert np.ptp(wanted) > 50
        assert np.abs(voxels(folder / "output" / f"{kind}.zarr" / target) - wanted).max() <= 1


def test_unrounded_outputs_agree_in_every_view(folder: Path, plain: Path) -> None:
    """The targets' raw outputs, in mirrored views, of which normals are turned back."""
    overlay = write_overlay(folder / "raw.json", **{"inferer#activate": False, "mirror_axes": ["x"], "device": "cpu"})
    for name, configs in {"a": EXPORTED[:1], "b": EXPORTED}.items():
        given = ("--exported", "models/model.onnx") if name == "b" else ()
        run("inference", *given, "--output", f"output/{name}.zarr", configs=[*configs, overlay], cwd=folder)
    for target in TARGETS:
        wanted, found = (voxels(folder / "output" / f"{name}.zarr" / target) for name in "ab")
        assert np.abs(wanted).max() > 1
        assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max()


def test_a_stream_is_not_continued_with_another_file(folder: Path, plain: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"ts\.zarr holds a run with other settings: network: "):
        run("inference", "--exported", "models/model.pt2", "--output", "output/ts.zarr", configs=EXPORTED, cwd=folder)


def test_windows_that_the_file_does_not_take_are_refused_before_the_start(folder: Path) -> None:
    given = ("--exported", "models/model.ts", "--roi_size", "[20, 32, 32]", "--output", "output/never.zarr")
    with pytest.raises(pytest.fail.Exception, match="axis z has 20 voxels, which 8 does not divide"):
        run("inference", *given, configs=EXPORTED, cwd=folder)
    assert not (folder / "output" / "never.zarr").exists()


def test_an_onnx_file_refuses_another_precision(folder: Path) -> None:
    given = (
        "--exported",
        "models/model.onnx",
        "--precision",
        "bf16",
        "--device",
        "cpu",
        "--output",
        "output/bf16.zarr",
    )
    with pytest.raises(pytest.fail.Exception, match="precision: an ONNX file's number format is fixed"):
        run("inference", *given, configs=EXPORTED, cwd=folder)


def test_the_tensorrt_commands_have_all_targets_and_the_windows_of_inference(monkeypatch: pytest.MonkeyPatch) -> None:
    """They need a GPU: their settings are read, and TensorRT is left out."""
    monkeypatch.setitem(sys.modules, "torch_tensorrt", types.ModuleType("torch_tensorrt"))
    (compiling, predicting) = [words for words in commands() if any(NEEDS_GPU in word for word in words)]
    given = dict(zip(compiling[3::2], compiling[4::2], strict=True))
    parser = ConfigParser()
    parser.read_config(BUNDLE / given["--config_file"])
    parser.update({key[2:]: value for key, value in given.items() if "#" in key})
    parser["pred_network#background"] = parser["pred_network#background"] == "True"
    network = parser.get_parsed_content(compiling[2])
    assert isinstance(network, PackedOutput)
    shape = eval(given["--input_shape"])
    assert shape[2:] == parser.get_parsed_content("roi_size")
    assert network.eval()(torch.zeros(shape)).shape[1] == sum(TARGETS.values())
    parser = ConfigParser()
    parser.read_config([BUNDLE / path for path in eval(predicting[predicting.index("--config_file") + 1])])
    assert parser.get_parsed_content("exported").endswith(given["--filepath"])
    assert parser["network_def"]["_target_"] == "scripts.networks.ExportedNetwork"
