"""Landmarks of mouse skulls: the commands of docs/landmarks.md, shrunk, and what they leave behind."""

import csv
import json
import re
import shlex

import numpy as np
import pytest
import torch
from tests.bundle.running import BUNDLE, command, folders, read_history, run, write_overlay
from tests.bundle.skull_projections import MISSING, N_FOLDS, write_projections

from scripts.geometry.peaks import peak_points
from scripts.losses import loss_faults
from scripts.patches import OPTION_KEYS
from scripts.volumes import open_volume, read_landmarks

pytestmark = [pytest.mark.real_data, pytest.mark.long]

PAGE = (BUNDLE / "docs" / "landmarks.md").read_text()
COMMANDS = [
    line.removeprefix("python -m ")
    for block in re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
STORED, INPUT = (48, 64), (32, 48)
INDICES = [0, MISSING, 6, 9, 12, 15]
SOME = f'--landmark_indices "{INDICES}"'
FEW = f"{SOME} --sigma 2 --previews False"
SHORT = f"{FEW} --init_features 4 --max_epochs 1 --max_steps_per_epoch 3 --batch_size 2 --n_pictures 0"
LEARNING = f"{FEW} --scheme AffineSimple --init_features 16 --max_epochs 3 --max_steps_per_epoch 30 --batch_size 4"
ROUGH = f"{FEW} --features [4,8,8,16] --max_epochs 1 --max_steps_per_epoch 20 --batch_size 4 --n_pictures 0"
YAML = """
DATASET: {SRC_TARGETS: data/skulls/fold0.json, ROOT: data/skulls}
SAMPLER: {INPUT_SIZE: [48, 32], DATA_AUG: AffineSimple}
TRAINER: {FOLD: -1}
"""


def shrunk(line):
    """A command of the page on small pictures, with small networks."""
    line = line.replace("[1, 96, 128]", str([1, *INPUT])).replace("[1, 64, 64]", "[1, 32, 32]")
    if "run inference" in line:
        return f"{line} {SOME} --n_pictures {int('output/found' in line)}"
    if "phdnet.json" in line:
        return f"{line} {ROUGH}"
    if "output/skulls" in line:
        return f"{line} {LEARNING}"
    if "scripts import-landmark-config" in line or "scripts find-landmarks" in line:
        return line
    return f"{line} {SHORT}"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Folder with the bundle's configs, pictures of skulls, and their files."""
    folder = tmp_path_factory.mktemp("page")
    for name in ("configs", "scripts"):
        (folder / name).symlink_to(BUNDLE / name)
    write_projections(folder / "data" / "skulls", size=STORED)
    return folder


@pytest.fixture(scope="module")
def worked(pictures):
    """The folder after every command of the page was run in it."""
    (pictures / "lannunet.yaml").write_text(YAML)
    for line in COMMANDS:
        command(*shlex.split(shrunk(line)), cwd=pictures)
    return pictures


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def points(rows, name, suffix=""):
    """Columns `name_z`, `name_y`, `name_x`, N 3; an empty cell is NaN."""
    return np.array([[float(row[f"{name}_{axis}{suffix}"] or "nan") for axis in "zyx"] for row in rows])


def numbers(rows, name):
    return np.array([float(row[name] or "nan") for row in rows])


def listed(folder, part, fold=0):
    """Ids of a list of a fold's file, and the coordinates of the landmarks that are used, images N 2 (y x)."""
    samples = json.loads((folder / "data" / "skulls" / f"fold{fold}.json").read_text())[part]
    known = [sample for sample in samples if sample["coordinates"]]
    rows = [[[np.nan] * 2 if (at := one["coordinates"][n]) is None else at[::-1] for n in INDICES] for one in known]
    return [sample["id"] for sample in samples], np.array(rows)


def test_a_short_training_beats_the_mean_place_of_each_landmark(worked):
    _, trained = listed(worked, "training")
    _, validated = listed(worked, "validation")
    of_mean = np.nanmean(np.linalg.norm(validated - np.nanmean(trained, axis=0), axis=2))
    scores, *_ = table(worked / "output" / "skulls" / "results" / "validation" / "summary.csv")
    print(f"radial error {scores['smha_mre']}, of mean places {of_mean:.3g} voxels")
    assert float(scores["smha_mre"]) < 0.7 * of_mean
    assert scores["smha_not_found"] == "0"


def test_the_tables_hold_the_landmarks_of_the_files_and_their_errors(worked):
    results = worked / "output" / "skulls" / "results"
    for part, key in (("validation", "validation"), ("test", "testing")):
        ids, truth = listed(worked, key)
        samples, rows = table(results / part / "samples.csv"), table(results / part / "landmarks.csv")
        assert [row["id"] for row in samples] == ids
        assert [row["strain"] for row in samples] == [name.replace("_", "/") for name in ids]
        known = rows[: truth.size // 2]
        assert np.allclose(points(known, "truth")[:, 1:], truth.reshape(-1, 2), equal_nan=True)
        assert np.isnan(points(rows[len(known) :], "truth")).all()
        scaled = (truth.reshape(-1, 2) + 0.5) * np.array(INPUT) / STORED - 0.5
        assert np.allclose(points(known, "truth", "_input")[:, 1:], scaled, equal_nan=True)
        away = np.linalg.norm(points(rows, "predicted") - points(rows, "truth"), axis=1)
        assert np.allclose(numbers(rows, "error"), away, equal_nan=True)
        scores, *_ = table(results / part / "summary.csv")
        assert np.isclose(float(scores["smha_mre"]), np.nanmean(away))
        assert np.isclose(float(scores["smha_sdr@2"]), np.mean(away[~np.isnan(away)] <= 2))
        assert int(scores["annotated"]) == (~np.isnan(away)).sum()
        assert (results / part / "report.html").stat().st_size > 1000
        assert sorted(path.stem for path in (results / part / "pictures").iterdir()) == sorted(ids)
    assert "smha_bin4_within" in scores  # bins of the validation, applied to the test
    assert json.loads((results / "validation" / "bins.json").read_text())["methods"]["smha"]["thresholds"]


def test_all_folds_are_trained_and_summed_up(worked):
    root = worked / "output" / "folds"
    rows = table(root / "folds.csv")
    assert [row["fold"] for row in rows] == [*map(str, range(N_FOLDS)), "mean", "sd"]
    for column in ("heatmaps_mre", "test_smha_mre", "validation_smha_sdr@4"):
        values = numbers(rows[:N_FOLDS], column)
        assert np.isclose(float(rows[-2][column]), values.mean(), rtol=1e-4)
        assert np.isclose(float(rows[-1][column]), values.std(ddof=1), rtol=1e-3, atol=1e-5)
    seen = []
    for fold in range(N_FOLDS):
        results = root / f"fold_{fold}" / "results"
        for part, key in (("validation", "validation"), ("test", "testing")):
            ids = [row["id"] for row in table(results / part / "samples.csv")]
            assert ids == listed(worked, key, fold)[0]
            seen += ids if part == "validation" else []
    assert len(set(seen)) == len(seen) == 10
    pooled = [row for row in table(root / "validation" / "folds_summary.csv") if row["fold"] == "pooled"]
    assert pooled[0]["landmark"] == "all"
    assert int(pooled[0]["annotated"]) == 10 * len(INDICES) - 1  # one landmark of one picture is missing


def test_one_picture_and_every_checkpoint_of_a_folder_are_predicted(worked):
    (sample,) = table(worked / "output" / "found" / "results" / "samples.csv")
    assert (sample["id"], sample["annotated"], sample["not_found"]) == ("AKR_J", "0", "0")
    assert [sample[f"size_{axis}"] for axis in "zyx"] == ["1", *map(str, STORED)]
    assert [sample[f"input_{axis}"] for axis in "zyx"] == ["1", *map(str, INPUT)]
    assert (worked / "output" / "found" / "results" / "pictures" / "AKR_J.png").is_file()
    checkpoints = {path.stem for path in (worked / "models" / "skulls").glob("*.pt")}
    each = worked / "output" / "each" / "results"
    assert {path.name for path in each.iterdir()} == checkpoints >= {"model"}
    again = table(each / "model" / "landmarks.csv")
    first = table(worked / "output" / "skulls" / "results" / "test" / "landmarks.csv")
    assert np.allclose(points(again, "predicted"), points(first, "predicted"), atol=1e-3)


def test_an_ensemble_tells_how_far_its_members_are_apart(worked):
    rows = table(worked / "output" / "found" / "ensemble" / "landmarks.csv")
    names = sorted({match[1] for key in rows[0] if (match := re.fullmatch(r"member_(.+)_z", key))})
    assert len(names) == 3
    members = np.stack([points(rows, f"member_{name}") for name in names])
    mean = members.mean(axis=0)
    assert np.allclose(points(rows, "predicted"), mean)
    assert np.allclose(numbers(rows, "ecpv"), np.linalg.norm(members - mean, axis=2).mean(axis=0), atol=1e-5)
    alone = table(worked / "output" / "folds" / "fold_0" / "results" / "test" / "landmarks.csv")
    assert np.allclose(points(rows, "smha"), points(alone, "predicted"), atol=1e-3)
    assert np.allclose(numbers(rows, "smha"), numbers(alone, "smha"), rtol=1e-3)
    scores, *_ = table(worked / "output" / "found" / "ensemble" / "summary.csv")
    assert {"ecpv_mre", "emha_mre", "smha_mre", "ecpv_spearman"} <= set(scores)


def test_streamed_heatmaps_have_their_landmarks_at_their_maxima(worked):
    found = read_landmarks(worked / "output" / "large.csv")
    heatmaps = open_volume(worked / "output" / "large.zarr" / "heatmaps")
    assert heatmaps.shape == (len(INDICES), 1, *STORED)
    maps = torch.from_numpy(heatmaps.read((0, 0, 0), heatmaps.spatial_shape))[None]
    assert np.allclose(found.points, peak_points(maps)[0], atol=1e-3)
    assert np.allclose(np.array(found.extra["height"], float), maps.amax(dim=(2, 3, 4))[0], rtol=1e-4)
    assert found.names == tuple(str(n + 1) for n in range(len(INDICES)))


def test_dropout_makes_an_ensemble_of_one_network(worked):
    rows = table(worked / "output" / "mc_dropout" / "results" / "landmarks.csv")
    draws = np.stack([points(rows, f"member_model_draw{n}") for n in range(1, 11)])
    assert "member_model_draw11_z" not in rows[0]
    assert (numbers(rows, "ecpv") > 0).mean() > 0.5
    (line,) = (line for line in COMMANDS if "output/mc_dropout" in line)
    command(*shlex.split(shrunk(line.replace("output/mc_dropout", "output/mc_dropout_again"))), cwd=worked)
    assert table(worked / "output" / "mc_dropout_again" / "results" / "landmarks.csv") == rows
    # a draw that drops everything finds nothing, and does not count
    assert np.isfinite(draws).mean() > 0.5
    assert np.allclose(points(rows, "ecpv"), np.nanmean(draws, axis=0), equal_nan=True)


def test_widths_are_learnt_with_the_network(worked):
    (file,) = (worked / "models" / "sigma").glob("model_epoch=1*.pt")
    (values,) = (v for name, v in torch.load(file, weights_only=True)["loss"].items() if name.endswith("log_sigma"))
    sigmas = values.exp()
    assert len(sigmas) == len(INDICES)
    assert not torch.allclose(sigmas, torch.full_like(sigmas, 4.0), rtol=1e-4)  # where they begin


def test_phdnet_votes_for_places_in_the_pictures(worked):
    trained = table(worked / "output" / "phdnet" / "results" / "test" / "landmarks.csv")
    places = points(table(worked / "output" / "found_by_phdnet" / "results" / "landmarks.csv"), "predicted")
    inside = (places[:, 1:] > -1).all(axis=1) & (places[:, 1:] < np.array(STORED)).all(axis=1)
    assert np.mean(inside) > 0.5
    assert (inside | np.isnan(places[:, 0])).all()
    assert np.allclose(places, points(trained, "predicted"), atol=1e-3, equal_nan=True)


def test_settings_of_lannunet_train(worked):
    network = json.loads((worked / "output" / "imported" / "network.json").read_text())
    assert (network["input_size"], network["decoding"]) == ([1, *INPUT], "argmax")
    inference = json.loads((worked / "lannunet_inference.json").read_text())
    assert inference["input_size"] == [1, *INPUT]
    places = points(table(worked / "output" / "imported" / "results" / "test" / "landmarks.csv"), "predicted")
    assert len(places) == 2 * len(INDICES)


def test_patches_of_the_stored_pictures_are_stitched(pictures):
    line = (
        "monai.bundle run training --config_file \"['configs/train.json','configs/landmarks.json']\" "
        "--landmark_file data/skulls/fold0.json --input_size $None --patch_size [1,32,32] --sampler_bias 1.0 "
        "--landmark_loss adaptive_wing --image_spacing [1,0.3,0.3] --image_unit mm --radii_physical [3] --debug True "
        "--output_dir output/patches --ckpt_dir models/patches"
    )
    printed = command(*shlex.split(f"{line} {SHORT}"), cwd=pictures)
    assert re.search(r"image +2 1 1 32 32 ", printed)
    results = pictures / "output" / "patches" / "results" / "test"
    samples = table(results / "samples.csv")
    assert {tuple(row[f"input_{axis}"] for axis in "zyx") for row in samples} == {("1", *map(str, STORED))}
    assert {path.stem for path in (results / "heatmaps").iterdir()} == {row["id"] for row in samples}
    assert len(list((pictures / "output" / "patches" / "samples").iterdir())) == 3 * 2  # steps of two samples
    rows = table(results / "landmarks.csv")
    assert np.allclose(numbers(rows, "error_mm"), 0.3 * numbers(rows, "error"), equal_nan=True)
    scores, *_ = table(results / "summary.csv")
    errors = numbers(rows, "error_mm")
    assert np.isclose(float(scores["smha_sdr@3mm"]), np.mean(errors[~np.isnan(errors)] <= 3))


def test_volumes_train_and_predict(real_data, tmp_path):
    aligned = real_data / "landmarks3d" / "aligned"
    rows = [
        {"image": str(aligned / f"{name}.nii.gz"), "landmarks": str(aligned / f"{name}.csv"), "id": name}
        for name in ("AKR_J_", "A_J_", "CAST_EIJ_")
    ]
    settings = write_overlay(
        tmp_path / "skulls.json", **folders(tmp_path), previews=False, device="cpu", input_size=[24, 16, 16],
        init_features=4, sigma=1.5, max_epochs=1, max_steps_per_epoch=3, test_volumes=rows[2:],
        radii_physical=[2], evaluation_mode="scale_pred_coords",
        volumes=[{**row, "split": split} for row, split in zip(rows, ("train", "val"), strict=False)],
        n_pictures=1,
    )  # fmt: skip
    run("training", configs=["configs/train.json", "configs/landmarks.json", settings])
    (epoch,) = read_history(tmp_path)
    results = tmp_path / "output" / "results"
    scores, *each = table(results / "validation" / "summary.csv")
    assert len(each) == int(scores["annotated"]) == 45
    found = table(results / "test" / "landmarks.csv")
    millimetres = np.linalg.norm(points(found, "predicted", "_mm") - points(found, "truth", "_mm"), axis=1)
    assert np.allclose(numbers(found, "error_mm"), millimetres)
    assert np.allclose(millimetres, 0.3 * numbers(found, "error"))
    tested, *_ = table(results / "test" / "summary.csv")
    assert np.isclose(float(tested["smha_sdr@2mm"]), np.mean(millimetres <= 2))
    assert (results / "test" / "markups" / "CAST_EIJ_.mrk.json").is_file()
    # validation decodes at the network's resolution, as this evaluation mode does
    assert float(epoch["val_heatmaps_mre"]) == pytest.approx(float(scores["smha_mre_mm"]), rel=1e-3)


def test_examples_of_the_page_set_what_there_is():
    blocks = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    known = json.loads((BUNDLE / "configs" / "landmarks.json").read_text())
    assert blocks
    for block in map(json.loads, blocks):
        assert set(block) <= set(known)
        assert {key for row in (*block["volumes"], *block["test_volumes"]) for key in row} <= {"image", *OPTION_KEYS}
    losses = [json.loads(text) for text in re.findall(r'`(\{"name": [^`]+\})`', PAGE)]
    assert len(losses) >= 2
    assert not any(loss_faults({"tips": {"channels": 2, "kind": "points", "loss": loss}}) for loss in losses)
