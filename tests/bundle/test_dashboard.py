"""A training that is watched: its page while it runs, after it has gone on, and what watching costs."""

import csv
import json
import shutil
import threading
import time
from pathlib import Path

import pytest
from tests.bundle.running import folders, options, run
from tests.viewers.chromium import Page
from tests.viewers.neuroglancer_browser import CHROMIUM, NO_BROWSER

from scripts.viewers import DashboardServer, RunFolder, write_dashboard
from scripts.viewers.dashboard_files import read_steps
from scripts.workflows import phantom

SHORT = {
    "patch_size": [16, 16, 16], "features_per_stage": [16, 16], "n_blocks_per_stage": [1, 1], "max_epochs": 3,
    "max_steps_per_epoch": 4, "max_val_steps_per_epoch": 1, "device": "cpu",
}  # fmt: skip

SHOWN = "document.querySelectorAll('#panels canvas').length === 5"
TITLES = ["image", "sheet: truth", "sheet: prediction", "normals: truth", "normals: prediction"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    phantom(folder / "phantom.zarr", size=64, n_blocks=2, block=32)
    return folder


def train(root: Path, data: Path, **changes: object) -> str:
    settings = {**folders(root), "dataset_dir": data, **SHORT, **changes}
    return run("training", *options(**settings), configs=["configs/train.json"])


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of a training of three epochs."""
    root = tmp_path_factory.mktemp("trained")
    train(root, data)
    return root


def pixels(page: Page) -> list[list[int]]:
    """What every panel shows."""
    return page.value(
        "[...document.querySelectorAll('#panels canvas')].map((one) => [...one.getContext('2d')"
        ".getImageData(0, 0, one.width, one.height).data])"
    )


def move(page: Page, slider: str, value: int) -> None:
    page.value(
        f"(() => {{ const it = document.getElementById('{slider}'); it.value = {value};"
        "it.dispatchEvent(new Event('input')); })()"
    )


def text(page: Page, name: str) -> str:
    return page.value(f"document.getElementById('{name}').innerText")


def test_a_run_leaves_what_its_page_needs(trained: Path) -> None:
    output = trained / "output"
    summary = RunFolder(output).summary()
    record = summary["record"]
    assert (summary["state"], summary["previews"], summary["epochs"]) == ("finished", [1, 2, 3], [1, 2, 3])
    assert (record["epoch"], record["iteration"], record["epoch_length"]) == (3, 12, 4)
    assert record["settings"]["patch_size"] == [16, 16, 16]
    assert record["settings"]["volumes"][0]["ref_label"] == "sheet"
    assert record["settings"]["device"] == "cpu"
    assert not any("object at 0x" in str(value) for value in record["settings"].values())
    assert record["plan"]["features_per_stage"] == [16, 16]
    steps = read_steps(output / "steps.csv")
    assert [iteration for iteration, _ in steps] == list(range(1, 13))
    with (output / "history.csv").open(newline="") as file:
        totals = [float(row["train_total"]) for row in csv.DictReader(file)]
    for epoch, total in enumerate(totals):  # the mean of an epoch's steps is what the history says
        assert sum(loss for _, loss in steps[4 * epoch : 4 * epoch + 4]) / 4 == pytest.approx(total, rel=1e-4)
    worst = json.loads((output / "worst_patches.json").read_text())
    assert worst["epoch"] == 3
    assert [one["loss"] for one in worst["patches"][::2]] == pytest.approx(
        sorted((loss for _, loss in steps[8:]), reverse=True), rel=1e-4
    )
    for one in worst["patches"]:
        assert one["image"].endswith("phantom.zarr/raw")
        assert one["size"] == [16, 16, 16]
        assert all(0 <= start <= 48 for start in one["start"])
        assert sorted(panel["title"] for panel in one["atlas"]["panels"]) == sorted(TITLES)
    assert sum(path.stat().st_size for path in (output / "previews").glob("*_slices.json")) < 3 * 200_000


def test_a_run_that_goes_on_continues_its_files(data: Path, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    before = read_steps(tmp_path / "output" / "steps.csv")
    train(tmp_path, data, load_model="latest", max_epochs=4)
    after = read_steps(tmp_path / "output" / "steps.csv")
    assert after[:12] == before
    assert [iteration for iteration, _ in after] == list(range(1, 17))
    summary = RunFolder(tmp_path / "output").summary()
    assert (summary["previews"], summary["record"]["iteration"]) == ([1, 2, 3, 4], 16)
    assert summary["record"]["settings"]["load_model"] == "latest"


def test_what_cannot_go_on_leaves_the_record_as_it_was(data: Path, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    before = (tmp_path / "output" / "run.json").read_text()
    with pytest.raises(pytest.fail.Exception, match="raise max_epochs to go on"):
        train(tmp_path, data, load_model="latest")
    assert (tmp_path / "output" / "run.json").read_text() == before


def test_without_previews_there_are_no_pictures(data: Path, tmp_path: Path) -> None:
    train(tmp_path, data, previews=False, max_epochs=1)
    summary = RunFolder(tmp_path / "output").summary()
    assert (summary["previews"], summary["worst"], len(summary["steps"])) == ([], None, 4)


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason=NO_BROWSER)
def test_the_page_follows_a_training_without_a_reload(data: Path, tmp_path: Path) -> None:
    failed: list[BaseException] = []

    def watched() -> None:
        try:
            train(tmp_path, data, max_epochs=4, max_steps_per_epoch=6)
        except BaseException as error:
            failed.append(error)

    training = threading.Thread(target=watched)
    training.start()
    record = tmp_path / "output" / "run.json"
    while training.is_alive() and not record.exists():
        time.sleep(0.05)
    try:
        with DashboardServer(RunFolder(record.parent), refresh=0.5) as server, Page(server.url) as page:
            page.value("window.stays = true")
            page.wait_for("document.getElementById('state').innerText === 'running'")
            page.wait_for(SHOWN, 90)
            first = page.value("Number(document.getElementById('epoch').max)")
            page.wait_for("document.getElementById('state').innerText === 'finished'", 90)
            page.wait_for("document.getElementById('epoch-said').innerText === '4, of 1 to 4'")
            assert first < 3  # epochs came while it was looked at
            assert page.value("window.stays")
            assert text(page, "where").startswith("epoch 4 of 4, step 6 of 6")
            assert page.errors == []
    finally:
        training.join()
    assert failed == []


@pytest.mark.skipif(CHROMIUM is None, reason=NO_BROWSER)
@pytest.mark.parametrize("is_file", [False, True], ids=["served", "exported"])
def test_a_real_run_can_be_looked_through(trained: Path, tmp_path: Path, is_file: bool) -> None:
    run_folder = RunFolder(trained / "output")
    path = write_dashboard(run_folder, tmp_path / "page.html")
    with DashboardServer(run_folder) as server, Page(
        path.as_uri() if is_file else server.url, width=390, height=844, offline=is_file
    ) as page:  # fmt: skip
        page.wait_for(SHOWN)
        titles = page.value("[...document.querySelectorAll('#panels figcaption')].map((one) => one.innerText)")
        assert titles == TITLES
        move(page, "slice", 0)
        shown = pixels(page)
        move(page, "slice", 9)
        assert all(before != after for before, after in zip(shown[:1] + shown[2:3], pixels(page)[::2][:2], strict=True))
        move(page, "epoch", 0)
        page.wait_for("document.getElementById('epoch-said').innerText.startsWith('1,')")
        last = pixels(page)
        page.wait_for("document.querySelectorAll('#worst > li').length >= 4")
        assert len(last) == 5
        page.value("document.querySelectorAll('#toggles input')[3].click()")
        assert not page.value("document.querySelectorAll('#panels figure')[3].checkVisibility()")
        assert page.value("document.documentElement.scrollWidth") <= 390
        assert page.errors == []
