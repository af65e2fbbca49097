"""The share of points that are found again, as an ignite metric."""

import pytest
import torch
from ignite.engine import Engine

from scripts.engines import PointMatchingScore


def test_the_score_compares_the_output_that_is_named():
    """Of 3 points on a line each finds itself by `embedding`; all vectors of `projection` are the same."""
    outputs = {
        "embedding": torch.eye(3).T.reshape(1, 3, 1, 1, 3).repeat(2, 1, 1, 1, 1),
        "projection": torch.ones(2, 2, 1, 1, 3),
    }
    points = torch.tensor([[0.0, 0.0, x] for x in range(3)]).repeat(2, 1, 1)
    shares = {}
    for name in outputs:
        metric = PointMatchingScore(name)
        metric.update((outputs, {"points": points}))
        shares[name] = metric.compute()["point_matching"]
    assert shares == {"embedding": 1, "projection": pytest.approx(1 / 3)}


def test_no_point_at_all_counts_as_nothing(caplog):
    metric = PointMatchingScore()
    metric.update(({"embedding": torch.zeros(2, 3, 4, 4, 4)}, {"points": torch.full((2, 5, 3), torch.nan)}))
    engine = Engine(lambda engine, batch: None)
    metric.completed(engine, "score")
    assert engine.state.metrics["score"] == 0
    assert "score: no point was in both views, it counts as 0" in caplog.text
