"""Losses of points by name."""

import pytest

from scripts.losses import (
    POINT_LOSS_NAMES,
    PointBarlowTwinsLoss,
    PointContrastiveLoss,
    PointVICRegLoss,
    make_point_loss,
)


def test_each_name_builds_its_loss():
    found = [type(make_point_loss(name)) for name in POINT_LOSS_NAMES]
    assert found == [PointContrastiveLoss, PointBarlowTwinsLoss, PointVICRegLoss]


def test_options_reach_the_loss():
    loss = make_point_loss({"name": "contrastive", "temperature": 0.2, "negatives": "patch"})
    assert (loss.temperature, loss.negatives) == (0.2, "patch")


def test_unknown_names_and_options():
    with pytest.raises(
        ValueError, match=r"unknown loss of points 'vicregg' \(did you mean 'vicreg'\?\); losses are: contr"
    ):
        make_point_loss("vicregg")
    with pytest.raises(ValueError, match=r"no option 'temprature' \(did you mean 'temperature'\?\); its options: temp"):
        make_point_loss({"name": "contrastive", "temprature": 1})
