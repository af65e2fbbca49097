"""Which parts of CellMap's images are predicted: named crops, or those of a manifest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..geometry import IMAGE_KEY
from ..patches import Crop, find_crops, find_images
from ..patches.cellmap_crops import CROP_NAME, LOCAL_SEARCH_PATH, RAW_NAME
from ..patches.cellmap_paths import fits
from ..volumes import open_resampled
from ..volumes.grid import Triple, common_unit
from .datasplit import as_list
from .submissions.manifest import WantedLabel, crop_folder, read_manifest

_ROUNDING = 1e-3
"""Voxels by which a crop's edge may miss a voxel's edge of the image and still count as on it."""

Box = tuple[Triple, Triple]
"""First and last corner of a crop, z y x: outer edges of voxels, not their centres."""


def crop_inputs(
    search_path: str = LOCAL_SEARCH_PATH,
    crops: Sequence[str | int] | str | int = "*",
    scale: Sequence[float] | None = None,
    manifest: str | Path | None = None,
    *,
    datasets: Sequence[str] | str = "*",
    raw_name: str = RAW_NAME,
    crop_name: str = CROP_NAME,
) -> list[dict[str, Any]]:
    """Crops as `input_data` of an inference: images, and the boxes in them.

    A box is the voxels that a crop touches, of any of its classes; what of a crop lies beyond the image is left out.

    Args:
        search_path: where the datasets are, see `scripts.patches.find_crops`.
        crops: names or numbers of crops, with wildcards.
        scale: voxel size z, y, x at which images are read; `None`: as stored.
        manifest: CSV file that lists crops, which then need no labels; see `read_manifest`.
        datasets: names of datasets, with wildcards.
        raw_name: path of the image within a dataset.
        crop_name: path of a label there.

    Returns:
        per crop `{"image": PATH, "region": [[z0, y0, x0], [z1, y1, x1]], "name": "<dataset>/<crop>"}`, with the
        second corner exclusive.

    Raises:
        FileNotFoundError: if there is no such crop, or no image of its dataset.
        ValueError: for a crop outside of its image.
    """
    wanted, kept = [crop_folder(str(name)) for name in as_list(crops)], as_list(datasets)
    if manifest is None:
        found = find_crops(search_path, datasets=kept, crops=wanted, raw_name=raw_name, crop_name=crop_name)
        return [_datum(crop.raw, f"{crop.dataset}/{crop.name}", *_labelled(crop), scale) for crop in found]
    listed: dict[tuple[str, str], list[WantedLabel]] = {}
    for entry in read_manifest(manifest):
        if fits(entry.crop, wanted) and fits(entry.dataset, kept):
            listed.setdefault((entry.dataset, entry.crop), []).append(entry)
    if not listed:
        raise FileNotFoundError(
            f"{manifest}: lists no crops of datasets {', '.join(kept)} and names {', '.join(wanted)}"
        )
    names = sorted({dataset for dataset, _ in listed})
    images = find_images(search_path, datasets=names, raw_name=raw_name)
    if missing := [name for name in names if name not in images]:
        raise FileNotFoundError(f"{search_path}: {manifest} lists crops of {', '.join(missing)}, which is not there")
    return [
        _datum(images[dataset], f"{dataset}/{crop}", [_box(e.voxel_size, e.translation, e.shape) for e in entries],
               "nm", scale)
        for (dataset, crop), entries in listed.items()
    ]  # fmt: skip


def _datum(
    image_path: str, name: str, boxes: Iterable[Box], unit: str | None, scale: Sequence[float] | None
) -> dict[str, Any]:
    image = open_resampled(image_path, scale, "linear")
    _, (factor, _) = common_unit([unit, image.unit], f"{image_path}, {name}")
    lows, highs = zip(*boxes, strict=True)
    region: list[list[int]] = [[], []]
    for axis, (step, first, extent) in enumerate(
        zip(image.spacing, image.translation, image.spatial_shape, strict=True)
    ):
        edge = first - step / 2
        low = math.floor((min(box[axis] for box in lows) * factor - edge) / step + _ROUNDING)
        high = math.ceil((max(box[axis] for box in highs) * factor - edge) / step - _ROUNDING)
        region[0].append(max(low, 0))
        region[1].append(min(high, extent))
    if any(low >= high for low, high in zip(*region, strict=True)):
        raise ValueError(
            f"{name} lies outside of its image {image_path}, which has {list(image.spatial_shape)} voxels of "
            f"{list(image.spacing)}"
        )
    return {IMAGE_KEY: image_path, "region": region, "name": name}


def _labelled(crop: Crop) -> tuple[list[Box], str | None]:
    """Boxes of a crop's classes, and the unit in which they are."""
    labels = list(crop.classes.values())
    return [_box(label.spacings[0], label.translation, label.shape) for label in labels], labels[0].unit


def _box(spacing: Triple, translation: Triple, shape: Sequence[int]) -> Box:
    low = [at - size / 2 for at, size in zip(translation, spacing, strict=True)]
    (z, y, x), (d, h, w) = low, [at + size * n for at, size, n in zip(low, spacing, shape, strict=True)]
    return (z, y, x), (d, h, w)
