"""Normals of spheres, planes and cylinders against their formulas."""

import numpy as np
import pytest

from scripts.geometry.surfaces import dominant_side, object_normals, outer_side, sheet_normals

SPACINGS = [(1.0, 1.0, 1.0), (3.0, 1.0, 1.5)]
CENTRE = np.array([29.0, 31.0, 30.0])


def offsets(spacing, extent=60.0):
    """Physical offset of each voxel from CENTRE: C D H W."""
    axes = [np.arange(round(extent / size)) * size for size in spacing]
    return np.stack(np.meshgrid(*axes, indexing="ij")) - CENTRE[: len(spacing)].reshape(-1, *[1] * len(spacing))


def angles(normals, expected, where, up_to_sign=False):
    cosine = (normals * expected).sum(axis=0)[where]
    assert np.allclose(np.linalg.norm(normals, axis=0)[where], 1, atol=1e-5)
    return np.rad2deg(np.arccos(np.clip(np.abs(cosine) if up_to_sign else cosine, -1, 1)))


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_ball_points_outward(spacing):
    offset = offsets(spacing)
    radius = np.linalg.norm(offset, axis=0)
    normals = object_normals((radius < 20).astype(int), spacing, sigma=1.5 * max(spacing), width=max(spacing))
    where = np.abs(radius - 20) < 0.4 * min(spacing)
    found = angles(normals, offset / np.maximum(radius, 1e-9), where)
    assert np.median(found) < 2
    assert found.max() < 12
    assert not normals[:, np.abs(radius - 20) > 3 * max(spacing)].any()
    filled = object_normals((radius < 20).astype(int), spacing, sigma=1.5 * max(spacing))
    lacking = (radius < 20) & ~filled.any(axis=0)  # but for the centre, where no direction is nearest
    assert (radius[lacking] < max(spacing)).all()
    assert not filled[:, radius >= 20].any()


def test_a_half_space_is_exact_up_to_the_edges_of_the_array():
    """Against flattening: a plane across the last axis that leaves through all edges of the others."""
    index = np.indices((6, 9, 12))[2]
    normals = object_normals((index < 6).astype(int), (3.0, 1.0, 1.5), sigma=3.0, width=100.0)
    np.testing.assert_allclose(normals, np.broadcast_to(np.reshape([0, 0, 1], (3, 1, 1, 1)), normals.shape), atol=1e-5)


@pytest.mark.parametrize("value", [0, 1])
def test_no_surface_no_normals(value):
    ids = np.full((5, 6, 7), value)
    assert not object_normals(ids, (1.0, 1.0, 1.0), sigma=1.0).any()
    assert not sheet_normals(ids > 0, (1.0, 1.0, 1.0), sigma=1.0).any()


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("direction", [(1, 0, 0), (0.2, 0.9, -0.4), (-0.5, 0.5, 0.7), (0.8, 0.1, 0.6)])
def test_a_plane_sheet(direction, spacing):
    direction = np.array(direction) / np.linalg.norm(direction)
    sheet = np.abs(np.tensordot(direction, offsets(spacing), axes=1)) < 3
    normals = sheet_normals(sheet, spacing, sigma=max(spacing))
    found = angles(normals, direction.reshape(3, 1, 1, 1), sheet, up_to_sign=True)
    assert np.median(found) < 0.5
    assert found.max() < 6
    assert not normals[:, ~sheet].any()


@pytest.mark.parametrize("spacing", SPACINGS)
def test_two_rolled_sheets(spacing):
    """Cylinders of radius 12 and 20 along z: the normal is the radius, and points away from a given axis."""
    offset = offsets(spacing)
    radius = np.linalg.norm(offset[1:], axis=0)
    expected = np.stack([0 * radius, *(offset[1:] / np.maximum(radius, 1e-9))])
    sheets = (np.abs(radius - 12) < 1.6) | (np.abs(radius - 20) < 1.6)
    normals = sheet_normals(sheets, spacing, sigma=max(spacing) * 0.7)
    found = angles(normals, expected, sheets, up_to_sign=True)
    assert np.median(found) < 3
    assert np.percentile(found, 99) < 12
    outer = outer_side(normals, np.diag([*spacing, 1.0]), spacing, CENTRE, axis=(5, 0, 0))
    assert angles(outer, expected, sheets).max() < 90
    # away from a point far along the axis the same sheets are no longer told apart by their radius alone
    skewed = outer_side(normals, np.diag([*spacing, 1.0]), spacing, CENTRE - [0, 100, 0])
    assert (skewed[1][sheets & (np.abs(expected[1]) > 0.9)] > 0).all()


def test_a_circle_in_two_dimensions():
    offset = offsets((2.0, 1.0))
    radius = np.linalg.norm(offset, axis=0)
    ring = np.abs(radius - 18) < 2.5
    found = angles(sheet_normals(ring, (2.0, 1.0), sigma=2.0), offset / np.maximum(radius, 1e-9), ring, up_to_sign=True)
    assert np.median(found) < 2


def gaussian(n, sigma, order=0, is_continued=True):
    """Matrix that smooths n values, or takes the derivative of what is smoothed; sigma in voxels."""
    offset = np.arange(-int(4 * sigma + 0.5), int(4 * sigma + 0.5) + 1)
    weights = np.exp(-(offset**2) / (2 * sigma**2))
    weights = weights / weights.sum() * (offset / sigma**2) ** order
    matrix = np.zeros((n, n))
    for row in range(n):
        for column, weight in zip(row + offset, weights, strict=True):
            if is_continued or 0 <= column < n:
                matrix[row, min(max(column, 0), n - 1)] += weight
    return matrix


def test_a_sheet_that_leaves_the_array_against_the_definition_of_the_structure_tensor():
    """Derivatives of a Gaussian of sigma, products within two sigma of the edges left out, averaged with two sigma."""
    spacing, sigma, (height, width) = (2.0, 1.0), 3.0, (40, 54)
    rows, columns = np.indices((height, width))
    sheet = np.abs(rows * spacing[0] - 40 - 12 * np.sin(columns / 9)) < 4
    down, across = (gaussian(n, sigma / size) for n, size in zip(sheet.shape, spacing, strict=True))
    steep_down, steep_across = (gaussian(n, sigma / size, 1) for n, size in zip(sheet.shape, spacing, strict=True))
    gradient = np.stack([steep_down @ sheet @ across.T / spacing[0], down @ sheet @ steep_across.T / spacing[1]])
    gradient[:, [*range(3), *range(-3, 0)]] = 0  # 2 sigma are 3 voxels of 2 along the first axis
    gradient[:, :, [*range(6), *range(-6, 0)]] = 0
    wide = [gaussian(n, 2 * sigma / size, is_continued=False) for n, size in zip(sheet.shape, spacing, strict=True)]
    tensor = np.array([[wide[0] @ (one * other) @ wide[1].T for other in gradient] for one in gradient])
    expected = np.linalg.eigh(np.moveaxis(tensor, (0, 1), (2, 3)))[1][..., -1]  # D H C
    found = angles(sheet_normals(sheet, spacing, sigma), np.moveaxis(expected, -1, 0), sheet, up_to_sign=True)
    assert found.max() < 0.1


def test_dominant_side_follows_the_bulk():
    normals = np.array([[-0.8, 0.8, -1, 0, 0.6], [0.6, -0.6, 0, 0, 0.8], [0, 0, 0, 0, 0]], np.float32)  # C N
    expected = np.array([[0.8, 0.8, 1, 0, 0.6], [-0.6, -0.6, 0, 0, 0.8], [0, 0, 0, 0, 0]], np.float32)
    assert np.array_equal(dominant_side(normals), expected)
    assert np.array_equal(dominant_side(-normals), expected)


def test_outer_side_is_decided_in_the_scene():
    """The array is flipped along its last axis: position = (3 i, 1 j, 20 - 2 k), components along the array's axes."""
    affine = np.array([[3.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, -2, 20], [0, 0, 0, 1]])
    normals = np.zeros((3, 1, 1, 11), np.float32)
    normals[2] = 1
    out = outer_side(normals, affine, (3.0, 1.0, 2.0), origin=(0, 0, 9))
    # positions 20, 18, ..., 10 lie beyond the origin, and moving away from it lowers k there
    assert out[2, 0, 0].tolist() == [-1] * 6 + [1] * 5
