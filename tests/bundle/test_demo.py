"""The demo as `make demo` runs it, shrunk: every step is the real command."""

import base64
import io
import json
import re
import subprocess

import numpy as np
import pytest
from PIL import Image
from tests.bundle.prepared_python import prepared_python
from tests.bundle.running import BUNDLE, command, write_overlay

from scripts.volumes import open_volume
from scripts.workflows import truth_box
from scripts.workflows.demo import demo as demo_verb

SIZE = 120  # the least that a labelled block fits into

SHRUNK = {
    "patch_size": [32, 32, 32],
    "features_per_stage": [8, 8],
    "squeeze_excitation": False,
    "n_blocks_per_stage": [1, 1],
    "max_epochs": 2,
    "max_steps_per_epoch": 4,
    "max_val_steps_per_epoch": 1,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Folder of a shrunk demo, and what it printed."""
    root = tmp_path_factory.mktemp("demo")
    overlay = write_overlay(root / "shrunk.json", **SHRUNK)
    output = command("scripts", "demo", "--output", root / "out", "--size", SIZE, "--config", overlay, timeout=120)
    return root / "out", output


@pytest.mark.long
def test_it_prints_its_commands_and_ends_with_report_and_scores(demo):
    folder, output = demo
    lines = output.strip().splitlines()
    scores = json.loads((folder / "scores.json").read_text())
    assert lines[-2] == f"report: {folder / 'report.html'}"
    assert lines[-1].startswith("scores on the region never labelled: ")
    for name, value in scores.items():
        assert f"{name} {value:.4g}" in lines[-1]
    for workflow, config in (("training", "configs/train.json"), ("inference", "configs/inference.json")):
        shown = re.search(
            rf"^{re.escape(prepared_python())} -m monai\.bundle run {workflow} --config_file (.*)$", output, re.M
        )
        assert shown
        assert config in shown[1]
    assert f"cd {BUNDLE}" in output


@pytest.mark.long
def test_its_scores_are_those_of_the_region_that_was_never_labelled(demo):
    folder, _ = demo
    scores = json.loads((folder / "scores.json").read_text())
    assert set(scores) == {"sheet_dice", "normals_angle"}
    low, high = truth_box(SIZE)
    size = [b - a for a, b in zip(low, high, strict=True)]

    def read(path):
        volume = open_volume(path)
        return volume.decode(volume.read(low, size))

    phantom = folder / "data" / "phantom.zarr"
    truth, found = read(phantom / "truth_sheet")[0] > 0, read(folder / "prediction.zarr" / "sheet")[0] > 0.5
    assert scores["sheet_dice"] == pytest.approx(2 * (truth & found).sum() / (truth.sum() + found.sum()))
    true, predicted = (
        read(path)[:, truth] for path in (phantom / "truth_normals", folder / "prediction.zarr" / "normals")
    )
    cosines = (true * predicted).sum(axis=0) / np.linalg.norm(true, axis=0) / np.linalg.norm(predicted, axis=0)
    assert scores["normals_angle"] == pytest.approx(np.median(np.degrees(np.arccos(cosines))), abs=0.1)


@pytest.mark.long
def test_the_report_is_self_contained_and_holds_scores_pictures_and_curves(demo):
    folder, _ = demo
    page, scores = (folder / "report.html").read_text(), json.loads((folder / "scores.json").read_text())
    assert f">{scores['sheet_dice']:.3g}<" in page
    assert f">{scores['normals_angle']:.3g}°<" in page
    assert not re.search(r"https?://|<script|<link|<a ", page)
    sources = re.findall(r'src="([^"]*)"', page)
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    shapes = [Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))).size for source in sources]
    unseen, whole = SIZE - truth_box(SIZE)[0][0], SIZE
    rows = [(whole, whole)] * 3 + [(whole, unseen)] * 6  # width, height of slices along z, then y and x
    assert shapes[:18] == rows * 2  # the sheet, then the normals
    assert shapes[18:30] == [(whole, whole)] * 12  # the whole volume, then what was labelled
    assert len(shapes) == 32  # a preview of each epoch
    assert page.count("<svg") == 5  # losses, learning rate, scores, surface distance, angle
    assert "2 epochs, 8 iterations" in page
    assert f"{SIZE} x {SIZE} x {SIZE} voxels" in page


@pytest.mark.long
def test_the_scan_in_the_report_is_the_slice_that_it_names(demo):
    folder, _ = demo
    page = (folder / "report.html").read_text()
    at = int(re.search(r"<figcaption>z = (\d+), scan</figcaption>", page)[1])
    assert at == (truth_box(SIZE)[0][0] + SIZE) // 2
    source = re.search(r'src="data:image/png;base64,([^"]*)"', page)[1]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(source))))[..., 0].astype(float)
    raw = open_volume(folder / "data" / "phantom.zarr" / "raw").read((at, 0, 0), (1, SIZE, SIZE))[0, 0].astype(float)
    low, high = np.percentile(raw, (1, 99))
    np.testing.assert_allclose(shown, np.clip((raw - low) / (high - low), 0, 1) * 255, atol=1)


def test_a_failing_step_ends_the_demo_with_its_message(tmp_path):
    overlay = write_overlay(tmp_path / "bad.json", patch_size=[33, 32, 32])
    words = ["-m", "scripts", "demo", "--output", tmp_path / "out", f"--size={SIZE}", "--config", overlay]
    process = subprocess.run(
        [prepared_python(), *words],
        cwd=BUNDLE, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert process.returncode == 1
    assert "patch_size" in process.stderr
    assert "33" in process.stderr
    assert process.stderr.strip().splitlines()[-1] == (
        "error: the demo's training ended with status 1; its message stands above"
    )
    assert not (tmp_path / "out" / "report.html").exists()
    assert not (tmp_path / "out" / "prediction.zarr").exists()


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.pt").write_text("precious")
    with pytest.raises(FileExistsError, match=f"output: {tmp_path} holds something else than a demo; choose another"):
        demo_verb(str(tmp_path))
    assert (tmp_path / "models" / "mine.pt").read_text() == "precious"


def test_a_config_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path / 'no.json'} does not exist"):
        demo_verb(str(tmp_path / "out"), config=str(tmp_path / "no.json"))
    assert not (tmp_path / "out").exists()


def test_other_targets_than_the_phantoms_are_refused(tmp_path):
    overlay = write_overlay(tmp_path / "depth.json", targets={"sheet": {"channels": 1}, "depth": {"channels": 1}})
    with pytest.raises(
        ValueError, match="config: its targets are sheet, depth; the phantom has truth for sheet and nor"
    ):
        demo_verb(str(tmp_path / "out"), config=str(overlay))
    assert not (tmp_path / "out").exists()


def test_a_dry_run_shows_the_commands_and_runs_none(tmp_path, capsys):
    demo_verb(str(tmp_path / "out"), size=SIZE, dry_run=True)
    said = capsys.readouterr().out
    for words in ("scripts phantom", "monai.bundle run training", "monai.bundle run inference"):
        assert words in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("settings", "is_short"), [({"batch_size": 1}, True), ({"max_epochs": 2}, False)])
def test_it_trains_for_fewer_epochs_unless_a_config_says_how_many(tmp_path, capsys, settings, is_short):
    overlay = write_overlay(tmp_path / "own.json", **settings)
    demo_verb(str(tmp_path / "out"), config=str(overlay), dry_run=True)
    assert ("--max_epochs 7" in capsys.readouterr().out) is is_short
