"""Exported files: what is in them, and what is not written."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from jsonschema import validate
from monai.data import load_net_with_metadata
from tests.bundle.running import BUNDLE

from scripts.networks import ExportedNetwork, MultiTaskUNet, PackedOutput
from scripts.workflows import export as export_module
from scripts.workflows.export import describe, export, largest_difference

TARGETS = {
    "normals": {"channels": 3, "kind": "normal"},
    "sheet": {"channels": 1, "deep_supervision": True},
    "depth": {"channels": 1, "kind": "scalar"},
}
SETTINGS = {
    "targets": TARGETS,
    "patch_size": [8, 16, 16],
    "in_channels": 2,
    "features_per_stage": [4, 8],
    "n_blocks_per_stage": [1, 1],
    "strides": [[1, 1, 1], [2, 4, 4]],
    "squeeze_excitation": True,
    "se_ratio": 2,
}
SIZES = [(2, 2, 8, 16, 16), (1, 2, 8, 16, 16), (3, 2, 12, 8, 20)]
"""Batches and sizes of which only the first is like that from which the network is exported."""


def unet(**changes: object) -> MultiTaskUNet:
    torch.manual_seed(0)
    options = {key: value for key, value in (SETTINGS | changes).items() if key != "in_channels"}
    network = MultiTaskUNet(3, 2, options.pop("targets"), decoder="shared", **options)
    for parameter in network.parameters():  # norms that start at zero would hide the blocks
        torch.nn.init.normal_(parameter, std=0.3)
    return network.eval()


def write_training(folder: Path, **changes: object) -> dict[str, Path]:
    """What a training leaves behind: `network.json` and weights."""
    (folder / "network.json").write_text(json.dumps(SETTINGS | changes))
    torch.save(unet(**changes).state_dict(), folder / "model.pt")
    return {"network": folder / "network.json", "weights": folder / "model.pt"}


@pytest.mark.long
@pytest.mark.parametrize("suffix", [".ts", ".pt2", ".onnx"])
def test_every_target_is_the_networks_for_other_batches_and_sizes(tmp_path, suffix):
    if suffix == ".onnx":
        pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
    said = export(tmp_path / "new" / f"model{suffix}", **write_training(tmp_path))
    assert "2 x 2*n x 4*n x 4*n -> normals 0, normals 1, normals 2, sheet, depth\nwritten: " in said
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [f"model{suffix}"]
    exported, network = ExportedNetwork(tmp_path / "new" / f"model{suffix}", TARGETS), unet()
    exported = pickle.loads(pickle.dumps(exported))  # as it comes to other processes
    with torch.no_grad():
        for size in SIZES:
            x = torch.randn(size)
            wanted = network(x)
            assert max(float(output.abs().max()) for output in wanted.values()) > 0.1
            torch.testing.assert_close(exported(x), wanted, atol=1e-4, rtol=0)
    assert exported.plan == network.plan
    with pytest.raises(ValueError, match="axis x has 18 voxels, which 4 does not divide"):
        exported(torch.randn(1, 2, 8, 16, 18))


def test_networks_of_slices_stay_one_voxel_deep(tmp_path):
    changes = {"patch_size": [1, 16, 16], "strides": [[1, 1, 1], [1, 2, 2]]}
    said = export(tmp_path / "model.pt2", **write_training(tmp_path, **changes))
    assert said.startswith("2 x 1 x 2*n x 2*n")
    x = torch.randn(3, 2, 1, 12, 20)
    with torch.no_grad():
        exported = ExportedNetwork(tmp_path / "model.pt2", TARGETS)
        torch.testing.assert_close(exported(x), unet(**changes)(x), atol=1e-4, rtol=0)


def test_a_network_without_plan_keeps_the_patch_size(tmp_path):
    targets = {"sheet": {"channels": 1}, "depth": {"channels": 1, "kind": "scalar"}}
    network_def = {
        "_target_": "scripts.networks.MultiTargetNetwork",
        "targets": targets,
        "patch_size": [8, 8, 8],
        "network": {
            "_target_": "UNet",
            "spatial_dims": 3,
            "in_channels": 1,
            "out_channels": 4,
            "channels": [4, 8],
            "strides": [2],
        },
    }
    settings = {"targets": targets, "patch_size": [8, 8, 8], "in_channels": 1, "network_def": network_def}
    (tmp_path / "network.json").write_text(json.dumps(settings))
    network = export_module.bundle_config(tmp_path / "network.json").get_parsed_content("network_def").eval()
    torch.save(network.state_dict(), tmp_path / "model.pt")
    said = export(tmp_path / "model.pt2", network=tmp_path / "network.json", weights=tmp_path / "model.pt")
    assert said.startswith("1 x 8 x 8 x 8 -> ")
    exported = ExportedNetwork(tmp_path / "model.pt2", targets)
    x = torch.randn(3, 1, 8, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(exported(x), network(x), atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match=r"for windows of \[8, 8, 8\] alone, got \[8, 8, 16\]"):
        exported(torch.randn(1, 1, 8, 8, 16))


def test_what_the_file_says_of_itself_is_valid_metadata_of_this_network(tmp_path):
    export(tmp_path / "model.ts", **write_training(tmp_path))
    _, said, _ = load_net_with_metadata(str(tmp_path / "model.ts"))
    assert said["targets"] == {"normals": 3, "sheet": 1, "depth": 1}
    assert said["pytorch_version"] == torch.__version__
    assert "description" not in said  # which is of the bundle's own weights
    data = said["network_data_format"]
    assert data["inputs"]["image"]["num_channels"] == 2
    assert data["inputs"]["image"]["spatial_shape"] == ["2*n", "4*n", "4*n"]
    assert data["outputs"]["pred"]["channel_def"]["3"] == "sheet"
    own = describe(torch.zeros(2, 1, 8, 8, 8), TARGETS, unet().plan)
    validate(own, json.loads((BUNDLE.parent / "tests/bundle/meta_schema_20240725.json").read_text()))


def test_a_file_that_differs_is_not_written(tmp_path, monkeypatch):
    def noisy(packed: PackedOutput, example: torch.Tensor, plan: object, path: Path, metadata: object) -> None:
        for parameter in packed.parameters():
            parameter.data += 0.1
        export_module._write_torchscript(packed, example, plan, path, metadata)
        for parameter in packed.parameters():
            parameter.data -= 0.1

    monkeypatch.setitem(export_module._WRITERS, ".ts", noisy)
    with pytest.raises(ValueError, match=r"differs from the network's by .* more than tolerance = 0\.0001"):
        export(tmp_path / "model.ts", **write_training(tmp_path))
    assert not list(tmp_path.glob("*.ts"))


def test_the_difference_is_the_largest_of_all_inputs(tmp_path):
    export(tmp_path / "model.ts", **write_training(tmp_path))
    exported, packed = ExportedNetwork(tmp_path / "model.ts", TARGETS), PackedOutput(unet()).eval()

    def wrong(x: torch.Tensor) -> torch.Tensor:
        y = packed(x)
        y[0, 0, 0, 0, 0] += 0 if x.shape[2:] == example.shape[2:] else 2 * y.abs().max()
        return y

    example = torch.randn(2, 2, 8, 16, 16)
    assert largest_difference(packed, exported, example, unet().plan) < 1e-5
    assert largest_difference(wrong, exported, example, unet().plan) > 0.5
    assert largest_difference(wrong, exported, example, None) < 1e-5


def test_a_dry_run_says_what_would_be_written_and_writes_nothing(tmp_path):
    said = export(tmp_path / "model.onnx", dry_run=True).splitlines()
    assert said[0] == "1 x 8*n x 8*n x 8*n -> sheet, normals 0, normals 1, normals 2"
    assert said[1:] == [f"dry run: {tmp_path}/model.onnx is not written"]
    assert not list(tmp_path.iterdir())


def test_what_exists_is_kept(tmp_path):
    (tmp_path / "model.ts").write_text("mine")
    given = write_training(tmp_path)
    with pytest.raises(FileExistsError, match=r"model\.ts exists; choose another output, or pass --overwrite"):
        export(tmp_path / "model.ts", **given)
    assert (tmp_path / "model.ts").read_text() == "mine"
    export(tmp_path / "model.ts", **given, overwrite=True)
    assert (tmp_path / "model.ts").stat().st_size > 1000


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"output": "model.pth"}, ValueError, r"ends in \.ts, \.pt2, \.onnx; got model\.pth"),
        ({"weights": "none.pt"}, ValueError, r"weights none\.pt do not exist"),
        ({"network": None}, ValueError, r"model\.pt belongs to another architecture than network_def"),
        ({"network": "none.json"}, FileNotFoundError, r"none\.json does not exist; expected the network\.json of a"),
    ],
)
def test_what_cannot_be_exported_is_said(tmp_path, changes, error, message):
    with pytest.raises(error, match=message):
        export(**{"output": tmp_path / "model.ts", **write_training(tmp_path), **changes})
    assert not list(tmp_path.glob("*.ts"))


def test_onnx_without_its_packages_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ImportError, match=r"ONNX needs onnx: pip install 'polytome\[export\]'"):
        export(tmp_path / "model.onnx", **write_training(tmp_path))
