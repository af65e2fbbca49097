"""Names, defaults and faults."""

import pytest

from scripts.geometry import Kind, Target
from scripts.metrics import (
    METRIC_NAMES,
    R2,
    AngularError,
    EndPointError,
    LabelDice,
    MeanAbsoluteError,
    SurfaceDistance,
    default_metrics,
    make_metric,
    metric_faults,
)


@pytest.mark.parametrize(
    ("target", "names"),
    [
        (Target("t", 1), ("dice", "surface_distance")),
        (Target("t", 3), ("dice",)),
        (Target("t", 1, Kind.SCALAR), ("mae", "r2")),
        (Target("t", 3, Kind.VECTOR), ("epe",)),
        (Target("t", 3, Kind.NORMAL), ("angle",)),
        (Target("t", 4, Kind.POINTS), ("mae",)),
    ],
)
def test_default_by_kind(target, names):
    assert default_metrics(target) == names


def test_every_name_builds_its_metric():
    target = Target("t", 4)
    built = {name: make_metric(name, target, (3, 2, 1)) for name in METRIC_NAMES}
    assert {name: type(metric) for name, metric in built.items()} == {
        "dice": LabelDice,
        "surface_distance": SurfaceDistance,
        "mae": MeanAbsoluteError,
        "r2": R2,
        "epe": EndPointError,
        "angle": AngularError,
    }
    assert built["dice"].channels == 4
    assert built["surface_distance"].spacing == [3, 2, 1]


def test_all_faults_at_once():
    faults = metric_faults(
        {
            "sheet": {"channels": 1, "metric": ["dice", "dise", "epe"]},
            "normals": {"channels": 3, "kind": "normal", "metric": "surface_distance"},
            "good": {"channels": 1, "kind": "scalar", "metric": "mae"},
        }
    )
    other_fit = "metrics that fit: mae, r2, epe, angle"
    fit = "metrics that fit: dice, surface_distance"
    assert faults == [
        f"targets: sheet: unknown metric 'dise' (did you mean 'dice'?); {fit}",
        f"targets: sheet: metric 'epe' needs kind vector or normal, but this is a label; {fit}",
        f"targets: normals: metric 'surface_distance' needs kind label, but this is a normal; {other_fit}",
    ]
