"""BestModel: bare weights of the best score, also across a resume."""

import pytest
import torch
from ignite.engine import Engine

from scripts.engines import BestModel


def evaluate(handler, scores):
    """Run one evaluation per score, as validation during a training does."""
    engine = Engine(lambda *_: None)
    engine.state.key_metric_name = "score"
    handler.attach(engine)
    for score in scores:
        handler.network.weight.data.fill_(score)
        engine.state.metrics["score"] = score
        engine.run([0], max_epochs=1)


@pytest.fixture
def handler(tmp_path):
    return BestModel(torch.nn.Linear(1, 1, bias=False), tmp_path / "new" / "model.pt")


def stored(handler):
    return torch.load(handler.path, weights_only=True)


def test_the_best_weights_stay(handler):
    evaluate(handler, [0.2, 0.7, 0.5])
    assert list(stored(handler)) == ["weight"]
    assert stored(handler)["weight"].item() == pytest.approx(0.7)
    assert [path.name for path in handler.path.parent.iterdir()] == ["model.pt"]


@pytest.mark.parametrize(("writes", "scores", "expected"), [(True, [], 0.3), (True, [0.7], 0.7), (False, [], None)])
def test_the_last_weights_stand_in_where_nothing_was_scored(handler, caplog, writes, scores, expected):
    handler.writes = writes
    trainer = Engine(lambda *_: None)
    handler.follow(trainer)
    evaluate(handler, scores)
    handler.network.weight.data.fill_(0.3)
    trainer.run([0], max_epochs=1)
    assert (stored(handler)["weight"].item() if handler.path.is_file() else None) == pytest.approx(expected)
    assert ("holds its last weights" in caplog.text) == (expected == 0.3)


def test_a_resumed_run_does_not_replace_a_better_model(handler):
    evaluate(handler, [0.7])
    resumed = BestModel(handler.network, handler.path)
    resumed.load_state_dict(handler.state_dict())
    evaluate(resumed, [0.5])
    assert stored(handler)["weight"].item() == pytest.approx(0.7)
    evaluate(resumed, [0.9])
    assert stored(handler)["weight"].item() == pytest.approx(0.9)
