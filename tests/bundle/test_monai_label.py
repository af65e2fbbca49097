"""inference.json as MONAI Label uses it: the label map of a scan, against what the bundle itself writes.

What MONAI Label's `BundleInferTask` does with a bundle is done again here, without MONAI Label; tests/label starts the
real server.
"""

import json
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import decollate_batch
from monai.transforms import LoadImage, SaveImage
from tests.bundle.running import BUNDLE

from scripts.volumes import open_resampled, open_volume

INFERENCE = BUNDLE / "configs" / "inference.json"
REPOSITORY = BUNDLE.parent

SMALL = {
    "patch_size": [16, 16, 16],
    "features_per_stage": [4, 8],
    "n_blocks_per_stage": [1, 1],
    "device": "cpu",
    "targets": {
        "sheet": {"channels": 1},
        "parts": {"channels": 3},
        "normals": {"channels": 3, "kind": "normal"},
    },
}

SHAPE = (24, 36, 30)  # x y z

GEOMETRIES = {
    "anisotropic": [[0.5, 0, 0, 1], [0, 0.5, 0, 2], [0, 0, 0.8, 3], [0, 0, 0, 1]],
    "flipped": [[-0.5, 0, 0, 90], [0, -0.7, 0, 80], [0, 0, 1.5, -7], [0, 0, 0, 1]],
    "axes exchanged": [[0, 0, -1.2, 9], [-0.5, 0, 0, -8], [0, 0.6, 0, 7], [0, 0, 0, 1]],
    "oblique": [[0.43, -0.21, 0.55, -30], [0.2, 0.66, 0.1, 12.5], [-0.16, 0.1, 0.95, 7], [0, 0, 0, 1]],
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One scan in several orientations, and weights."""
    folder = tmp_path_factory.mktemp("label")
    smooth = np.random.default_rng(0).normal(size=[n // 2 for n in SHAPE]).repeat(2, 0).repeat(2, 1).repeat(2, 2)
    voxels = np.clip(120 + 40 * smooth, 1, 255).astype(np.uint8)
    for name, affine in GEOMETRIES.items():
        nibabel.save(nibabel.Nifti1Image(voxels, np.array(affine, float)), folder / f"{name}.nii.gz")
    torch.manual_seed(0)
    torch.save(configured().get_parsed_content("network_def").state_dict(), folder / "model.pt")
    return folder


def configured(**changes: object) -> ConfigParser:
    """inference.json alone, with the values that a person would edit in it."""
    parser = ConfigParser()
    parser.read_config(INFERENCE)
    parser.update({**SMALL, "bundle_root": str(BUNDLE), **changes})
    return parser


def served(root: Path, path: Path, **changes: object) -> tuple[np.ndarray, np.ndarray]:
    """Label x y z and affine that MONAI Label makes of a scan."""
    parser = configured(**changes)
    network = parser.get_parsed_content("network_def", instantiate=True).eval()
    network.load_state_dict(torch.load(root / "model.pt", weights_only=True))
    data = {"model": "polytome", "device": "cpu", "image": str(path), "image_path": str(path)}  # of the request
    before, after = (parser.get_parsed_content(key).transforms for key in ("preprocessing", "postprocessing"))
    assert not [step for step in [*before, *after] if isinstance(step, (LoadImage, SaveImage))]  # it takes these out
    for step in before:
        data = step(data)
    with torch.no_grad():
        outputs = parser.get_parsed_content("inferer")(data["image"][None], network)
    data["pred"] = decollate_batch(outputs)[0]
    for step in after:
        data = step(data)
    label, meta = data["pred"], data["image"].meta
    assert label.shape[1:] == tuple(meta["spatial_shape"])  # else it would stretch the label to this shape
    return label[0].numpy(), np.asarray(meta["original_affine"])


def written(root: Path, path: Path, output: Path, **changes: object) -> Path:
    """NIfTI of `pred_target` that the bundle writes, with a threshold of 0.5 unless another one is given."""
    target = changes.pop("pred_target", "sheet")
    parser = configured(
        input=str(path),
        output=str(output / "own.nii.gz"),
        weights=str(root / "model.pt"),
        output_targets=[target],
        **{"threshold": 0.5, **changes},
    )
    parser.get_parsed_content("initialize")
    parser.get_parsed_content("run")
    return output / f"own_{target}.nii.gz"


def assert_same_label(ours: np.ndarray, expected: np.ndarray) -> None:
    """Equal but for what rounding of float32 decides: at most one voxel in 5,000."""
    assert ours.shape == expected.shape
    assert ours.dtype == expected.dtype == np.uint8
    assert 0.02 < np.mean(expected > 0) < 0.98
    assert np.count_nonzero(ours != expected) <= ours.size // 5000


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_the_label_is_what_the_bundle_writes_and_lies_over_the_scan(root: Path, tmp_path: Path, geometry: str) -> None:
    path = root / f"{geometry}.nii.gz"
    own = nibabel.load(written(root, path, tmp_path))
    label, affine = served(root, path)
    assert_same_label(label, np.asarray(own.dataobj))
    np.testing.assert_allclose(affine, nibabel.load(path).affine, atol=1e-6)
    np.testing.assert_allclose(affine, own.affine, atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"threshold": 0.49},
        {"pred_target": "parts"},
        {"normalization": "zscore"},
        {"normalization": "dtype_range"},
        {"normalization": "percentile"},
        {"normalization": "ct", "foreground_statistics": {"mean": [120], "std": [40], "low": [30], "high": [200]}},
        {"overlap": 0.5, "mirror_axes": ["z"], "rotation_planes": ["yx"]},
    ],
    ids=lambda changes: " ".join(map(str, changes.values()))[:24],
)
def test_settings_count_as_in_a_prediction_by_the_bundle(
    root: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    path = root / "oblique.nii.gz"
    own = nibabel.load(written(root, path, tmp_path, **changes))
    assert_same_label(served(root, path, **changes)[0], np.asarray(own.dataobj))


def test_a_scan_that_is_predicted_at_another_spacing_is_labelled_at_its_own(root: Path, tmp_path: Path) -> None:
    path = root / "anisotropic.nii.gz"
    spacing = {"input_spacing": [1.2, 0.8, 0.8]}
    written(root, path, tmp_path, **spacing)
    scan = open_volume(path)
    coarse = open_resampled(tmp_path / "own.zarr" / "sheet", scan.spacing, "nearest", like=scan)
    label, affine = served(root, path, **spacing)
    assert_same_label(label, coarse.read((0, 0, 0), scan.spatial_shape)[0].T)  # z y x -> x y z
    np.testing.assert_allclose(affine, nibabel.load(path).affine, atol=1e-6)


def test_windows_of_nothing_but_zeros_are_skipped_by_the_bundle_alone(root: Path, tmp_path: Path) -> None:
    scan = nibabel.load(root / "anisotropic.nii.gz")
    voxels = np.asarray(scan.dataobj).copy()
    voxels[..., 8:] = 0  # the last of z, two windows
    nibabel.save(nibabel.Nifti1Image(voxels, scan.affine), tmp_path / "half.nii.gz")
    (tmp_path / "all").mkdir()
    label, _ = served(root, tmp_path / "half.nii.gz", threshold=0.45)
    everywhere = written(root, tmp_path / "half.nii.gz", tmp_path / "all", threshold=0.45, skip_empty=False)
    assert_same_label(label, np.asarray(nibabel.load(everywhere).dataobj))
    skipped = np.asarray(nibabel.load(written(root, tmp_path / "half.nii.gz", tmp_path, threshold=0.45)).dataobj)
    assert label[..., -8:].any()
    assert not skipped[..., -8:].any()


def test_background_comes_first_and_the_target_second() -> None:
    metadata = json.loads((BUNDLE / "configs" / "metadata.json").read_text())
    formats, parser = metadata["network_data_format"], ConfigParser()
    parser.read_config(INFERENCE)
    assert list(formats["inputs"]) == ["image"]
    assert list(formats["outputs"]) == ["pred"]
    named = formats["outputs"]["pred"]["channel_def"]
    assert named == {"0": "background", "1": parser["pred_target"]}
    shape = [2, 1, 16, 16, 16]
    packed = parser.get_parsed_content("pred_network").eval()(torch.zeros(shape))
    assert packed.shape[1] == formats["outputs"]["pred"]["num_channels"] == len(named)
    several = configured(pred_target="parts").get_parsed_content("pred_network").eval()
    assert several(torch.zeros(shape)).shape[1] == SMALL["targets"]["parts"]["channels"]


def test_a_network_of_ones_own_is_served_as_the_documentation_says(root: Path, tmp_path: Path) -> None:
    """The command joins inference.json with a training's network.json into the one file that MONAI Label reads."""
    text = (BUNDLE / "docs" / "monai_label.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    network = {key: value for key, value in SMALL.items() if key != "device"} | {"pred_target": "parts"}
    (tmp_path / "network.json").write_text(json.dumps(network))
    for said, meant in {
        "bundle/configs/inference.json": INFERENCE,
        "bundle/output/network.json": tmp_path / "network.json",
        "my_bundle/configs/inference.json": tmp_path / "inference.json",
    }.items():
        assert f'"{said}"' in program
        program = program.replace(f'"{said}"', f'"{meant}"')
    exec(compile(program, "monai_label.md", "exec"), {})
    parser = ConfigParser()
    parser.read_config(tmp_path / "inference.json")
    parser.get_parsed_content("network_def").load_state_dict(torch.load(root / "model.pt", weights_only=True))
    assert parser.get_parsed_content("postprocessing").transforms[0].label.target.name == "parts"


def test_the_servers_environment_has_the_versions_of_the_bundle() -> None:
    def pins(path: Path) -> dict[str, str]:
        lines = [line.split("==") for line in path.read_text().splitlines() if "==" in line and line[0] != "#"]
        return {name.lower().replace("_", "-"): version for name, version in lines}

    ours, servers = pins(REPOSITORY / "constraints.txt"), pins(REPOSITORY / "tests" / "label" / "requirements.txt")
    assert {name for name in ours.keys() & servers.keys() if ours[name] != servers[name]} == {"pydicom"}
    metadata = json.loads((BUNDLE / "configs" / "metadata.json").read_text())
    needed = metadata["required_packages_version"] | {"monai": metadata["monai_version"]}
    assert {name: servers.get(name) for name in needed} == needed
