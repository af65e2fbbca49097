"""Every option of inference.json changes what comes out, as it says."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from tests.bundle.running import BUNDLE, command, write_overlay

from scripts.volumes import create_ome_zarr, open_resampled, open_volume

SMALL = {
    "patch_size": [16, 16, 16],
    "features_per_stage": [4, 8],
    "n_blocks_per_stage": [1, 1],
    "device": "cpu",
    "targets": {
        "sheet": {"channels": 1},
        "parts": {"channels": 3},
        "normals": {"channels": 3, "kind": "normal"},
        "depth": {"channels": 1, "kind": "scalar"},
    },
}
SPACING, TRANSLATION = (2.0, 2.0, 2.0), (10.0, 20.0, 30.0)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A volume, a mask of half of it, and weights of two networks."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    writer = create_ome_zarr(
        folder / "scan.zarr", (1, 40, 36, 32), "uint8", spacing=SPACING, translation=TRANSLATION, chunks=(16,) * 3
    )
    writer.write((0, 0, 0), rng.integers(1, 255, (1, 40, 36, 32)).astype(np.uint8))
    mask = create_ome_zarr(folder / "mask.zarr", (1, 40, 36, 32), "uint8", spacing=SPACING, translation=TRANSLATION)
    mask.write((0, 0, 0), (np.indices((40, 36, 32))[0] < 4).astype(np.uint8)[None])
    for seed in (0, 1):
        torch.manual_seed(seed)
        torch.save(configured({"weights": None}).get_parsed_content("network_def").state_dict(), folder / f"{seed}.pt")
    return folder


def configured(changes: dict[str, object], *configs: str) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config([BUNDLE / "configs" / f"{name}.json" for name in ("inference", *configs)])
    parser.update({**SMALL, "bundle_root": str(BUNDLE), **changes})
    return parser


def predict(root: Path, output: Path, **changes: object) -> Path:
    """Run the config in this process; the group that it wrote."""
    settings = {"input": str(root / "scan.zarr"), "output": str(output), "weights": str(root / "0.pt"), **changes}
    parser = configured(settings)
    parser.get_parsed_content("initialize")
    parser.get_parsed_content("run")
    return output


def voxels(path: Path) -> np.ndarray:
    volume = open_volume(path)
    return volume.read((0, 0, 0), volume.spatial_shape)


@pytest.fixture(scope="module")
def plain(root: Path) -> Path:
    return predict(root, root / "plain.zarr")


def test_a_region_is_cut_out_of_the_whole_prediction(root: Path, plain: Path, tmp_path: Path) -> None:
    region = [[5, 8, 3], [30, 25, 32]]
    part = predict(root, tmp_path / "part.zarr", region=region)
    here = tuple(slice(low, high) for low, high in zip(*region, strict=True))
    for target, tolerance in {"sheet": 1, "parts": 0, "normals": 1, "depth": 1e-5}.items():
        whole = voxels(plain / target)[:, *here].astype(float)
        assert np.abs(voxels(part / target) - whole).max() <= tolerance
    assert open_volume(part / "sheet").translation == (20.0, 36.0, 36.0)


def test_the_input_is_read_at_the_spacing_that_is_asked_for(root: Path, tmp_path: Path) -> None:
    ours = predict(root, tmp_path / "coarse.zarr", input_spacing=[4.0, 4.0, 4.0], output_targets=["depth"])
    written = open_volume(ours / "depth")
    assert written.spatial_shape == (20, 18, 16)
    assert written.spacing == (4.0, 4.0, 4.0)
    resampled = open_resampled(root / "scan.zarr", (4.0, 4.0, 4.0), "linear")
    assert written.translation == pytest.approx(resampled.translation)
    copied = create_ome_zarr(
        tmp_path / "copied.zarr",
        resampled.shape,
        "float32",
        spacing=resampled.spacing,
        translation=resampled.translation,
    )
    copied.write((0, 0, 0), resampled.read((0, 0, 0), resampled.spatial_shape).astype(np.float32))
    stored = predict(root, tmp_path / "stored.zarr", input=copied.path, output_targets=["depth"])
    assert np.allclose(voxels(ours / "depth"), voxels(stored / "depth"), atol=1e-4)


def test_windows_outside_of_the_mask_are_left_out(root: Path, plain: Path, tmp_path: Path) -> None:
    masked = predict(root, tmp_path / "masked.zarr", mask=str(root / "mask.zarr"))
    found, whole = voxels(masked / "sheet")[0], voxels(plain / "sheet")[0]
    assert np.array_equal(found[:12], whole[:12])  # the next windows begin there, and lower the weight of the first
    assert not found[16:].any()
    assert json.loads((tmp_path / "masked.json").read_text())["skipped"] > 0


def test_a_threshold_gives_a_mask_and_classes_their_probabilities(root: Path, plain: Path, tmp_path: Path) -> None:
    other = predict(root, tmp_path / "other.zarr", threshold=0.4, class_output="probabilities", float_dtype="float16")
    probability = voxels(plain / "sheet").astype(int)
    is_clear = np.abs(probability - 0.4 * 255) > 1  # else rounding decides
    assert np.array_equal((voxels(other / "sheet") > 0)[is_clear], (probability > 0.4 * 255)[is_clear])
    assert set(np.unique(voxels(other / "sheet"))) <= {0, 1}
    shares = voxels(other / "parts")
    assert shares.shape[0] == 3
    assert np.abs(shares.astype(int).sum(axis=0) - 255).max() <= 2
    assert np.mean(shares.argmax(axis=0) == voxels(plain / "parts")[0]) > 0.95  # rounded probabilities tie
    assert open_volume(other / "depth").dtype == np.float16


def test_chunks_shards_levels_and_version_are_as_asked(root: Path, plain: Path, tmp_path: Path) -> None:
    sharded = predict(
        root,
        tmp_path / "sharded.zarr",
        chunk_size=[8, 8, 8],
        shard_size=[16, 16, 16],
        levels=2,
        output_targets=["depth"],
    )
    volume = open_volume(sharded / "depth")
    assert volume.chunks == (8, 8, 8)
    assert {size for _, size in volume.stored_chunks()} >= {(16, 16, 16)}  # what the store lists are shards
    assert np.allclose(voxels(sharded / "depth"), voxels(plain / "depth"), atol=1e-5)
    assert sorted(path.name for path in sharded.iterdir()) == ["depth", "zarr.json"]
    assert sorted(path.name for path in (sharded / "depth").iterdir()) == ["0", "1", "zarr.json"]
    old = predict(root, tmp_path / "old.zarr", ome_version="0.4", output_targets=["depth"])
    assert (old / ".zgroup").exists()
    assert np.allclose(voxels(old / "depth"), voxels(plain / "depth"), atol=1e-5)


def test_an_ensemble_writes_its_mean_and_its_disagreement(root: Path, plain: Path, tmp_path: Path) -> None:
    files = [str(root / "0.pt"), str(root / "1.pt")]
    ours = predict(root, tmp_path / "ensemble.zarr", weights=files, disagreement=True)
    other = predict(root, tmp_path / "other.zarr", weights=files[1])
    depth = [voxels(path / "depth") for path in (plain, other)]
    assert np.allclose(voxels(ours / "depth"), np.mean(depth, axis=0), atol=1e-5)
    angle = voxels(ours / "normals_disagreement")
    one, two = (open_volume(path / "normals").decode(voxels(path / "normals")) for path in (plain, other))
    expected = np.rad2deg(np.arccos(np.clip((one * two).sum(axis=0), -1, 1))) / 2  # each from the middle
    centre = np.s_[4:12, 4:12, 4:12]  # of the first window: there blending changes nothing
    assert np.abs(angle[0][centre] - expected[centre]).max() < 1
    for target in ("sheet", "parts", "depth"):
        assert voxels(ours / f"{target}_disagreement").max() > 0


def test_views_change_the_prediction_and_turn_normals_back(root: Path, plain: Path, tmp_path: Path) -> None:
    ours = predict(root, tmp_path / "views.zarr", mirror_axes=["z", "x"], rotation_planes=["yx"])
    assert np.abs(voxels(ours / "depth") - voxels(plain / "depth")).max() > 1e-4
    length = np.linalg.norm(open_volume(ours / "normals").decode(voxels(ours / "normals")), axis=0)
    assert np.abs(length - 1).max() < 0.02


def causes(error: BaseException | None) -> str:
    """Messages of an error and of those that led to it."""
    said = []
    while error is not None:
        said.append(str(error))
        error = error.__cause__ or error.__context__
    return "\n".join(said)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"disagreement": True}, "disagreement: true needs a list of at least two files as weights"),
        ({"mirror_axes": ["w"]}, "mirror_axes must be a list of names out of z, y, x; got 'w'"),
        ({"rotation_planes": ["xy"]}, "rotation_planes must be a list of names out of zy, zx, yx; got 'xy'"),
        ({"precision": "fp16"}, "precision 'fp16' needs CUDA, but the device is 'cpu'"),
        ({"on_bad_chunk": "ignore"}, "on_bad_chunk must be one of error, fill; got 'ignore'"),
        ({"threshold": 2}, "threshold must be a number from 0 to 1, or null; got 2"),
        ({"shard_size": [32, 32, 32]}, "shard_size [32, 32, 32] needs chunk_size"),
        ({"weights": ["nowhere.pt"]}, "weights nowhere.pt do not exist"),
    ],
)
def test_what_cannot_be_is_said_before_the_start(
    root: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(RuntimeError) as raised:
        predict(root, tmp_path / "out.zarr", **changes)
    assert message in causes(raised.value)
    assert not (tmp_path / "out.zarr").exists()


def test_half_precision_on_the_cpu_and_channels_last_give_nearly_the_same(
    root: Path, plain: Path, tmp_path: Path
) -> None:
    expected = voxels(plain / "depth")
    half = voxels(predict(root, tmp_path / "half.zarr", precision="bf16") / "depth")
    last = voxels(predict(root, tmp_path / "last.zarr", channels_last=True) / "depth")
    spread = np.ptp(expected)
    assert 0 < np.abs(half - expected).max() < 0.1 * spread
    assert np.abs(last - expected).max() < 1e-4 * spread


def test_a_damaged_chunk_stops_the_run_or_is_listed(root: Path, plain: Path, tmp_path: Path) -> None:
    shape = (1, 32, 32, 32)
    create_ome_zarr(tmp_path / "bad.zarr", shape, "uint8", spacing=SPACING, chunks=(16,) * 3).write(
        (0, 0, 0), np.random.default_rng(0).integers(1, 255, shape).astype(np.uint8)
    )
    (tmp_path / "bad.zarr" / "0" / "c" / "1" / "0" / "1").write_bytes(b"no chunk")
    given = str(tmp_path / "bad.zarr")
    with pytest.raises(RuntimeError) as raised:
        predict(root, tmp_path / "stopped.zarr", input=given)
    assert "bad.zarr/0: chunk 'c/1/0/1' (stored voxels [16:32, 0:16, 16:32]) cannot be read" in causes(raised.value)
    filled = predict(root, tmp_path / "filled.zarr", input=given, on_bad_chunk="fill")
    whole = np.ones(shape[1:], bool)
    whole[16:, :16, 16:] = False
    assert voxels(filled / "sheet")[0][whole].all()
    (fault,) = json.loads((tmp_path / "filled.json").read_text())["bad_chunks"]
    assert "chunk 'c/1/0/1'" in fault


def test_nifti_lies_where_its_input_lies(root: Path, tmp_path: Path) -> None:
    affine = np.array([[-1.5, 0, 0, 90], [0, 0, 2, -126], [0, 1, 0, -72], [0, 0, 0, 1]], float)
    image = np.random.default_rng(0).normal(size=(20, 18, 22)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(image, affine), tmp_path / "scan.nii.gz")
    predict(root, tmp_path / "out.nii.gz", input=str(tmp_path / "scan.nii.gz"))
    written = nibabel.load(tmp_path / "out_sheet.nii.gz")
    assert np.allclose(written.affine, affine)
    assert written.shape == image.shape
    assert np.allclose(np.asarray(written.dataobj).T * 255, voxels(tmp_path / "out.zarr" / "sheet")[0], atol=1e-3)
    assert nibabel.load(tmp_path / "out_normals.nii.gz").shape == (*image.shape, 3)
    with pytest.raises(RuntimeError) as raised:
        predict(root, tmp_path / "big.nii.gz", input=str(tmp_path / "scan.nii.gz"), memory_limit=5000)
    assert "'sheet' as NIfTI takes 31,680 bytes of memory, more than memory_limit = 5,000" in causes(raised.value)


@pytest.mark.long
def test_several_processes_write_what_one_writes(root: Path, plain: Path, tmp_path: Path) -> None:
    overlay = write_overlay(tmp_path / "small.json", **SMALL)
    configs = ["configs/inference.json", "configs/inference_distributed.json", str(overlay)]
    said = command(
        *("monai.bundle", "run", "inference", "--config_file", str(configs), "--n_workers", "2"),
        *("--input", root / "scan.zarr", "--output", tmp_path / "out.zarr", "--weights", root / "0.pt"),
    )
    assert "windows" in said
    for target in SMALL["targets"]:
        one, two = voxels(plain / target).astype(float), voxels(tmp_path / "out.zarr" / target).astype(float)
        assert np.abs(one - two).max() <= (1e-5 if target == "depth" else 1)
