"""What is sent to Comet, read from the archive of an experiment that makes no connection."""

import json
import os
import socket
import zipfile
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine

from scripts.engines import CometLog, comet_log


class Loss:
    terms = {"sheet": torch.tensor(0.25)}


def messages(folder):
    (archive,) = folder.glob("*.zip")
    with zipfile.ZipFile(archive) as file:
        about = json.loads(file.read("experiment.json"))
        return about, [json.loads(line) for line in file.read("messages.json").splitlines()]


@pytest.fixture
def offline(monkeypatch):
    """Connections to anything but this machine's sockets of files are an error."""

    def connect(self, address):
        raise AssertionError(f"it connects to {address}")

    monkeypatch.setattr(socket.socket, "connect", connect)


def run(handler, evaluator, fail=False):
    def step(engine, batch):
        if fail and engine.state.iteration == 2:
            raise ValueError("stop")
        return {"loss": torch.tensor(float(engine.state.iteration))}

    trainer = Engine(step)
    trainer.loss_function = Loss()
    handler.attach(trainer)
    trainer.add_event_handler("EPOCH_COMPLETED", lambda: evaluator.run([0]))
    trainer.run([0, 0], max_epochs=2)


def test_losses_scores_settings_and_tags_are_sent(tmp_path, offline):
    evaluator = Engine(lambda engine, batch: None)
    evaluator.add_event_handler("EPOCH_COMPLETED", lambda engine: engine.state.metrics.update(score=0.75))
    handler = CometLog(
        evaluator, workspace="lab", project="scrolls", tags=["a", "b"], name="first", offline_directory=tmp_path / "c",
        settings={"batch_size": 3},
    )  # fmt: skip
    run(handler, evaluator)
    about, sent = messages(tmp_path / "c")
    assert (about["project_name"], about["workspace"], sorted(about["tags"])) == ("scrolls", "lab", ["a", "b"])
    assert os.environ["COMET_ERROR_TRACKING_ENABLE"] == "0"
    metrics = [message["payload"]["metric"] for message in sent if message["type"] == "metric_msg"]
    losses = [(one["step"], one["epoch"], one["metricValue"]) for one in metrics if one["metricName"] == "train_loss"]
    assert losses == [(1, 1, 1.0), (2, 1, 2.0), (3, 2, 3.0), (4, 2, 4.0)]
    scores = [(one["step"], one["epoch"], one["metricValue"]) for one in metrics if one["metricName"] == "score"]
    assert scores == [(2, 1, 0.75), (4, 2, 0.75)]
    assert {one["metricValue"] for one in metrics if one["metricName"] == "train_sheet"} == {0.25}
    parameters = [m["payload"]["param"] for m in sent if m["type"] == "parameter_msg"]
    assert {p["paramName"]: p["paramValue"] for p in parameters if p["source"] == "manual"} == {"batch_size": 3}
    names = [m["payload"]["value"] for m in sent if m["type"] == "log_other" and m["payload"]["key"] == "Name"]
    assert names == ["first"]


def test_a_training_that_fails_ends_its_experiment(tmp_path, offline):
    with pytest.raises(ValueError, match="stop"):
        run(CometLog(offline_directory=tmp_path), Engine(lambda engine, batch: None), fail=True)
    _, sent = messages(tmp_path)
    assert [m["payload"]["metric"]["metricValue"] for m in sent if m["type"] == "metric_msg"].count(1.0) == 1


def test_online_experiments_take_key_workspace_and_project(monkeypatch):
    class Stop(Exception):
        pass

    given = {}

    def experiment(**options):
        given.update(options)
        raise Stop

    monkeypatch.setattr(comet_log, "_comet", lambda: SimpleNamespace(Experiment=experiment))
    with pytest.raises(Stop):
        run(CometLog(api_key="k", workspace="w", project="p"), Engine(lambda engine, batch: None))
    assert (given["api_key"], given["workspace"], given["project_name"]) == ("k", "w", "p")
    assert (given["log_code"], given["log_env_details"], given["log_git_metadata"]) == (False, False, False)
