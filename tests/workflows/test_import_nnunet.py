"""From a checkpoint in nnU-Net's layout to weights and a config that go together."""

import json
import os
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from tests.bundle.prepared_python import prepared_python

from scripts.networks import MultiTaskUNet
from scripts.workflows.import_nnunet import import_nnunet

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "networks" / "data"
TABLE = {"classes": {"channels": 3}, "normals": {"channels": 3, "kind": "normal"}, "sheet": {"channels": 1}}
NETWORK_KEYS = (
    *("in_channels", "targets", "patch_size", "features_per_stage", "n_blocks_per_stage", "strides", "kernel_sizes"),
    *("n_conv_per_stage_decoder", "squeeze_excitation", "norm", "act", "conv_bias", "upsampling", "decoder"),
    "deep_supervision",
)


@pytest.fixture(scope="module")
def recorded():
    return torch.load(DATA / "resenc_3d.pt", weights_only=True)


def _plans(arguments, transpose=(0, 1, 2)):
    dims = len(arguments["strides"][0])
    kwargs = {name: value for name, value in arguments.items() if name not in ("input_channels", "num_classes")}
    kwargs |= {
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
    }
    kwargs |= {"nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True}}
    name = "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet"
    full = {
        "patch_size": [4, 12, 8][-dims:],
        "spacing": [3.0, 1.0, 0.99999999][-dims:],
        "normalization_schemes": ["ZScoreNormalization"],
        "architecture": {"network_class_name": name, "arch_kwargs": kwargs},
    }
    return {"transpose_forward": list(transpose), "configurations": {"3d_fullres": full}}


@pytest.fixture
def checkpoint(tmp_path, recorded):
    """A checkpoint as nnU-Net's trainer writes it."""
    path = tmp_path / "checkpoint_final.pth"
    arguments = recorded["arguments"]
    content = {
        "network_weights": {f"module.{name}": value for name, value in recorded["weights"].items()},
        "optimizer_state": {"state": {}, "param_groups": [{"lr": 0.01}]},
        "grad_scaler_state": {"scale": 65536.0},
        "logging": {"train_losses": [np.float32(0.5), np.float64(0.25)], "dice_per_class_or_region": [[np.float64(1)]]},
        "_best_ema": np.float64(0.9),
        "current_epoch": 1000,
        "init_args": {
            "plans": _plans(arguments),
            "configuration": "3d_fullres",
            "fold": 0,
            "dataset_json": {"labels": {"background": 0, "left": 1, "right": 2}},
            "device": torch.device("cuda"),
        },
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }
    torch.save(content, path)
    return path


def _changed(path, **changes):
    """The same checkpoint with other entries."""
    torch.save(torch.load(path, weights_only=False) | changes, path)
    return path


def _network(config_path):
    """The network that the overlay describes, in evaluation mode, with the weights that it names."""
    overlay = json.loads(config_path.read_text())
    definition = {"_target_": "scripts.networks.MultiTaskUNet", "spatial_dims": len(overlay["patch_size"])}
    definition |= {key: f"@{key}" for key in NETWORK_KEYS}
    network = ConfigParser(overlay | {"network_def": definition}).get_parsed_content("network_def")
    assert isinstance(network, MultiTaskUNet)
    network.load_state_dict(torch.load(overlay["weights"], weights_only=True))
    return network.eval()


def test_command_line_from_checkpoint_to_equal_outputs(tmp_path, checkpoint, recorded):
    table = tmp_path / "targets.json"
    table.write_text(json.dumps({"targets": TABLE}))
    words = ["-m", "scripts", "import-nnunet", checkpoint, "--output_path", tmp_path / "out" / "m.pt"]
    process = subprocess.run(
        [prepared_python(), *words, "--targets", table],
        cwd=ROOT / "bundle",
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    said = process.stdout
    assert (
        "trained by nnU-Net (3d_fullres) at spacing [3.0, 1.0, 1.0], images normalised by ZScoreNormalization" in said
    )
    assert "classes background, left, right" in said
    assert "loaded encoder, decoders.classes, decoders.normals, decoders.sheet, heads.classes" in said
    assert (
        "starting anew, not in the file or with other channels there: heads.sheet.levels.0, heads.sheet.levels.1"
        in said
    )

    overlay = json.loads((tmp_path / "out" / "m.json").read_text())
    assert overlay["patch_size"] == [4, 12, 8]
    assert overlay["n_conv_per_stage_decoder"] == [1, 2]
    assert overlay["targets"] == TABLE
    outputs = _network(tmp_path / "out" / "m.json")(recorded["input"])
    for name in ("classes", "normals"):
        torch.testing.assert_close(outputs[name], recorded["outputs"][0], rtol=1e-5, atol=1e-5)


def test_default_target_has_nnunets_classes(tmp_path, checkpoint, recorded):
    said = import_nnunet(checkpoint, output_path=tmp_path / "m.pt", deep_supervision=False, decoder="shared")
    overlay = json.loads((tmp_path / "m.json").read_text())
    assert overlay["targets"] == {"segmentation": {"channels": 3}}
    assert (overlay["decoder"], overlay["deep_supervision"]) == ("shared", False)
    assert "loaded encoder, shared_decoder, heads.segmentation.levels.0;" in f"{said.splitlines()[1]};"
    output = _network(tmp_path / "m.json")(recorded["input"])["segmentation"]
    torch.testing.assert_close(output, recorded["outputs"][0], rtol=1e-5, atol=1e-5)


def test_transposed_axes_are_put_back(tmp_path, checkpoint, recorded):
    given = torch.load(checkpoint, weights_only=False)["init_args"]
    given["plans"] = _plans(recorded["arguments"], transpose=(2, 0, 1))
    _changed(checkpoint, init_args=given)
    said = import_nnunet(checkpoint, output_path=tmp_path / "m.pt")
    assert "at spacing [1.0, 1.0, 3.0]" in said
    overlay = json.loads((tmp_path / "m.json").read_text())
    assert overlay["patch_size"] == [12, 8, 4]
    assert overlay["strides"] == [[1, 1, 1], [2, 2, 1], [2, 2, 2]]
    # nnU-Net turned the image's z y x into x z y; the recorded input is such a turned image
    image = recorded["input"].permute(0, 1, 3, 4, 2)  # B C x z y -> B C z y x
    output = _network(tmp_path / "m.json")(image)["segmentation"]
    torch.testing.assert_close(output.permute(0, 1, 4, 2, 3), recorded["outputs"][0], rtol=1e-5, atol=1e-5)


def test_2d_network(tmp_path, checkpoint):
    recorded = torch.load(DATA / "resenc_2d.pt", weights_only=True)
    given = torch.load(checkpoint, weights_only=False)["init_args"] | {"plans": _plans(recorded["arguments"])}
    _changed(checkpoint, init_args=given, network_weights=recorded["weights"])
    import_nnunet(checkpoint, output_path=tmp_path / "m.pt")
    overlay = json.loads((tmp_path / "m.json").read_text())
    assert (overlay["patch_size"], overlay["conv_bias"]) == ([12, 8], False)
    output = _network(tmp_path / "m.json")(recorded["input"])["segmentation"]
    torch.testing.assert_close(output, recorded["outputs"][0], rtol=1e-5, atol=1e-5)


def test_weights_alone_do_without_plans(tmp_path, recorded):
    torch.save(recorded["weights"], tmp_path / "bare.pth")
    said = import_nnunet(tmp_path / "bare.pth", output_path=tmp_path / "m.pt", targets='{"sheet": {"channels": 1}}')
    assert "the file has no plans: patch_size is left to the training config" in said
    assert "not used: the segmentation layers, as no target has their 3 channels" in said
    overlay = json.loads((tmp_path / "m.json").read_text())
    assert "patch_size" not in overlay
    assert overlay["strides"] == recorded["arguments"]["strides"]


def test_regions_are_named(tmp_path, checkpoint):
    given = torch.load(checkpoint, weights_only=False)["init_args"]
    given["dataset_json"] = {"labels": {"background": 0, "whole": [1, 2], "core": 2}}
    said = import_nnunet(_changed(checkpoint, init_args=given), output_path=tmp_path / "m.pt")
    assert "classes background, whole, core (regions that may overlap" in said


def test_numbers_saved_by_numpy_1_are_loaded(tmp_path, checkpoint):
    with zipfile.ZipFile(checkpoint) as new, zipfile.ZipFile(tmp_path / "old.pth", "w") as old:
        for name in new.namelist():
            old.writestr(name, new.read(name).replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert b"numpy.core.multiarray" in (tmp_path / "old.pth").read_bytes()
    assert "wrote" in import_nnunet(tmp_path / "old.pth", output_path=tmp_path / "m.pt")


class _Code:
    """An object that a checkpoint should not hold."""


def test_objects_are_loaded_on_demand_only(tmp_path, checkpoint):
    _changed(checkpoint, logging=_Code())
    with pytest.raises(ValueError, match=r"could run code when it is loaded \(.*_Code\); .* pass --trust"):
        import_nnunet(checkpoint, output_path=tmp_path / "m.pt")
    assert not (tmp_path / "m.pt").exists()
    assert "wrote" in import_nnunet(checkpoint, output_path=tmp_path / "m.pt", trust=True)


def test_contradicting_plans_are_refused(tmp_path, checkpoint, recorded):
    given = torch.load(checkpoint, weights_only=False)["init_args"]
    given["plans"] = _plans(recorded["arguments"] | {"n_blocks_per_stage": [1, 2, 3]})
    with pytest.raises(
        ValueError, match=r"n_blocks_per_stage is \[1, 2, 3\] by the plans, and \[1, 2, 2\] by the weights"
    ):
        import_nnunet(_changed(checkpoint, init_args=given), output_path=tmp_path / "m.pt")


def test_files_that_are_missing_taken_or_no_checkpoints(tmp_path, checkpoint):
    with pytest.raises(FileNotFoundError, match=r"none\.pth does not exist"):
        import_nnunet(tmp_path / "none.pth", output_path=tmp_path / "m.pt")
    (tmp_path / "text.pth").write_text("no checkpoint")
    with pytest.raises(ValueError, match=r"text\.pth is no checkpoint"):
        import_nnunet(tmp_path / "text.pth", output_path=tmp_path / "m.pt")
    with zipfile.ZipFile(tmp_path / "other.pth", "w") as archive:
        archive.writestr("text", "no checkpoint")
    with pytest.raises(ValueError, match=r"other\.pth is no checkpoint: "):
        import_nnunet(tmp_path / "other.pth", output_path=tmp_path / "m.pt")
    torch.save([1], tmp_path / "list.pth")
    with pytest.raises(ValueError, match=r"list\.pth holds a list; expected an nnU-Net checkpoint"):
        import_nnunet(tmp_path / "list.pth", output_path=tmp_path / "m.pt")
    with pytest.raises(ValueError, match=r"expected a name such as model\.pt for the weights, got m\.json"):
        import_nnunet(checkpoint, output_path="m.json")
    with pytest.raises(ValueError, match=r"targets: \{broken is no JSON"):
        import_nnunet(checkpoint, output_path=tmp_path / "m.pt", targets="{broken")
    import_nnunet(checkpoint, output_path=tmp_path / "m.pt")
    with pytest.raises(FileExistsError, match=r"m\.pt exists; choose another path, or pass --overwrite"):
        import_nnunet(checkpoint, output_path=tmp_path / "m.pt")
    assert "wrote" in import_nnunet(checkpoint, output_path=tmp_path / "m.pt", overwrite=True)


def test_a_dry_run_says_what_would_be_loaded_and_writes_nothing(tmp_path, checkpoint):
    before = sorted(tmp_path.iterdir())
    said = import_nnunet(checkpoint, output_path=tmp_path / "m.pt", dry_run=True)
    assert sorted(tmp_path.iterdir()) == before
    wet = import_nnunet(checkpoint, output_path=tmp_path / "m.pt")
    assert said.splitlines()[:-1] == wet.splitlines()[:-1]
    assert said.endswith(f"dry run: {tmp_path / 'm.pt'} and {tmp_path / 'm.json'} are not written")
