"""Normals of real papyrus sheets: rasterised point grids against the grids' own tangents.

The grids (`surface_geometry`, format tifxyz) hold z, y, x in voxels of a scroll's scan, about 12 voxels apart along the
scroll's axis and 88 around it; -1 marks a missing point. A label volume is made from each by bilinear interpolation,
about three voxels thick, and every labelled voxel gets the mean of the normals (cross products of the grid's tangents)
that fell into it.
"""

import numpy as np
import pytest
import tifffile
import torch
from scipy import ndimage

from scripts.transforms import LabelToNormals

SCROLL_AXIS = ((0.0, 4000.0, 5000.0), (1.0, 0.0, 0.0))  # a point inside the wraps, and the direction along z
SEGMENTS = ["20241113070770", "20241113080880", "20241113090990"]

pytestmark = pytest.mark.real_data


def read_grid(folder):
    """Positions 3 R C and unit normals 3 R C, NaN where a point is missing."""
    points = np.stack([tifffile.imread(folder / f"{axis}.tif") for axis in "zyx"]).astype(np.float64)
    points[:, (points < 0).any(axis=0)] = np.nan
    normals = np.cross(np.gradient(points, axis=1), np.gradient(points, axis=2), axis=0)
    return points, normals / np.linalg.norm(normals, axis=0)


def within(grid, start, extent):
    """The rows and columns of a grid that reach into a box."""
    points, normals = grid
    reach = np.reshape(start, (3, 1, 1)) - 100, np.reshape(start + extent, (3, 1, 1)) + 100
    rows, columns = np.nonzero(((points > reach[0]) & (points < reach[1])).all(axis=0))
    part = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    return points[:, *part], normals[:, *part]


def rasterise(grids, voxel_size, start, shape):
    """Label 1 D H W and normals 3 D H W of all grids on voxels of `voxel_size` scan voxels from `start`."""
    sums = np.zeros((3, *shape))
    for whole in grids:
        points, normals = within(whole, start, voxel_size * np.array(shape))
        finer = [int(np.ceil(step / voxel_size * 2)) for step in (13, 91)]  # samples half a voxel apart
        rows, columns = ((n - 1) * fine + 1 for n, fine in zip(points.shape[1:], finer, strict=True))
        at = np.meshgrid(np.arange(rows) / finer[0], np.arange(columns) / finer[1], indexing="ij")
        both = [ndimage.map_coordinates(c, at, order=1, cval=np.nan).ravel() for c in (*points, *normals)]
        position, normal = np.stack(both[:3]), np.stack(both[3:])
        for along in (-1.0, -0.5, 0.0, 0.5, 1.0):  # voxels off the sheet
            place = (position - np.reshape(start, (3, 1))) / voxel_size + along * normal
            inside = (~np.isnan(place) & (place >= 0) & (place <= np.reshape(shape, (3, 1)) - 1)).all(axis=0)
            voxel = tuple(np.rint(place[:, inside]).astype(int))
            for component in range(3):
                np.add.at(sums[component], voxel, normal[component, inside])
    length = np.linalg.norm(sums, axis=0)
    label = torch.from_numpy((length > 0).astype(np.int32))[None]  # D H W -> 1 D H W
    return label, sums / np.where(length > 0, length, 1)


def compare(found, truth, label):
    """Median angle up to sign in degrees, share of voxels on the grid's side, share of neighbours with one sign."""
    sheet = label[0].numpy() > 0
    found = found.numpy()
    cosine = (found * truth).sum(axis=0)[sheet]
    agree = total = 0
    for axis in range(3):
        ahead, behind = np.moveaxis(found, axis + 1, 1)[:, 1:], np.moveaxis(found, axis + 1, 1)[:, :-1]
        pairs = np.moveaxis(sheet, axis, 0)[1:] & np.moveaxis(sheet, axis, 0)[:-1]
        agree += int(((ahead * behind).sum(axis=0)[pairs] > 0).sum())
        total += int(pairs.sum())
    angle = float(np.median(np.rad2deg(np.arccos(np.clip(np.abs(cosine), 0, 1)))))
    side = max(float((cosine > 0).mean()), float((cosine < 0).mean()))
    print(f"median angle {angle:.2f} degrees, one side {side:.4f}, neighbours agree {agree / total:.4f}")
    return angle, side, agree / total


def closed_share(label):
    """Share of the label that one connected piece holds: near 1 where the sheet has no gaps."""
    pieces, _ = ndimage.label(label[0].numpy())
    return np.bincount(pieces[pieces > 0]).max() / (pieces > 0).sum()


@pytest.mark.parametrize("segment", SEGMENTS)
@pytest.mark.parametrize("column", [30, 98])
def test_a_piece_of_one_sheet(real_data, segment, column):
    """128^3 voxels of 8 scan voxels around a point of the sheet; the patch's dominant direction tells the side."""
    points, normals = read_grid(real_data / "surface_geometry" / segment)
    start = points[:, 64, column] - 64 * 8
    label, truth = rasterise([(points, normals)], 8, start, (128, 128, 128))
    assert closed_share(label) > 0.95
    angle, side, neighbours = compare(LabelToNormals("sheet", spacing=(8, 8, 8))(label), truth, label)
    assert angle < 10
    assert side > 0.97
    assert neighbours > 0.99


def test_three_neighbouring_sheets_in_one_patch(real_data):
    grids = [read_grid(real_data / "surface_geometry" / segment) for segment in SEGMENTS]
    start = grids[1][0][:, 64, 64] - 72 * 4
    label, truth = rasterise(grids, 4, start, (144, 144, 144))
    assert label.float().mean() > 0.04
    angle, side, neighbours = compare(LabelToNormals("sheet", spacing=(4, 4, 4))(label), truth, label)
    assert angle < 10
    assert side > 0.97
    assert neighbours > 0.99


@pytest.mark.parametrize("segment", SEGMENTS)
def test_a_whole_wrap_points_away_from_the_scroll_axis(real_data, segment):
    """The wrap turns by more than half a circle, so that only the axis keeps one side outside all along it."""
    points, normals = read_grid(real_data / "surface_geometry" / segment)
    size = 36.0
    start = np.nanmin(points, axis=(1, 2)) - 3 * size
    shape = tuple(int(n) for n in np.ceil((np.nanmax(points, axis=(1, 2)) - start) / size) + 4)
    assert max(shape) <= 200
    label, truth = rasterise([(points, normals)], size, start, shape)
    origin = np.array(SCROLL_AXIS[0]) - start
    options = {"spacing": (size,) * 3, "origin": tuple(origin), "axis": SCROLL_AXIS[1]}
    angle, side, neighbours = compare(LabelToNormals("sheet", **options)(label), truth, label)
    assert angle < 10
    assert side > 0.99
    assert neighbours > 0.99
