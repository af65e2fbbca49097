"""Networks whose heatmaps are known, and images of bright blobs at known places."""

from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from scripts.geometry import parse_targets
from scripts.landmarks import gaussian_heatmaps
from scripts.volumes import create_ome_zarr

AMPLITUDE = 100.0


def table(n_landmarks=2):
    return parse_targets({"heatmaps": {"channels": n_landmarks, "kind": "points"}})


def blobs(shape, points, sigma=3.0):
    """Gaussians of height 1, N D H W."""
    return gaussian_heatmaps(torch.tensor(points, dtype=torch.float64)[None], shape, sigma)[0].numpy()


def write_image(path, array, spacing=(1.0, 1.0, 1.0), translation=(0.0, 0.0, 0.0), **options):
    """An image C D H W as OME-Zarr."""
    options = {"unit": "mm"} | options
    writer = create_ome_zarr(path, array.shape, array.dtype, spacing=spacing, translation=translation, **options)
    writer.write((0, 0, 0), array)
    return str(writer.finish())


class Bright(nn.Module):
    """Each channel of the image is the heatmap of one landmark."""

    def __init__(self, n_landmarks=2):
        super().__init__()
        self.targets = table(n_landmarks)
        self.shapes = []

    def forward(self, x):
        self.shapes.append(tuple(x.shape))
        return {"heatmaps": x * AMPLITUDE}


class Sides(Bright):
    """Landmark 0 is what is bright in the half of lower x, landmark 1 in the other one."""

    def forward(self, x):
        left = torch.arange(x.shape[4]) < x.shape[4] / 2
        return {"heatmaps": torch.cat([x * left, x * ~left], dim=1) * AMPLITUDE}  # B 1 D H W -> B 2 D H W


class Halving(Bright):
    """As a U-Net that halves each axis twice."""

    plan = SimpleNamespace(strides=[[1, 1, 1], [2, 2, 2], [1, 2, 2]])


class Known(nn.Module):
    """Gaussians at the same points whatever the image shows."""

    def __init__(self, points, amplitude=AMPLITUDE, sigma=2.0):
        super().__init__()
        self.targets = table(len(points))
        self.points = torch.tensor(points, dtype=torch.float32)[None]
        self.amplitude, self.sigma = amplitude, sigma

    def forward(self, x):
        maps = gaussian_heatmaps(self.points, x.shape[2:], self.sigma, self.amplitude)
        return {"heatmaps": maps.expand(len(x), -1, -1, -1, -1)}


class Coins(nn.Module):
    """Two landmarks 4 voxels farther along x in each pass in which a dropout layer lets its number through."""

    def __init__(self, p=0.5, first=(8.0, 8.0, 6.0)):
        super().__init__()
        self.targets = table(2)
        self.dropout, self.norm = nn.Dropout(p), nn.BatchNorm3d(1)
        self.first = torch.tensor([first, first])
        self.was_training = []

    def forward(self, x):
        self.was_training.append((self.dropout.training, self.norm.training))
        is_far = self.dropout(torch.ones(())) > 0
        points = self.first + 4 * is_far * torch.tensor([0.0, 0.0, 1.0])
        return {"heatmaps": gaussian_heatmaps(points[None], x.shape[2:], 2.0, AMPLITUDE)}


class Centroids(nn.Module):
    """Finds the bright blob of each half along x by its centre of mass, and is `offset` voxels wrong."""

    def __init__(self, offset=(0.0, 0.0, 0.0)):
        super().__init__()
        self.targets = table(2)
        self.offset = nn.Parameter(torch.tensor(offset, dtype=torch.float32))

    def forward(self, x):
        left = torch.arange(x.shape[4]) < x.shape[4] / 2
        bright = torch.stack([x[:, 0] * left, x[:, 0] * ~left], dim=1).clamp(min=0)  # B 2 D H W
        bright = bright * (bright > 0.05 * bright.amax())
        axes = [torch.arange(n, dtype=x.dtype) for n in x.shape[2:]]
        grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)  # D H W 3
        mass = bright.sum(dim=(2, 3, 4))[..., None]
        points = torch.einsum("bndhw,dhwc->bnc", bright, grid) / mass + self.offset
        return {"heatmaps": gaussian_heatmaps(points, x.shape[2:], 2.0, AMPLITUDE)}


def distances(found, expected):
    return np.linalg.norm(np.asarray(found) - np.asarray(expected), axis=1)
