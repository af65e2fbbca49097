"""The phantom against its own analytic field, differentiated here in another way."""

import numpy as np
import pytest

from scripts.volumes import open_volume
from scripts.workflows import phantom, truth_box
from scripts.workflows.phantom_field import RolledSheet

SIZE, BLOCK = 80, 40
PITCH, THICKNESS = 14.0, 5.0
TRUTH_START = 60


def values(path):
    """All values of a volume, C D H W."""
    volume = open_volume(path)
    return volume.decode(volume.read((0, 0, 0), volume.spatial_shape))


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    paths = phantom(tmp_path_factory.mktemp("phantom") / "phantom.zarr", size=SIZE, block=BLOCK, seed=3)
    return {name: values(path) for name, path in paths.items()}


@pytest.fixture(scope="module")
def field():
    """Signed distance in voxels (positive: outside the sheet's middle) and unit normals, of all voxels.

    The winding number is put on the unit circle, where its jump by 1 vanishes, and differentiated with a tiny step.
    """
    roll = RolledSheet(size=SIZE, seed=3)
    z, y, x = np.ogrid[:SIZE, :SIZE, :SIZE]
    step = 1e-4

    def circle(dz, dy, dx):
        return np.exp(2j * np.pi * roll.winding(z + dz, y + dy, x + dx))

    here = circle(0, 0, 0)
    slopes = [
        ((circle(*d) - circle(*-d)) / (2 * step) / here).imag / (2 * np.pi) for d in step * np.eye(3)
    ]  # fmt: skip
    gradient = np.stack(slopes)  # 3 D H W
    steepness = np.linalg.norm(gradient, axis=0)
    offset = np.angle(-here) / (2 * np.pi)  # minus: the sheet's middle is at an integer plus one half
    return offset / steepness, gradient / steepness


def truth_part(array):
    return array[:, TRUTH_START:]


def test_normals_are_the_gradient_of_the_winding_number(arrays, field):
    for prefix in ("", "truth_"):
        stored, there = arrays[f"{prefix}normals"], arrays[f"{prefix}sheet"][0] > 0
        np.testing.assert_allclose(np.linalg.norm(stored[:, there], axis=0), 1, atol=0.008)  # int8
        # from the cross product's length: int8 vectors are not quite unit, which the arc cosine would take for an angle
        across = np.linalg.norm(np.cross(stored[:, there], field[1][:, there], axis=0), axis=0)
        degrees = np.degrees(np.arctan2(across, (stored[:, there] * field[1][:, there]).sum(axis=0)))
        assert np.median(degrees) < 0.5
        assert np.quantile(degrees, 0.98) < 0.7


def test_normals_lie_on_the_sheet_and_point_away_from_the_axis(arrays):
    stored, sheet = arrays["truth_normals"], arrays["truth_sheet"][0] > 0
    np.testing.assert_array_equal(stored.any(axis=0), sheet)
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    outward = (stored[1] * y + stored[2] * x) / np.hypot(y, x).clip(1)
    assert np.median(outward[sheet]) > 0.8
    assert (outward[sheet] < 0).any()  # the fold turns some windings over


def test_the_sheet_has_its_thickness_around_the_middle_of_each_winding(arrays, field):
    sheet = truth_part(arrays["truth_sheet"])[0] > 0
    distance = np.abs(field[0][TRUTH_START:])
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    radius = np.broadcast_to(np.hypot(y, x), sheet.shape)
    rolled = (radius > PITCH) & (radius < SIZE / 2 - 6)
    assert not sheet[~rolled].any()
    near, far = rolled & (distance < THICKNESS / 2 - 0.3), rolled & (distance > THICKNESS / 2 + 0.3)
    assert sheet[near].mean() > 0.9  # less what the gap took
    assert sheet[far].mean() < 0.01


def test_a_gap_is_torn_out(arrays, field):
    hole = np.s_[48:52, 39:42, 15:18]  # around z = 0.62, y = 0.5, x = 0.2 of the size
    assert not arrays["sheet"][0][hole].any()
    assert RolledSheet(size=SIZE, seed=3).exists(0, SIZE)[hole].sum() == 0


def test_labels_are_sparse_and_the_truth_is_apart(arrays):
    labelled, truth = arrays["sheet"][0] > 0, arrays["truth_sheet"][0] > 0
    assert not labelled[int(0.6 * SIZE) :].any()
    assert not truth[:TRUTH_START].any()
    assert truth[TRUTH_START:].any(axis=(1, 2)).all()
    assert truth_box(SIZE) == ([TRUTH_START, 0, 0], [SIZE] * 3)
    np.testing.assert_array_equal(arrays["normals"].any(axis=0), labelled)


def test_a_single_block_holds_all_labels_and_labels_all_that_it_holds(tmp_path, field):
    paths = phantom(tmp_path / "one.zarr", size=SIZE, n_blocks=1, block=32, seed=3)
    labelled = values(paths["sheet"])[0] > 0
    corners = np.argwhere(labelled)
    low, high = corners.min(axis=0), corners.max(axis=0) + 1
    assert (high - low).max() <= 32
    box = tuple(map(slice, low, high))
    exists = RolledSheet(size=SIZE, seed=3).exists(0, SIZE)
    expected = (np.abs(field[0]) <= THICKNESS / 2) & exists
    assert (labelled[box] == expected[box]).mean() > 0.98


def test_the_sheet_is_brighter_than_its_surroundings_and_its_inner_side_brighter_still(arrays, field):
    raw, sheet = truth_part(arrays["raw"])[0], truth_part(arrays["truth_sheet"])[0] > 0
    distance = field[0][TRUTH_START:]
    assert raw[sheet].mean() > raw[~sheet].mean() + 40
    inner, outer = sheet & (distance < -1), sheet & (distance > 1)
    assert raw[inner].mean() > raw[outer].mean() + 10


def test_the_scan_has_noise_and_a_drift(arrays):
    raw = arrays["raw"][0]
    corner = raw[:, :8, :8]  # outside the roll: background, noise and drift alone
    assert 10 < np.abs(np.diff(corner, axis=2)).mean() / (2 / np.sqrt(np.pi)) < 18  # noise of 14 grey values
    means = [raw[z : z + 16, y : y + 8, x : x + 8].mean() for z in (0, 32, 64) for y in (0, 72) for x in (0, 72)]
    assert max(means) - min(means) > 8


def test_the_seed_decides_everything(tmp_path):
    first, again, other = (
        phantom(tmp_path / name, size=48, block=24, n_blocks=2, seed=seed)
        for name, seed in (("a.zarr", 1), ("b.zarr", 1), ("c.zarr", 2))
    )
    for name in first:
        np.testing.assert_array_equal(values(first[name]), values(again[name]))
        assert (values(first[name]) != values(other[name])).any()


def test_geometry_and_replacement(tmp_path):
    paths = phantom(tmp_path / "p.zarr", size=48, block=24)
    volume = open_volume(paths["normals"])
    assert (volume.shape, volume.spacing, volume.unit) == ((3, 48, 48, 48), (8.0, 8.0, 8.0), "um")
    with pytest.raises(ValueError, match=r"p\.zarr"):
        phantom(tmp_path / "p.zarr", size=48, block=24)
    phantom(tmp_path / "p.zarr", size=32, block=16, overwrite=True)
    assert open_volume(paths["raw"]).shape == (1, 32, 32, 32)


def test_a_block_that_does_not_fit_is_refused(tmp_path):
    with pytest.raises(ValueError, match="a block of 72 does not fit into the 57 slices that are labelled; size 96"):
        phantom(tmp_path / "p.zarr", size=96)
    assert not (tmp_path / "p.zarr").exists()


def test_a_dry_run_gives_the_paths_and_writes_nothing(tmp_path):
    paths = phantom(tmp_path / "p.zarr", size=32, block=16, dry_run=True)
    assert not (tmp_path / "p.zarr").exists()
    assert paths == phantom(tmp_path / "p.zarr", size=32, block=16)
