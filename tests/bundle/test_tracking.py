"""Experiment tracking by the option of MONAI's command line: MLflow in a local file, Comet in a local archive."""

import json
import zipfile

import pytest
from tests.bundle.running import folders, options, read_history, run

from scripts.workflows import phantom

SHORT = {
    "patch_size": [16, 16, 16], "features_per_stage": [8, 8], "n_blocks_per_stage": [1, 1], "max_epochs": 2,
    "max_steps_per_epoch": 2, "max_val_steps_per_epoch": 1, "device": "cpu", "previews": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    phantom(folder / "phantom.zarr", size=64, n_blocks=2, block=32)
    return folder


def train(data, root, *words):
    settings = options(**{**folders(root), "dataset_dir": data, **SHORT})
    run("training", *settings, "--tracking", *words, configs=["configs/train.json"])
    return read_history(root)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # of SQLAlchemy 2.1, which MLflow asks for it
def test_mlflow_gets_losses_and_scores(data, tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="the extra 'tracking' is not installed")
    rows = train(data, tmp_path, "mlflow", "--experiment_name", "sheets", "--run_name", "first")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/output/mlruns.db")
    (done,) = client.search_runs([client.get_experiment_by_name("sheets").experiment_id])
    assert (done.info.run_name, done.info.status) == ("first", "FINISHED")
    assert done.data.metrics["score"] == pytest.approx(float(rows[-1]["val_score"]), rel=1e-5)
    assert done.data.metrics["train_sheet"] == pytest.approx(float(rows[-1]["train_sheet"]), rel=1e-5)
    steps = client.get_metric_history(done.info.run_id, "train_loss")
    assert [one.step for one in steps] == [1, 2, 3, 4]
    assert sum(one.value for one in steps[2:]) / 2 == pytest.approx(float(rows[-1]["train_total"]), rel=1e-4)


@pytest.mark.long
def test_comet_gets_losses_scores_and_settings(data, tmp_path):
    pytest.importorskip("comet_ml", reason="the extra 'tracking' is not installed")
    words = ["--comet_offline", str(tmp_path / "comet"), "--comet_project", "scrolls", "--comet_tags", "['a']"]
    rows = train(data, tmp_path, "configs/comet.json", *words)
    (archive,) = (tmp_path / "comet").glob("*.zip")
    with zipfile.ZipFile(archive) as file:
        about = json.loads(file.read("experiment.json"))
        sent = [json.loads(line) for line in file.read("messages.json").splitlines()]
    assert (about["project_name"], about["tags"]) == ("scrolls", ["a"])
    metrics = [message["payload"]["metric"] for message in sent if message["type"] == "metric_msg"]
    scores = [one["metricValue"] for one in metrics if one["metricName"] == "score"]
    assert scores == pytest.approx([float(row["val_score"]) for row in rows], rel=1e-5)
    assert sum(one["metricName"] == "train_loss" for one in metrics) == 4
    parameters = {
        part["paramName"]
        for m in sent
        if m["type"] == "parameter_msg"
        for part in (m["payload"].get("param") or m["payload"]["params"],)
    }
    assert {"batch_size", "learning_rate", "random_seed"} <= parameters
