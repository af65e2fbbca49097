"""The analytic sphere: fields on its grid, and what they must be after the grid was moved.

The oracle never turns a component. The distance to a sphere, phi(p) = |p - c| - r with p the physical position in the
old array, is written down on the new grid: phi'(i) = |S (M i + t) - c| - r with (M, t) = inverse(old affine) x new
affine. Read with the nominal spacing S, its direction is S^-1 dphi'/di, and autograd differentiates it. A second oracle
knows no affine at all: the distance goes through the same transforms as an image and is differentiated on the new
voxels.
"""

import torch
from monai.data import MetaTensor

SPACINGS = [(1.0, 1.0, 1.0), (3.0, 1.0, 1.5)]
EXTENT = 45.0
CENTRE = (21.0, 23.5, 22.0)
KEYS = ["n"]


def affine_of(spacing, translation=(40.0, -3.0, 11.0)) -> torch.Tensor:
    affine = torch.diag(torch.tensor([*spacing, 1.0], dtype=torch.float64))
    affine[: len(spacing), -1] = torch.tensor(translation[: len(spacing)])
    return affine


def positions(shape, linear, offset=0.0) -> torch.Tensor:
    """linear x index + offset at every voxel: D D -> D Z Y X."""
    index = torch.stack(torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in shape), indexing="ij"))
    offset = torch.as_tensor(offset, dtype=torch.float64).expand(len(shape)).reshape(-1, *[1] * len(shape))
    return torch.einsum("ij,j...->i...", linear, index) + offset


def old_array(spacing, of_offset, meta=()) -> MetaTensor:
    """A field of the offset from the sphere's centre, on a grid of about 45 physical units a side."""
    shape = [round(EXTENT / size) for size in spacing]
    scale = torch.diag(torch.tensor(spacing, dtype=torch.float64))
    values = of_offset(positions(shape, scale, -torch.tensor(CENTRE[: len(spacing)])))
    affine = affine_of(spacing)
    return MetaTensor(values.float(), affine=affine, meta={"reference_affine": affine.clone(), **dict(meta)})


def unit(offset):
    return offset / offset.norm(dim=0, keepdim=True).clamp_min(1e-9)


def new_to_old(out: MetaTensor, spacing) -> tuple[torch.Tensor, torch.Tensor]:
    dims = len(spacing)
    matrix = torch.linalg.solve(affine_of(spacing), out.affine)
    return matrix[:dims, :dims], matrix[:dims, -1]


def expected_normals(out: MetaTensor, spacing) -> tuple[torch.Tensor, torch.Tensor]:
    """Normals C D H W from autograd, and where to compare: read from inside the old array, not at the centre."""
    matrix, offset = new_to_old(out, spacing)
    scale = torch.tensor(spacing, dtype=torch.float64)
    index = positions(out.shape[1:], torch.eye(len(spacing), dtype=torch.float64)).requires_grad_()
    expand = (-1, *[1] * len(spacing))
    old_index = torch.einsum("ij,j...->i...", matrix, index) + offset.reshape(expand)
    old_position = old_index * scale.reshape(expand)
    phi = (old_position - torch.tensor(CENTRE[: len(spacing)], dtype=torch.float64).reshape(expand)).norm(dim=0) - 13
    (slope,) = torch.autograd.grad(phi.sum(), index)
    last = torch.tensor([round(EXTENT / size) - 1 for size in spacing]).reshape(expand)
    compared = ((old_index > 2) & (old_index < last - 2)).all(dim=0) & (phi.abs() < 7)
    return unit(slope / scale.reshape(expand)).detach(), compared.detach()


def angles(first, second) -> torch.Tensor:
    return torch.rad2deg(torch.arccos((first.double() * second).sum(dim=0).clamp(-1, 1)))
