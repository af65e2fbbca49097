"""Scores as JSON."""

import json

from ignite.engine import Engine

from scripts.engines import ScoresFile


def test_scores_are_sorted_and_what_is_not_known_is_null(tmp_path):
    engine = Engine(lambda engine, item: None)
    engine.state.metrics = {"sheet_dice": 0.75, "angle": float("nan"), "far": float("inf"), "a": 1.0}
    path = tmp_path / "evaluation" / "scores.json"
    ScoresFile(str(path)).attach(engine)
    assert not path.exists()
    engine.run([0], max_epochs=1)
    scores = json.loads(path.read_text())
    assert scores == {"a": 1.0, "angle": None, "far": None, "sheet_dice": 0.75}
    assert list(scores) == sorted(scores)


def test_a_second_run_replaces_the_first(tmp_path):
    engine = Engine(lambda engine, item: None)
    ScoresFile(tmp_path / "scores.json").attach(engine)
    for value in (0.25, 0.5):
        engine.state.metrics = {"score": value}
        engine.run([0], max_epochs=1)
    assert json.loads((tmp_path / "scores.json").read_text()) == {"score": 0.5}
