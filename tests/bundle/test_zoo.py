"""What MONAI's Model Zoo asks of a bundle, offline; its commands are run as docs/export.md has them.

`meta_schema_20240725.json` is the schema that `metadata.json` names, of the MONAI Consortium, Apache License 2.0.
"""

import hashlib
import json
import re
import shlex
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import load_net_with_metadata
from tests.bundle.prepared_python import prepared_python
from tests.bundle.running import BUNDLE, command, run

from scripts.networks import ExportedNetwork, MultiTaskUNet, PackedOutput
from scripts.volumes import open_volume
from scripts.workflows import phantom
from scripts.workflows.bundle import LARGEST_FILE, bundle, bundle_files

SCHEMA = Path(__file__).with_name("meta_schema_20240725.json")
METADATA = json.loads((BUNDLE / "configs" / "metadata.json").read_text())
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


def on_page(name: str, *options: object) -> str:
    """Run a command of MONAI as it stands in docs/export.md, with options that replace or follow its own."""
    page = (BUNDLE / "docs" / "export.md").read_text()
    (line,) = re.findall(rf"^python -m (monai\.bundle {name} .*)$", page, re.MULTILINE)
    return command(*shlex.split(line), *map(str, options))


@pytest.fixture(scope="module")
def trained() -> MultiTaskUNet:
    """The network with the weights that come with the bundle."""
    parser = ConfigParser()
    parser.read_config(BUNDLE / "configs" / "inference.json")
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(BUNDLE / "models" / "model.pt", map_location="cpu", weights_only=True))
    return network.eval()


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.randn(1, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0))


def test_metadata_is_valid_by_the_published_schema() -> None:
    assert METADATA["schema"].endswith(f"/{SCHEMA.name}")
    said = command("monai.bundle", "verify_metadata", "--meta_file", "configs/metadata.json", "--filepath", SCHEMA)
    assert "skipped downloading" in said
    assert "metadata is verified with no error" in said


def test_metadata_that_lacks_a_field_is_not_valid(tmp_path: Path) -> None:
    (tmp_path / "metadata.json").write_text(json.dumps({k: v for k, v in METADATA.items() if k != "copyright"}))
    arguments = ("verify_metadata", "--meta_file", tmp_path / "metadata.json", "--filepath", SCHEMA)
    with pytest.raises(pytest.fail.Exception, match="'copyright' is a required property"):
        command("monai.bundle", *arguments)


def test_the_changelog_tells_of_the_version() -> None:
    assert METADATA["version"] in METADATA["changelog"]
    project = (BUNDLE.parent / "pyproject.toml").read_text()
    assert f'version = "{METADATA["version"]}"' in project


def test_versions_are_exact_and_those_that_are_tested() -> None:
    lines = (BUNDLE.parent / "constraints.txt").read_text().splitlines()
    tested = dict(line.lower().split("==") for line in lines if "==" in line)
    named = {name: METADATA[f"{name}_version"] for name in ("monai", "numpy")} | {"torch": METADATA["pytorch_version"]}
    named |= METADATA["required_packages_version"]
    assert {name: tested[name] for name in named} == named
    assert not any("+" in version for version in named.values())


def test_the_files_that_the_zoo_asks_for_are_there_and_small_enough() -> None:
    names = [path.relative_to(BUNDLE).as_posix() for path in bundle_files(BUNDLE)]
    wanted = {"LICENSE", "configs/metadata.json", "configs/inference.json", "configs/logging.conf", "models/model.pt"}
    wanted |= {"docs/README.md", "docs/data_license.txt"}
    assert wanted <= set(names)
    assert "Apache License" in (BUNDLE / "LICENSE").read_text()
    assert max((BUNDLE / name).stat().st_size for name in names) <= LARGEST_FILE
    assert not list(BUNDLE.glob("large_files.*"))  # nothing is left out


def test_configs_have_the_ids_that_the_zoo_names_and_no_path_of_a_person() -> None:
    train, inference = (
        json.loads((BUNDLE / "configs" / f"{name}.json").read_text()) for name in ("train", "inference")
    )
    assert {"bundle_root", "device", "network_def", "inferer", "output_dir"} <= set(inference)
    assert {"bundle_root", "device", "dataset_dir", "output_dir", "val_interval"} <= set(train)
    assert {"trainer", "dataset", "handlers", "preprocessing", "inferer"} <= set(train["train"])
    assert "max_epochs" in train["train"]["trainer"]
    assert {"evaluator", "handlers", "dataset", "preprocessing", "inferer", "key_metric"} <= set(train["validate"])
    assert "data" in train["train"]["dataset"]
    assert "data" in train["validate"]["dataset"]
    for path in (BUNDLE / "configs").iterdir():
        assert not re.search(r"/(home|Users|root|work)/", path.read_text()), path.name


def test_the_readme_has_the_zoos_headings() -> None:
    text = (BUNDLE / "docs" / "README.md").read_text()
    headings = re.findall(r"^(#+ .+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    wanted = ["# Model Overview", "## Data", "### Preprocessing", "## Training configuration", "## Performance"]
    wanted += ["## MONAI Bundle Commands", "## Limitations", "## References", "# License"]
    assert [heading for heading in headings if heading in wanted] == wanted


def test_the_weights_are_a_bare_state_dictionary_that_fits(trained: MultiTaskUNet) -> None:
    stored = torch.load(BUNDLE / "models" / "model.pt", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in stored.values())
    assert list(stored) == list(trained.state_dict())  # which the fixture has loaded strictly


def test_the_network_takes_and_gives_what_the_metadata_says(trained: MultiTaskUNet, image: torch.Tensor) -> None:
    said = on_page("verify_net_in_out")
    assert "data shape of network is verified with no error" in said
    pred = METADATA["network_data_format"]["outputs"]["pred"]
    assert pred["channel_def"] == {"0": "background", "1": "sheet"}
    with torch.no_grad():
        assert PackedOutput(trained, "sheet", background=True)(image).shape[1] == pred["num_channels"]


def test_another_number_of_channels_than_the_metadata_says_is_found() -> None:
    with pytest.raises(pytest.fail.Exception, match="output channel number `2` doesn't match: `3`"):
        on_page("verify_net_in_out", "--_meta_#network_data_format#outputs#pred#num_channels", 3)


@pytest.mark.parametrize("options", [(), ("--use_trace", "True")], ids=["scripted", "traced"])
def test_the_checkpoint_becomes_torchscript_with_the_trained_weights(
    trained: MultiTaskUNet, image: torch.Tensor, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """MONAI copies weights by name and is silent where none fits."""
    on_page("ckpt_export", "--filepath", tmp_path / "model.ts", *options)
    exported, metadata, files = load_net_with_metadata(str(tmp_path / "model.ts"), more_extra_files=["inference.json"])
    larger = torch.cat([image, image.flip(4)], dim=4)
    with torch.no_grad():
        for x in (image, larger):
            wanted = trained(x)["sheet"]
            found = exported(x)
            assert torch.equal(found[:, :1], torch.zeros_like(wanted))
            torch.testing.assert_close(found[:, 1:], wanted, atol=1e-4, rtol=0)
    assert metadata == METADATA
    assert json.loads(files["inference.json"])["pred_target"] == "sheet"


def test_the_checkpoint_becomes_onnx_with_the_trained_weights(
    trained: MultiTaskUNet, image: torch.Tensor, tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
    on_page("onnx_export", "--filepath", tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    with torch.no_grad():
        assert np.abs(found[:, 1:] - trained(image)["sheet"].numpy()).max() < 1e-4


def test_a_tensorrt_network_is_read_by_its_config(
    trained: MultiTaskUNet, image: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorRT needs a GPU; its files are TorchScript, and here one without TensorRT stands for it."""
    monkeypatch.setitem(sys.modules, "torch_tensorrt", types.ModuleType("torch_tensorrt"))
    torch.jit.save(torch.jit.script(PackedOutput(trained)), tmp_path / "model_trt.ts")
    parser = ConfigParser()
    parser.read_config([BUNDLE / "configs" / f"{name}.json" for name in ("inference", "inference_trt")])
    parser.update({"exported": str(tmp_path / "model_trt.ts"), "device": "cpu"})
    network = parser.get_parsed_content("network")
    assert isinstance(network, ExportedNetwork)
    assert not parser.get_parsed_content("handlers")  # none that loads weights
    with torch.no_grad():
        torch.testing.assert_close(network(image), trained(image))


@pytest.fixture(scope="module")
def unzipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle from its zip, with a phantom where its configs look for data; its code says that it is the zip's."""
    folder = tmp_path_factory.mktemp("zip")
    bundle(folder / "polytome.zip")
    with zipfile.ZipFile(folder / "polytome.zip") as archive:
        archive.extractall(folder)
    with (folder / "polytome" / "scripts" / "__init__.py").open("a") as file:
        file.write('\nprint("scripts of the zip")\n')
    phantom(folder / "polytome" / "data" / "phantom.zarr", size=64, n_blocks=2, block=32)
    return folder / "polytome"


def test_the_zip_alone_predicts_what_the_bundle_predicts(unzipped: Path, tmp_path: Path) -> None:
    options = ("inference", "--device", "cpu", "--region", "[[0, 0, 0], [32, 32, 56]]", "--output")
    said = run(*options, tmp_path / "zip.zarr", configs=["configs/inference.json"], cwd=unzipped)
    assert "scripts of the zip" in said
    given = (tmp_path / "ours.zarr", "--input", unzipped / "data" / "phantom.zarr" / "raw")
    assert "scripts of the zip" not in run(*options, *given, configs=["configs/inference.json"])
    for target in ("sheet", "normals"):
        volumes = [open_volume(tmp_path / name / target) for name in ("zip.zarr", "ours.zarr")]
        found, ours = (volume.read((0, 0, 0), volume.spatial_shape) for volume in volumes)
        assert np.array_equal(found, ours)
        assert found.max() > 100


def test_monai_loads_the_network_with_its_weights_from_the_zip(unzipped: Path, trained: MultiTaskUNet) -> None:
    code = """
        import hashlib, torch
        from monai.bundle import load
        network = load("polytome", bundle_dir="..", workflow_type="inference", device="cpu")
        for name, value in network.state_dict().items():
            print("weight", name, hashlib.sha256(value.numpy().tobytes()).hexdigest())
    """
    lines = [line[8:] for line in code.strip("\n").splitlines()]
    data = (unzipped / "data").rename(unzipped.parent / "data")  # a bundle that was just unpacked has none
    done = subprocess.run(
        [prepared_python(), "-c", "\n".join(lines)], cwd=unzipped, capture_output=True, text=True, check=False
    )
    data.rename(unzipped / "data")
    assert done.returncode == 0, done.stderr
    assert "scripts of the zip" in done.stdout
    found = dict(line.split()[1:] for line in done.stdout.splitlines() if line.startswith("weight "))
    assert found == {
        name: hashlib.sha256(value.numpy().tobytes()).hexdigest() for name, value in trained.state_dict().items()
    }
