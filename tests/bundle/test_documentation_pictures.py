"""Pictures of the documentation show what the transforms do."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from tests.bundle.running import BUNDLE
from tests.documentation.pictures import MOVES, N_VOXELS, PICTURES, SLOPE, SURFACE_LENGTH

PLACE = BUNDLE / "docs" / "pictures"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_up_to_date(name):
    """Where not: python -m tests.documentation.pages."""
    assert PICTURES[name]() == (PLACE / f"{name}.svg").read_text()


def shapes(name, kind, tag):
    root = ET.fromstring((PLACE / f"{name}.svg").read_text())
    return [{k: float(v) for k, v in one.attrib.items() if re.fullmatch(r"-?[\d.]+", v)}
            for one in root.iter(f"{SVG}{tag}") if one.get("class") == kind]  # fmt: skip


# new index -> old index, along y and x, as one writes it down for each move
BY_HAND = {
    "mirror": np.diag([1.0, -1.0]),
    "quarter_turn": np.array([[0.0, 1.0], [-1.0, 0.0]]),
    "quarter_turn_unequal": np.array([[0.0, 1.0], [-1.0, 0.0]]),
    "stretch": np.diag([1.0, 0.5]),
}


@pytest.mark.parametrize("name", MOVES)
def test_arrows_are_those_of_the_formulas(name):
    spacing = np.diag(MOVES[name][1])
    to_old = BY_HAND[name]
    unit = 20.0 if spacing[0, 0] == 1 else 12.0
    normal = np.array(SLOPE) / np.hypot(*SLOPE)
    vector = SURFACE_LENGTH * np.array([-normal[1], normal[0]])
    turned = np.linalg.inv(spacing) @ to_old.T @ spacing @ normal
    moved = spacing @ np.linalg.inv(to_old) @ np.linalg.inv(spacing) @ vector
    expected = {"normal": (2 * normal, 2 * turned / np.linalg.norm(turned)), "vector": (vector, moved)}
    for kind, both in expected.items():
        drawn = np.array([(one["y2"] - one["y1"], one["x2"] - one["x1"]) for one in shapes(name, kind, "line")]) / unit
        half = len(drawn) // 2
        for found, wanted in zip((drawn[:half], drawn[half:]), both, strict=True):
            assert np.allclose(found, wanted, atol=0.01)
    assert abs(turned @ moved) < 1e-9  # a normal stays at right angles to what lies in the surface


@pytest.mark.parametrize("name", MOVES)
def test_foreground_is_where_the_move_brings_it(name):
    voxels = sorted(
        [(one["y"], one["x"], kind) for kind in ("foreground", "background") for one in shapes(name, kind, "rect")]
    )
    columns = sorted({x for _, x, _ in voxels})
    before, after = (
        np.array([kind == "foreground" for _, x, kind in voxels if x in part]).reshape(N_VOXELS, N_VOXELS)
        for part in (columns[:N_VOXELS], columns[N_VOXELS:])
    )
    if name == "mirror":
        assert np.array_equal(after, before[:, ::-1])
    elif name == "stretch":
        middle = (N_VOXELS - 1) / 2
        old = np.clip(np.round((np.arange(N_VOXELS) - middle) * 0.5 + middle).astype(int), 0, N_VOXELS - 1)
        assert (after == before[:, old]).mean() > 0.97  # ties between two voxels
    else:
        assert np.array_equal(after, np.rot90(before, 1, (0, 1)))


def test_the_patch_lies_where_its_affine_says():
    stored, patch, padding = (shapes("grid", kind, "rect") for kind in ("foreground", "patch", "padding"))
    assert (len(stored), len(patch), len(padding)) == (30, 6, 6)
    width, height = stored[0]["width"], stored[0]["height"]
    assert height == 2 * width
    corner = min(one["x"] for one in stored), min(one["y"] for one in stored)
    first = min(one["x"] for one in padding), min(one["y"] for one in padding)
    assert first == pytest.approx((corner[0] - width, corner[1] + 3 * height))
    text = (PLACE / "grid.svg").read_text()
    assert "at 0 16 39" in text  # 0 10 40 + 3 voxels of 2 along y - 1 voxel of 1 along x


def test_windows_stand_where_monai_puts_them():
    text = (PLACE / "windows.svg").read_text()
    assert re.findall(r">from (-?\d+)<", text) == ["0", "4", "8", "12", "13", "-1"]
