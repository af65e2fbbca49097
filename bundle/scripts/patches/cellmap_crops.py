"""CellMap's labelled crops, found by looking through a tree of stores."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from ..geometry import did_you_mean
from ..volumes import open_volume
from ..volumes.grid import Triple
from ..volumes.paths import join
from ..volumes.placement import level_spacings
from .cellmap_paths import FoundPath, child_folders, find_paths, fits, natural_order
from .cellmap_scale import is_as_fine

logger = logging.getLogger(__name__)

LOCAL_SEARCH_PATH = "data"
S3_SEARCH_PATH = "s3://janelia-cosem-datasets/{dataset}/{dataset}.zarr/recon-1/{name}"
RAW_NAME = "em/fibsem-uint8"
CROP_NAME = "labels/groundtruth/{crop}/{label}"

_STORE = "{dataset}.zarr/recon-1/{name}"
_AT_ONCE = 16


@dataclass(frozen=True)
class CropClass:
    """One annotated class of a crop.

    Args:
        name: of the class.
        path: OME-Zarr group of its label array.
        spacings: voxel size z, y, x of every level, fine to coarse, in `unit`.
        translation: position of the centre of voxel 0 of the finest level, in `unit`.
        shape: D, H, W of the finest level.
        unit: such as `nm`.
    """

    name: str
    path: str
    spacings: tuple[Triple, ...]
    translation: Triple
    shape: tuple[int, int, int]
    unit: str | None


@dataclass(frozen=True)
class Crop:
    """A part of a dataset in which some classes are annotated; the others are unknown there.

    Args:
        dataset: name of the dataset.
        name: of the crop, such as `crop234`.
        path: group of its classes.
        raw: image of the dataset.
        classes: what is annotated, by name.
    """

    dataset: str
    name: str
    path: str
    raw: str
    classes: Mapping[str, CropClass]


@dataclass(frozen=True)
class _Place:
    """Where a crop is, and its image."""

    dataset: str
    name: str
    crop: str
    raw: str


def find_crops(
    search_path: str = LOCAL_SEARCH_PATH,
    *,
    classes: Sequence[str] | None = None,
    datasets: Sequence[str] = ("*",),
    crops: Sequence[str | int] = ("*",),
    raw_name: str = RAW_NAME,
    crop_name: str = CROP_NAME,
) -> list[Crop]:
    """Find the crops of a tree of stores, and what is annotated in them. No voxels are read.

    A crop whose raw image is not there is left out, and named in the log.

    Args:
        search_path: where the datasets are, locally or in a bucket: a folder with `<dataset>.zarr/recon-1`, in itself
            or one folder further down; such stores themselves (`data/jrc_*.zarr`); or a pattern of the whole path with
            `{dataset}` and, at its end, `{name}`. `*` and `?` are wildcards within a folder's name.
        classes: the classes to look for; `None`: all that there are.
        datasets: names of datasets, with wildcards.
        crops: names or numbers of crops, with wildcards.
        raw_name: what `{name}` is for the image.
        crop_name: what `{name}` is for a label: a pattern with `{crop}` that ends with `/{label}`.

    Returns:
        crops with at least one of the classes, in order of dataset and crop.

    Raises:
        FileNotFoundError: if there are no crops, or the raw image of none.
        ValueError: for a pattern that lacks a field, a class that no crop has, or a label whose metadata cannot be
            understood.
    """
    if "{crop}" not in crop_name or not crop_name.endswith("/{label}"):
        raise ValueError(
            f"crop_name: expected a pattern such as {CROP_NAME}, which ends with /{{label}}; got {crop_name!r}"
        )
    keep = {
        "dataset": list(map(str, datasets)),
        "crop": [f"crop{name}" if str(name).isdecimal() else str(name) for name in crops],
    }
    places = _places(search_path, raw_name, crop_name.removesuffix("/{label}"), keep)
    if not places:
        raise FileNotFoundError(
            f"{search_path}: found no crops of datasets {', '.join(keep['dataset'])} and names "
            f"{', '.join(keep['crop'])}; expected {_templates(search_path)[0].replace('{name}', crop_name)}"
        )
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        present = list(pool.map(lambda place: child_folders(place.crop), places))
        _check_classes(classes, present, search_path)
        annotated = [
            (place, names)
            for place, every in zip(places, present, strict=True)
            if (names := [name for name in every if classes is None or name in classes])
        ]
        raws = sorted({place.raw for place, _ in annotated})
        with_raw = {raw for raw, exists in zip(raws, pool.map(_exists, raws), strict=True) if exists}
        for place, _ in annotated:
            if place.raw not in with_raw:
                logger.warning("%s is left out: there is no raw image at %s", place.crop, place.raw)
        kept = [(place, names) for place, names in annotated if place.raw in with_raw]
        opened = list(pool.map(lambda item: {name: _open_class(item[0].crop, name) for name in item[1]}, kept))
    crops_found = [
        Crop(place.dataset, place.name, place.crop, place.raw, labels)
        for (place, _), labels in zip(kept, opened, strict=True)
    ]
    if not crops_found:
        raise FileNotFoundError(
            f"{search_path}: none of {len(annotated)} crops has its raw image; expected it at {raws[0]}. Say "
            "by raw_name what it is called"
        )
    return crops_found


def keep_fine(crops: Sequence[Crop], limit: Sequence[float]) -> list[Crop]:
    """The crops without the classes whose finest level is coarser than a limit along any axis.

    Args:
        crops: what `find_crops` returned.
        limit: voxel size z, y, x.

    Returns:
        crops that have a class left.
    """
    kept = []
    for crop in crops:
        fine = {name: label for name, label in crop.classes.items() if is_as_fine(label.spacings[0], limit)}
        if len(fine) < len(crop.classes):
            coarse = [name for name in crop.classes if name not in fine]
            logger.info("%s: %s coarser than %s, left out", crop.path, ", ".join(coarse), list(limit))
        if fine:
            kept.append(replace(crop, classes=fine))
    return kept


def find_images(
    search_path: str = LOCAL_SEARCH_PATH, *, datasets: Sequence[str] = ("*",), raw_name: str = RAW_NAME
) -> dict[str, str]:
    """Path of the image of every dataset, in order of their names; whether it exists is not looked at.

    Args:
        search_path, datasets, raw_name: see `find_crops`.

    Raises:
        FileNotFoundError: if there are no datasets.
        ValueError: for a pattern that lacks a field.
    """
    wanted = list(map(str, datasets))
    found = {base.fields["dataset"]: _image(base, raw_name) for base in _bases(search_path, wanted)}
    if not found:
        raise FileNotFoundError(
            f"{search_path}: found no datasets {', '.join(wanted)}; expected {_templates(search_path)[0]}"
        )
    return {dataset: found[dataset] for dataset in sorted(found, key=natural_order)}


def _templates(search_path: str) -> list[str]:
    """Patterns with `{dataset}` and `{name}`."""
    path = search_path.rstrip("/")
    if "{name}" in path:
        if "{dataset}" not in path or not path.endswith("/{name}"):
            raise ValueError(
                f"search_path: expected a folder, or a pattern with {{dataset}} that ends with /{{name}}; got {path}"
            )
        return [path]
    folder, _, last = path.rpartition("/")
    if last.endswith(".zarr"):
        return [f"{folder}/{_STORE}" if folder else _STORE]
    return [f"{path}/{_STORE}", f"{path}/{{dataset}}/{_STORE}"]


def _places(search_path: str, raw_name: str, crop_name: str, keep: Mapping[str, Sequence[str]]) -> list[_Place]:
    places = []
    for base in _bases(search_path, keep["dataset"]):
        dataset = base.fields["dataset"]
        crops = find_paths(join(base.path, crop_name.replace("{dataset}", dataset)), keep)
        places += [_Place(dataset, found.fields["crop"], found.path, _image(base, raw_name)) for found in crops]
    return sorted(places, key=lambda place: (natural_order(place.dataset), natural_order(place.name)))


def _bases(search_path: str, datasets: Sequence[str]) -> list[FoundPath]:
    """What `{name}` follows, for every dataset."""
    last = search_path.rstrip("/").rpartition("/")[2]
    stores = last.removesuffix(".zarr") if last.endswith(".zarr") else "*"
    return [
        base
        for template in _templates(search_path)
        for base in find_paths(template.removesuffix("/{name}"), {"dataset": datasets})
        if fits(base.fields["dataset"], [stores])
    ]


def _image(base: FoundPath, raw_name: str) -> str:
    return join(base.path, raw_name.replace("{dataset}", base.fields["dataset"]))


def _check_classes(classes: Sequence[str] | None, present: Sequence[Sequence[str]], search_path: str) -> None:
    known = sorted({name for names in present for name in names})
    missing = [f"'{name}'{did_you_mean(name, known)}" for name in classes or () if name not in known]
    if missing:
        raise ValueError(
            f"{search_path}: no crop has the class {', '.join(missing)}; classes there: {', '.join(known) or 'none'}"
        )


def _exists(path: str) -> bool:
    try:
        open_volume(path)
    except FileNotFoundError:
        return False
    return True


def _open_class(crop: str, name: str) -> CropClass:
    path = join(crop, name)
    volume = open_volume(path)
    if not volume.states_geometry:
        raise ValueError(
            f"{path} states no voxel size and position, by which crops are placed in the image; expected OME-Zarr "
            "metadata with scale and translation"
        )
    spacings = level_spacings(path) or [volume.spacing]
    return CropClass(name, path, tuple(spacings), volume.translation, volume.spatial_shape, volume.unit)
