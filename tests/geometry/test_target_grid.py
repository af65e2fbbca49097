"""TargetGrid: a truth on a grid of its own, against arrays that are linear in space."""

import numpy as np
import pytest
import torch

from scripts.geometry import TargetGrid
from scripts.geometry.target_grid import join_voxels


def positions(shape, spacing):
    """Centre of each voxel along z, y, x, with the centre of the array at 0; 3 D H W."""
    axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)]
    return torch.from_numpy(np.stack(np.meshgrid(*axes, indexing="ij"))).float()


GRIDS = [
    pytest.param((16, 16, 16), (8, 8, 8), (8, 8, 8), (16, 16, 16), id="coarser targets"),
    pytest.param((8, 8, 8), (16, 16, 16), (16, 8, 8), (8, 8, 8), id="finer targets, in a part of the view"),
    pytest.param((4, 16, 12), (32, 8, 8), (8, 8, 2), (16, 8, 24), id="both, by axis"),
    pytest.param((1, 16, 16), (8, 8, 8), (1, 4, 8), (8, 16, 16), id="flat"),
]


@pytest.mark.parametrize(("input_shape", "input_spacing", "shape", "spacing"), GRIDS)
def test_every_grid_has_the_same_centre(input_shape, input_spacing, shape, spacing):
    grid = TargetGrid(input_shape, input_spacing, shape, spacing)
    assert grid.read_spacing == tuple(np.minimum(input_spacing, spacing))
    assert np.array_equal(np.multiply(grid.read_shape, grid.read_spacing), np.multiply(input_shape, input_spacing))
    read = positions(grid.read_shape, grid.read_spacing)
    image = grid.image(read)
    assert torch.allclose(image, positions(input_shape, input_spacing), atol=1e-4)
    wanted = positions(shape, spacing)
    assert torch.allclose(grid.target(read, "scalar"), wanted, atol=1e-4)
    (found,) = grid.outputs({"a": image[None]})["a"]
    inside = torch.ones_like(wanted, dtype=torch.bool)
    for axis, (own, theirs) in enumerate(zip(spacing, input_spacing, strict=True), 1):
        if own < theirs:  # beyond the outer voxels' centres nothing can be interpolated: half a voxel of the input
            for border in (0, -1):
                inside.select(axis, border)[...] = False
    assert torch.allclose(found[inside], wanted[inside], atol=1e-4)
    assert torch.allclose(grid.shown_image(image), found)


def test_labels_become_what_most_voxels_are():
    boxes = [[3, 3, 3, 9], [0, 0, 5, 5], [-1, -1, 7, 7], [4, 4, 4, -1]]  # of equally many the smallest
    labels = torch.tensor(boxes).reshape(4, 2, 2).permute(1, 0, 2).reshape(1, 1, 2, 8)  # four boxes side by side
    assert join_voxels(labels, (1, 2, 2), "label").tolist() == [[[[3, 0, -1, 4]]]]
    assert join_voxels((labels > 0).int(), (1, 2, 2), "mask").tolist() == [[[[1, 0, 0, 0]]]]


def test_unknown_values_stay_unknown_and_normals_keep_their_length():
    scalars = torch.tensor([1.0, 3.0, torch.nan, 5.0]).reshape(1, 1, 1, 4)
    assert join_voxels(scalars, (1, 1, 2), "scalar").isnan().flatten().tolist() == [False, True]
    normals = torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 0, 0], [-1, 0, 0]]).T.reshape(3, 1, 1, 4)
    joined = join_voxels(normals, (1, 1, 2), "normal")[:, 0, 0]
    assert torch.allclose(joined.T, torch.tensor([[0.5**0.5, 0.5**0.5, 0], [0, 0, 0]]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((8, 8), (8, 8, 8), (8, 8, 8), (8, 8, 8)), r"the input's shape must be three positive numbers.*got \[8, 8\]"),
        (((8, 8, 8), (8, 8, 8), (8, 8, 0), (8, 8, 8)), r"the target's shape .*got \[8, 8, 0\]"),
        (((8, 8, 8), (8, 8, 8), (4, 4, 4), (12, 12, 12)), r"\[8.0, .* and of the targets \[12.0, .* divide each other"),
        (((8, 8, 8), (8, 8, 8), (8, 8, 4), (8, 8, 32)), "along x the input covers 8 voxels of 8, the targets 4 of 32"),
        (((8, 9, 8), (8, 8, 8), (8, 4, 8), (8, 8, 8)), "along y .* on each side must be whole voxels of the input"),
    ],
)
def test_grids_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        TargetGrid(*arguments)


def test_outputs_must_lie_on_the_input_s_grid():
    grid = TargetGrid((8, 8, 8), (8, 8, 8), (4, 4, 4), (16, 16, 16))
    with pytest.raises(ValueError, match=r"'a' must lie on the input's grid of \[8, 8, 8\].*got \[4, 4, 4\]"):
        grid.outputs({"a": torch.zeros(1, 1, 4, 4, 4)})
    with pytest.raises(ValueError, match="Deep supervision does not go with"):
        grid.outputs({"a": [torch.zeros(1, 1, 8, 8, 8)]})
