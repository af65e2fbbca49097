"""LabelToDistance against a line of voxels written out by hand."""

import pytest
import torch

from scripts.transforms import LabelToDistance

NAN = float("nan")
LINE = torch.tensor([[[0, 0, 0, 1, 1, 5, 5, 5, 0]]])  # 1 H W; spacing 2 along W


def line(**options):
    return LabelToDistance(**options, spacing=(1.0, 2.0))(LINE)[0, 0].tolist()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, [-5, -3, -1, 1, 3, 5, 3, 1, -1], id="signed"),
        pytest.param({"mode": "inside"}, [0, 0, 0, 1, 3, 5, 3, 1, 0], id="inside"),
        pytest.param({"mode": "outside"}, [5, 3, 1, 0, 0, 0, 0, 0, 1], id="outside"),
        pytest.param({"per_instance": True}, [-5, -3, -1, 1, 1, 1, 3, 1, -1], id="per instance"),
        pytest.param({"clip": 3.0}, [-3, -3, -1, 1, 3, 3, 3, 1, -1], id="clip"),
        pytest.param({"clip": 4.0, "normalize": True}, [-1, -0.75, -0.25, 0.25, 0.75, 1, 0.75, 0.25, -0.25], id="unit"),
        pytest.param(
            {"mode": "outside", "clip": 4.0, "normalize": True}, [1, 0.75, 0.25, 0, 0, 0, 0, 0, 0.25], id="both"
        ),
    ],
)
def test_a_line_by_hand(options, expected):
    assert line(**options) == expected


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [("signed", 0, -6.0), ("signed", 1, 6.0), ("inside", 0, 0.0), ("outside", 1, 0.0), ("outside", 0, 6.0)],
)
def test_a_patch_without_a_boundary_is_clipped_or_unknown(mode, value, expected):
    label = torch.full((1, 3, 4), value)
    assert (LabelToDistance(mode, clip=6.0, spacing=(1, 1))(label) == expected).all()
    without = LabelToDistance(mode, spacing=(1, 1))(label)
    assert (without == 0).all() if expected == 0 else without.isnan().all()


def test_result_is_float32():
    assert LabelToDistance(spacing=(1, 1))(LINE).dtype == torch.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "unsigned"}, r"mode must be one of signed, inside, outside; got 'unsigned' \(did you mean 'signed'"),
        ({"clip": -2}, "clip must be a physical length above 0.*got -2"),
        ({"clip": "far"}, "clip must be a physical length above 0.*got 'far'"),
        ({"normalize": True}, "normalize=True divides by clip, but clip is None"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        LabelToDistance(**options)
