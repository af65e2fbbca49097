"""LabelToNormals: options, sides, and that sides survive augmentation."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Flipd, Rotate90d, Zoomd

from scripts.transforms import LabelToNormals, LabelToNormalsd

SPACING = (2.0, 1.0, 1.0)
SHAPE = (20, 40, 40)
CENTRE = (20.0, 21.0, 18.0)


def offsets():
    index = torch.stack(torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in SHAPE), indexing="ij"))
    scale, centre = (torch.tensor(values).reshape(3, 1, 1, 1) for values in (SPACING, CENTRE))
    return index * scale - centre


def with_affine(label, translation=(100.0, -50.0, 7.0)):
    affine = torch.diag(torch.tensor([*SPACING, 1.0], dtype=torch.float64))
    affine[:3, 3] = torch.tensor(translation)
    return MetaTensor(label[None].int(), affine=affine, meta={"reference_affine": affine.clone()})


def rolled():
    return with_affine((offsets()[1:].norm(dim=0) - 12).abs() < 2)


def median_angle(normals, expected, where):
    cosine = (normals.as_tensor() * expected).sum(dim=0)[where]
    return float(torch.rad2deg(torch.arccos(cosine.clamp(-1, 1))).median())


def test_objects_point_outward():
    offset = offsets()
    ball = offset.norm(dim=0) < 14
    normals = LabelToNormals()(with_affine(ball))
    shell = ball & (offset.norm(dim=0) > 12)
    assert median_angle(normals, offset / offset.norm(dim=0).clamp_min(1e-9), shell) < 3
    assert not normals[:, ~ball].any()


def test_width_gives_a_band_on_both_sides():
    offset = offsets()
    ball = offset.norm(dim=0) < 14
    given = LabelToNormals(width=2.0)(with_affine(ball)).abs().sum(dim=0) > 0
    depth = (offset.norm(dim=0) - 14).abs()
    assert given[depth < 0.5].all()
    assert not given[depth > 4].any()
    assert given[~ball].any()


def test_sigma_smooths_a_rough_surface():
    rough = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (1, 1, 1, 40)).repeat(40, axis=2))
    label = torch.cat([torch.ones(1, 10, 40, 40), rough.expand(1, 1, 40, 40), torch.zeros(1, 9, 40, 40)], dim=1)
    expected = torch.tensor([1.0, 0, 0]).reshape(3, 1, 1, 1)
    top = label[0] > 0
    top[:9] = False  # the rough layer and the one below it
    found = {
        sigma: median_angle(LabelToNormals(sigma=sigma)(with_affine(label[0])), expected, top) for sigma in (1.0, 6.0)
    }
    assert found[6.0] < 0.5 * found[1.0]


@pytest.mark.parametrize(
    "chain",
    [
        pytest.param([], id="as it is"),
        pytest.param([Flipd("n", spatial_axis=[1, 2])], id="flip"),
        pytest.param([Rotate90d("n", spatial_axes=(1, 2)), Flipd("n", spatial_axis=0)], id="rotation"),
        pytest.param([Zoomd("n", zoom=1.2, mode="nearest-exact", padding_mode="constant")], id="zoom"),
    ],
)
def test_a_rolled_sheet_keeps_its_outside_through_augmentation(chain):
    """Origin and axis are physical; the flipped patch has its outside where the flip moved it."""
    origin = [c + t for c, t in zip(CENTRE, (100.0, -50.0, 7.0), strict=True)]
    derive = LabelToNormalsd("n", mode="sheet", origin=origin, axis=(1.0, 0.0, 0.0))
    out = Compose([*chain, derive])({"n": rolled()})["n"]
    index = torch.stack(torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in out.shape[1:]), indexing="ij"))
    at = torch.linalg.solve(out.affine, torch.tensor([*origin, 1.0], dtype=torch.float64))[:3]
    offset = (index - at.reshape(3, 1, 1, 1)) * torch.tensor(SPACING).reshape(3, 1, 1, 1)
    offset[0] = 0
    given = out.as_tensor().abs().sum(dim=0) > 0
    assert median_angle(out, offset / offset.norm(dim=0).clamp_min(1e-9), given) < 4
    # without an axis, patches of a full roll have no such outside
    one_side = Compose([*chain, LabelToNormalsd("n", mode="sheet")])({"n": rolled()})["n"]
    assert float(((one_side.as_tensor() * offset).sum(dim=0)[given] > 0).double().mean()) < 0.7


def test_axis_and_point_differ():
    """A tilted plate above the point: it faces up from the point, and to both sides from the line along z."""
    tilted = (offsets()[0] - 8 - 0.3 * offsets()[1]).abs() < 2
    options = {"mode": "sheet", "origin": tuple(c + t for c, t in zip(CENTRE, (100.0, -50.0, 7.0), strict=True))}
    from_point = LabelToNormals(**options)(with_affine(tilted))
    from_line = LabelToNormals(**options, axis=(1, 0, 0))(with_affine(tilted))
    assert (from_point[0][tilted] > 0).all()
    right, left = (tilted & (offsets()[1] > 1)), (tilted & (offsets()[1] < -1))
    assert (from_line[1][right] > 0).all()
    assert (from_line[1][left] < 0).all()


def test_plain_tensors_measure_the_origin_from_voxel_zero():
    sheet = (offsets()[0].abs() < 1)[None].int()
    below, above = (LabelToNormals("sheet", spacing=SPACING, origin=(z, 20.0, 20.0))(sheet) for z in (0.0, 38.0))
    assert (below[0][sheet[0] > 0] > 0.99).all()
    assert (above[0][sheet[0] > 0] < -0.99).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "sheets"}, r"mode must be one of object, sheet; got 'sheets' \(did you mean 'sheet'"),
        ({"mode": "sheet", "width": 2.0}, "width=2.0 belongs to mode='object'"),
        ({"origin": (1, 2, 3)}, "origin and axis belong to mode='sheet'"),
        ({"mode": "sheet", "axis": (1, 0, 0)}, r"axis must be a direction.*given with origin; got \(1, 0, 0\), None"),
        ({"mode": "sheet", "origin": (1, 2, 3), "axis": (0, 0, 0)}, r"other than zero.*got \(0, 0, 0\)"),
        ({"sigma": 0}, "sigma must be a physical length above 0.*got 0"),
        ({"width": -1}, "width must be a physical length above 0.*got -1"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        LabelToNormals(**options)


def test_an_origin_for_other_dimensions():
    with pytest.raises(ValueError, match=r"origin must hold 3 values, one per spatial axis.*got \(1, 2\)"):
        LabelToNormals("sheet", origin=(1, 2))(rolled())
