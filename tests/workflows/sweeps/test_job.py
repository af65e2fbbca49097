"""Doing runs: order, failures, and worker processes of Dask."""

import json
from pathlib import Path

import pytest
from tests.workflows.sweep_runner import FakeRunner, train

from scripts.blockwise import DaskWorkers, Threads
from scripts.workflows.sweeps.job import do_runs, run_command
from scripts.workflows.sweeps.run import Run, Training


def chain(tmp_path, *links, command=("x",)):
    """Runs `name<-need,need`."""
    runs = []
    for link in links:
        name, _, needs = link.partition("<-")
        runs.append(
            Run(
                name, "seg", str(tmp_path / name), {"o.json": {}}, ((*command,),), tuple(filter(None, needs.split(",")))
            )
        )
    return runs


def test_runs_wait_for_what_they_need_and_a_failure_stops_those_alone(tmp_path):
    runs = chain(tmp_path, "a", "b", "c<-a", "d<-b", "e<-c,d", "f<-c", "g<-elsewhere")
    runner = FakeRunner("/b/")
    done, failed = do_runs(runs, Threads(), runner)
    assert sorted(done) == ["a", "c", "f", "g"]
    assert failed == {"b": "RuntimeError: FAILS", "d": "it needs b", "e": "it needs d"}
    assert done.index("a") < done.index("c") < done.index("f")
    assert [run.state for run in runs] == ["done", "to do", "done", "to do", "to do", "done", "done"]


def test_each_command_of_a_run_in_order_until_one_fails(tmp_path):
    one = Run("a", "val", str(tmp_path), {}, (("x", "1"), ("x", "2")))
    runner = FakeRunner()
    assert do_runs([one], Threads(), runner) == (["a"], {})
    assert runner.calls == [("x", "1"), ("x", "2")]


def test_a_training_that_ended_before_it_was_marked_is_not_run_again(tmp_path):
    training = Training(str(tmp_path / "checkpoints"), {2: str(tmp_path / "w.pt")}, 2)
    one = Run("a", "seg", str(tmp_path), {}, (("x",),), training=training)
    train({"ckpt_dir": training.checkpoints, "max_epochs": 2})
    runner = FakeRunner()
    assert do_runs([one], Threads(), runner) == (["a"], {})
    assert runner.calls == []
    assert (tmp_path / "w.pt").is_file()


def test_a_training_without_its_checkpoint_is_a_failure(tmp_path):
    training = Training(str(tmp_path / "checkpoints"), {2: str(tmp_path / "w.pt")}, 2)
    _, failed = do_runs([Run("a", "seg", str(tmp_path), {}, (("x",),), training=training)], Threads(), FakeRunner())
    assert "holds no model_epoch=2" in failed["a"]
    assert not (tmp_path / "done.json").exists()


def test_commands_are_processes_in_the_folder_of_the_bundle(tmp_path):
    log = tmp_path / "log.txt"
    run_command(["json.tool", "configs/embed.json"], log)
    shown = json.loads(log.read_text())
    assert shown["output_targets"] == ["embedding"]
    with pytest.raises(RuntimeError, match=r"(?s)ended with 1; .*log.txt ends with:.*No module named nothing_there"):
        run_command(["nothing_there"], log)


@pytest.mark.usefixtures("prepared_workers")
def test_workers_of_dask_do_the_same(tmp_path):
    pytest.importorskip("distributed")
    runs = chain(tmp_path, "a", "b", "c<-a", "d<-bad", "e<-d", command=("json.tool", "configs/embed.json"))
    bad = Run("bad", "seg", str(tmp_path / "bad"), {}, (("nothing_there",),))
    done, failed = do_runs([*runs[:3], bad, *runs[3:]], DaskWorkers(n_workers=2))
    assert sorted(done) == ["a", "b", "c"]
    assert set(failed) == {"bad", "d", "e"}
    assert "No module named nothing_there" in failed["bad"]
    assert all(json.loads(Path(run.folder, "log.txt").read_text()) for run in runs[:3])
