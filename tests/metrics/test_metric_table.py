"""Names, defaults and faults."""

import math
import re

import pytest
import torch

from scripts.geometry import Kind, Target
from scripts.metrics import (
    METRIC_NAMES,
    R2,
    AngularError,
    CalibrationError,
    EndPointError,
    HausdorffDistance95,
    LabelDice,
    LabelIoU,
    MeanAbsoluteError,
    MeanRadialError,
    SurfaceDice,
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
        (Target("t", 4, Kind.POINTS), ("mre",)),
    ],
)
def test_default_by_kind(target, names):
    assert default_metrics(target) == names


def test_every_name_builds_its_metric():
    target = Target("t", 4)
    built = {name: make_metric(name, target, (3, 2, 1)) for name in METRIC_NAMES}
    assert {name: type(metric) for name, metric in built.items()} == {
        "dice": LabelDice,
        "iou": LabelIoU,
        "surface_distance": SurfaceDistance,
        "hausdorff95": HausdorffDistance95,
        "surface_dice": SurfaceDice,
        "ece": CalibrationError,
        "mae": MeanAbsoluteError,
        "r2": R2,
        "epe": EndPointError,
        "angle": AngularError,
        "mre": MeanRadialError,
    }
    assert built["dice"].channels == 4
    for name in ("surface_distance", "hausdorff95", "surface_dice"):
        assert built[name].spacing == [3, 2, 1]
    assert built["surface_dice"].tolerance is None
    assert (built["mre"].spacing, built["mre"].radii) == ([3, 2, 1], [])


def test_all_faults_at_once():
    faults = metric_faults(
        {
            "sheet": {"channels": 1, "metric": ["dice", "dise", "epe"]},
            "normals": {"channels": 3, "kind": "normal", "metric": "surface_distance"},
            "good": {"channels": 1, "kind": "scalar", "metric": "mae"},
        }
    )
    other_fit = "metrics that fit: mae, r2, epe, angle"
    fit = "metrics that fit: dice, iou, surface_distance, hausdorff95, surface_dice, ece"
    assert faults == [
        f"targets: sheet: unknown metric 'dise' (did you mean 'dice'?); {fit}",
        f"targets: sheet: metric 'epe' needs kind vector or normal, but this is a label; {fit}",
        f"targets: normals: metric 'surface_distance' needs kind label, but this is a normal; {other_fit}",
    ]


def test_numbers_behind_names():
    target = Target("t", 1)
    assert make_metric("surface_dice@2.5", target, (1, 1, 1)).tolerance == 2.5
    assert make_metric("mre@2.5", Target("t", 4, Kind.POINTS), (1, 1, 1)).radii == [2.5]
    assert metric_faults({"t": {"channels": 1, "metric": ["surface_dice@2.5", "surface_dice@0", "ece"]}}) == []
    takes = "expected a number of at least 0 behind '@', the tolerance, a length in the unit of the spacing; got"
    wrong = {
        "surface_dice@two": f"metric 'surface_dice@two': {takes} 'two'",
        "surface_dice@-1": f"metric 'surface_dice@-1': {takes} '-1'",
        "surface_dice@nan": f"metric 'surface_dice@nan': {takes} 'nan'",
        "surface_dice@": f"metric 'surface_dice@': {takes} ''",
        "dice@3": "metric 'dice@3': 'dice' takes no number behind '@'",
    }
    assert metric_faults({"t": {"channels": 1, "metric": list(wrong)}}) == [f"targets: t: {w}" for w in wrong.values()]
    for name, fault in wrong.items():
        with pytest.raises(ValueError, match=re.escape(fault)):
            make_metric(name, target, (1, 1, 1))


def test_unknown_name():
    with pytest.raises(ValueError, match=r"unknown metric 'iuo' \(did you mean 'iou'\?\); metrics are: dice, iou,"):
        make_metric("iuo", Target("t", 1), (1, 1, 1))


def test_heatmaps_are_read_as_the_loss_teaches_it():
    """Two peaks: the higher one's voxel, or the mean place of both."""
    maps = torch.zeros(1, 1, 1, 1, 9)
    maps[..., 1], maps[..., 7] = 9.0, 9.0 - math.log(3)  # weights 3 and 1, the rest nearly nothing
    mean = float((maps.softmax(-1) * torch.arange(9)).sum())
    points = torch.tensor([[[0.0, 0, 1]]])
    for loss, error in (("mse", 0), ("soft_argmax", mean - 1), (["soft_argmax", "mse"], 0)):
        metric = make_metric("mre", Target("t", 1, Kind.POINTS, loss=loss), (1, 1, 1))
        metric.update(maps, points)
        assert metric.compute()["mre"] == pytest.approx(error, abs=1e-5)
    near = Target("t", 1, Kind.POINTS, loss={"name": "soft_argmax", "window": 1})
    metric = make_metric("mre", near, (1, 1, 1))
    metric.update(maps, points)
    assert metric.compute()["mre"] == pytest.approx(0, abs=1e-3)
