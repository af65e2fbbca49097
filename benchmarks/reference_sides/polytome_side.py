"""What is compared of this bundle, called as the other systems are; see reference_systems.py."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from epochs import epochs
from network import SmallNetwork
from turns import Turn, serve

from scripts.inferers import ZarrSlidingWindowInferer
from scripts.patches import PatchDataset, PatchLoader, find_patches
from scripts.transforms import LoadZarrPatchd
from scripts.volumes import open_volume

TARGETS: dict[str, dict[str, Any]] = {"sheet": {"channels": 1, "activation": "sigmoid"}}


def search(label: str, patch: int, min_bbox_percent: float, min_labeled_ratio: float, workers: int) -> Turn:
    """Patches of a lattice whose cells do not overlap."""

    def turn(is_check: bool) -> dict[str, Any]:
        found = find_patches(
            [{"image": label, "sheet": label}],
            [patch] * 3,
            ref_label="sheet",
            min_bbox_percent=min_bbox_percent,
            min_labeled_ratio=min_labeled_ratio,
            stride=[patch] * 3,
            num_workers=workers,
        )
        return {"starts": [list(one["start"]) for one in found]}

    return turn


def loading(
    image: str, label: str, size: int, starts: Sequence[Sequence[int]], patch: int, batch: int, workers: int
) -> Turn:
    """Batches of given patches, as the training reads them before it normalises and augments."""
    data = [{"image": image, "sheet": label, "start": start, "size": [patch] * 3, "volume": 0} for start in starts]
    loader = PatchLoader(
        PatchDataset(data, LoadZarrPatchd(["image", "sheet"], targets=TARGETS)),
        batch_size=batch,
        num_workers=workers,
        persistent_workers=workers > 0,
        multiprocessing_context="forkserver" if workers else None,
    )
    return epochs(loader, ("image", "sheet"))


def inference(image: str, work: str, patch: int, overlap: float, batch: int, workers: int) -> Turn:
    """A volume streamed into a volume of 8-bit probabilities; it reads in threads, without `workers`."""

    def turn(is_check: bool) -> dict[str, Any]:
        network = SmallNetwork()

        def predict(x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"sheet": network(x)}

        folder = Path(tempfile.mkdtemp(dir=work))
        inferer = ZarrSlidingWindowInferer(patch, batch, overlap, output=folder / "out", targets=TARGETS, levels=1)
        written = inferer(open_volume(image), predict)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        return {
            "forward_s": network.seconds,
            "windows": network.windows,
            "output": str(written["sheet"]),
            "written_mb": size / 1e6,
        }

    return turn


if __name__ == "__main__":
    serve({"search": search, "loading": loading, "inference": inference})
