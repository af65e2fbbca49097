"""Where layers lie."""

import numpy as np
import pytest

from scripts.viewers.neuroglancer_grids import layer_grids
from scripts.volumes import Grid, create_ome_zarr, open_volume


@pytest.fixture
def volume(tmp_path):
    def write(name, shape=(4, 4, 4), **geometry):
        """A volume of a shape; without spacing it states no geometry."""
        if "spacing" not in geometry:
            np.save(tmp_path / f"{name}.npy", np.zeros(shape, np.uint8))
            return [open_volume(tmp_path / f"{name}.npy")]
        create_ome_zarr(tmp_path / name, (1, *shape), "uint8", **geometry)
        return [open_volume(tmp_path / name)]

    return write


def messages(caplog):
    return [record.getMessage() for record in caplog.records]


def test_what_is_stated_stays(volume, caplog):
    scan = volume("scan", spacing=(4, 2, 2), translation=(0, 4, 8), unit="um")
    label = volume("label", (8, 8, 8), spacing=(2000, 1000, 1000), translation=(0, 4000, 8000), unit="nm")
    assert layer_grids([scan, label]) == [
        [Grid((4, 2, 2), (0, 4, 8), "um")],
        [Grid((2000, 1000, 1000), (0, 4000, 8000), "nm")],
    ]
    assert messages(caplog) == []


@pytest.mark.parametrize("order", [1, -1])
def test_a_volume_without_geometry_lies_where_the_first_one_with_it_lies(volume, caplog, order):
    pyramids = [volume("scan", spacing=(4, 2, 2), translation=(0, 4, 8), unit="um"), volume("label")][::order]
    assert layer_grids(pyramids) == [[Grid((4, 2, 2), (0, 4, 8), "um")]] * 2
    assert messages(caplog) == []


def test_another_shape_without_geometry_is_a_guess(volume, caplog):
    grids = layer_grids([volume("scan", spacing=(4, 2, 2), unit="um"), volume("label", (4, 4, 5))])
    assert grids[1] == [Grid((4, 2, 2), (0, 0, 0), "um")]
    (message,) = messages(caplog)
    assert "label.npy states no voxel size, and its shape (4, 4, 5) is not that of" in message
    assert "scan, (4, 4, 4); it is shown with the same voxel size" in message


def test_a_spacing_without_unit_is_a_guess(volume, caplog):
    grids = layer_grids([volume("scan", spacing=(4, 2, 2)), volume("label", spacing=(4, 2, 2), unit="nm")])
    assert grids == [[Grid((4, 2, 2), (0, 0, 0), "nm")]] * 2
    (message,) = messages(caplog)
    assert "scan states the spacing [4.0, 2.0, 2.0] with no unit; it is taken to be in nm" in message


def test_nothing_is_guessed_where_nobody_states_a_unit(volume, caplog):
    grids = layer_grids([volume("scan", spacing=(4, 2, 2)), volume("label", spacing=(8, 4, 4), unit="mile")])
    assert [grid.unit for (grid,) in grids] == [None, None]
    assert messages(caplog) == []


@pytest.mark.parametrize(
    ("translation", "overlaps"),
    [((15.9, 0, 0), True), ((16.1, 0, 0), False), ((0, -7.9, 0), True), ((0, 0, -8.1), False)],
)
def test_volumes_apart_are_reported(volume, caplog, translation, overlaps):
    scan = volume("scan", spacing=(4, 2, 2), unit="um")  # voxels of the edges reach 2, 1, 1 um beyond their centres
    other = volume("other", spacing=(4, 2, 2), translation=[t * 1000 for t in translation], unit="um")
    near = volume("near", spacing=(4000, 2000, 2000), translation=[t * 1000 for t in translation], unit="nm")
    layer_grids([scan, near])
    assert [" do not overlap, so no place shows both" in message for message in messages(caplog)] == [True] * (
        not overlaps
    )
    caplog.clear()
    layer_grids([scan, other])
    (message,) = messages(caplog)
    assert "scan (from [-2e-06, -1e-06, -1e-06] to [1.4e-05, 7e-06, 7e-06]; z, y, x in m) do not overlap" in message
