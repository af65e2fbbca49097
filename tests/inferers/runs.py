"""What the tests of whole runs share: volumes, a network that notes what it sees, bytes of stores."""

from pathlib import Path

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer

from scripts.volumes import create_ome_zarr, open_volume

TARGETS = {"sheet": {"channels": 1}, "normals": {"channels": 3, "kind": "normal"}}


def numbered(shape, channels=1):
    """C D H W float32: 1, 2, 3 ... in the first channel, so that a voxel's value says where it lies."""
    first = np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(1, *shape)
    return np.concatenate([first + n * np.float32(0.25) for n in range(channels)])


def make_volume(path, data, chunks=(8, 8, 8), **options):
    """Store an array C D H W and open it."""
    options = {"spacing": (1, 1, 1), **options}
    writer = create_ome_zarr(path, data.shape, data.dtype, chunks=chunks, **options)
    writer.write((0, 0, 0), data)
    writer.finish()
    return open_volume(path)


class TwoOutputs(torch.nn.Module):
    """Depends on the position within a window, so that blending matters, and notes the windows of numbered volumes.

    Attributes:
        seen: per window the value of the voxel in its middle, which lies in the volume and differs between windows.
    """

    def __init__(self, channels=1):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.layer = torch.nn.Conv3d(channels, 4, 3, padding=1)
        for parameter in self.layer.parameters():
            torch.nn.init.uniform_(parameter, -0.3, 0.3, generator=generator)
        self.seen = []

    def forward(self, x):
        middle = tuple((n - 1) // 2 for n in x.shape[2:])
        self.seen += x[:, 0, *middle].tolist()
        both = self.layer(torch.sin(x)) + torch.linspace(0, 1, x.shape[-1])
        return {"sheet": both[:, :1], "normals": both[:, 1:]}


class StopsAfter(TwoOutputs):
    """Raises `KeyboardInterrupt` when it is given more windows than a number: stands for a kill."""

    def __init__(self, windows):
        super().__init__()
        self.windows = windows

    def forward(self, x):
        if len(self.seen) + len(x) > self.windows:
            raise KeyboardInterrupt
        return super().forward(x)


def in_memory(data, network, roi_size, overlap=0.25, mode="gaussian"):
    """MONAI's result for a whole array C D H W: target -> C D H W."""
    with torch.no_grad():
        found = SlidingWindowInferer(roi_size, 1, overlap, mode)(torch.from_numpy(data)[None], network)
    return {name: value[0].numpy() for name, value in found.items()}


def read(path):
    """All voxels of a volume, C D H W."""
    volume = open_volume(path)
    return volume.read((0, 0, 0), volume.spatial_shape)


def snapshot(folder):
    """Bytes of every file of a store."""
    folder = Path(folder)
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
