"""What is compared of `cellmap-data`, run by the Python of an environment that has it; see reference_systems.py."""

from __future__ import annotations

from collections.abc import Sequence

from stand_ins import stand_in

stand_in("matplotlib", "torchvision")

import numpy as np
from cellmap_data import CellMapDataLoader, CellMapDataset
from epochs import epochs
from turns import Turn, serve


def loading(
    image: str, label: str, size: int, starts: Sequence[Sequence[int]], patch: int, batch: int, workers: int
) -> Turn:
    """Batches of given patches; a patch's number is its place among all possible ones.

    Args:
        image: group of the image.
        label: group of the label, named by `NAME_sheet.zarr`.
        size: edge of the arrays, voxels.
        starts: of the patches, z y x.
        patch: edge, voxels.
        batch: patches per batch.
        workers: processes that load.
    """
    arrays = {"shape": [patch] * 3, "scale": [1.0] * 3}
    dataset = CellMapDataset(
        image, label.replace("sheet", "[sheet]"), ["sheet"], {"image": arrays}, {"sheet": arrays}, force_has_data=True
    )
    numbers = np.ravel_multi_index(np.transpose(starts), (size - patch,) * 3).tolist()
    loader = CellMapDataLoader(
        dataset, batch_size=batch, num_workers=workers, sampler=numbers, persistent_workers=workers > 0
    )
    return epochs(loader, ("image", "sheet"))


if __name__ == "__main__":
    serve({"loading": loading})
