"""CellMap's crops as a `volumes` table, divided into those that train and those that validate."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from ..geometry import IMAGE_KEY
from .cellmap_crops import CROP_NAME, LOCAL_SEARCH_PATH, RAW_NAME, S3_SEARCH_PATH, Crop, find_crops, keep_fine
from .cellmap_scale import scale_limit


def cellmap_volumes(
    classes: Sequence[str],
    search_path: str | None = None,
    *,
    use_s3: bool = False,
    spacing: Sequence[float] | None = None,
    filter_by_scale: bool | float | Sequence[float] = False,
    force_all_classes: bool | str = False,
    validation_prob: float = 0.15,
    datasets: Sequence[str] = ("*",),
    crops: Sequence[str | int] = ("*",),
    raw_name: str = RAW_NAME,
    crop_name: str = CROP_NAME,
    seed: int = 42,
) -> list[dict[str, Any]]:
    """Find CellMap's crops and make them a `volumes` table, which needs no CSV file in between.

    Args:
        classes: the classes to train, each of which is a target of its name.
        search_path: see `find_crops`; a URL such as `s3://bucket/folder` streams from there. `None`: the folder `data`,
            or with `use_s3` the challenge's bucket.
        use_s3: look in the challenge's public bucket.
        spacing: voxel size z, y, x at which everything is read.
        filter_by_scale: leave out labels that are coarser: false: none; true: than `spacing`; than a number, or than
            one per axis.
        force_all_classes, validation_prob, seed: see `split_crops`.
        datasets, crops, raw_name, crop_name: see `find_crops`.

    Raises:
        FileNotFoundError: if there are no crops.
        ValueError: for a class that no crop has, labels that are all too coarse, a split that cannot be made, or
            `use_s3` with a path of one's own.
    """
    if use_s3 and search_path is not None:
        raise ValueError(f"use_s3 looks in the challenge's bucket, but search_path = {search_path}; give one of them")
    search_path = search_path or (S3_SEARCH_PATH if use_s3 else LOCAL_SEARCH_PATH)
    limit = scale_limit(filter_by_scale, spacing)
    found = find_crops(
        search_path, classes=classes, datasets=datasets, crops=crops, raw_name=raw_name, crop_name=crop_name
    )
    fine = found if limit is None else keep_fine(found, limit)
    if not fine:
        finest = sorted({label.spacings[0] for crop in found for label in crop.classes.values()})
        raise ValueError(
            f"{search_path}: no label is as fine as filter_by_scale = {list(limit or ())}; finest levels are "
            f"{', '.join(str(list(one)) for one in finest)}"
        )
    train, validate = split_crops(
        fine, classes, validation_prob=validation_prob, force_all_classes=force_all_classes, seed=seed
    )
    return crop_volumes(train, classes, spacing, "train") + crop_volumes(validate, classes, spacing, "val")


def crop_volumes(
    crops: Sequence[Crop], classes: Sequence[str], spacing: Sequence[float] | None = None, split: str | None = None
) -> list[dict[str, Any]]:
    """Rows of a `volumes` table, one per crop; a class that is not annotated there has no key: it is unknown.

    Args:
        crops: what `find_crops` returned.
        classes: the classes to name, in this order.
        spacing: voxel size z, y, x at which everything is read. Needed where crops are parts of the image.
        split: `train` or `val`, for all of them.
    """
    options: dict[str, Any] = {} if spacing is None else {"spacing": [float(n) for n in spacing]}
    options |= {} if split is None else {"split": split}
    return [
        {IMAGE_KEY: crop.raw, **{name: crop.classes[name].path for name in classes if name in crop.classes}, **options}
        for crop in crops
        if any(name in crop.classes for name in classes)
    ]


def complete_volumes(
    volumes: Sequence[Mapping[str, Any]], classes: Sequence[str], force_all_classes: bool | str = False
) -> list[dict[str, Any]]:
    """Rows of a `volumes` table that may stay where every class must be annotated.

    Args:
        volumes: rows with a `split`.
        classes: keys that a complete row has.
        force_all_classes: true: rows that lack a class are left out; `train`, `validate`: in this part only; false:
            all stay.

    Raises:
        ValueError: for another word, and if a part that has rows loses all of them.
    """
    _check_word(force_all_classes)
    forced = {True: ("train", "val"), "train": ("train",), "validate": ("val",)}.get(force_all_classes, ())
    kept = [dict(row) for row in volumes if row.get("split") not in forced or all(row.get(name) for name in classes)]
    for split in forced:
        rows = [row for row in volumes if row.get("split") == split]
        if rows and not any(row.get("split") == split for row in kept):
            having = {name: sum(bool(row.get(name)) for row in rows) for name in classes}
            raise ValueError(
                f"force_all_classes = {force_all_classes!r}: none of {len(rows)} crops that are to "
                f"{'train' if split == 'train' else 'validate'} has every class; crops that have each: {having}. Leave "
                "out the rarest class, split anew, or set force_all_classes to false"
            )
    return kept


def split_crops(
    crops: Sequence[Crop],
    classes: Sequence[str],
    *,
    validation_prob: float = 0.15,
    force_all_classes: bool | str = False,
    seed: int = 42,
) -> tuple[list[Crop], list[Crop]]:
    """Divide crops at random into those that train and those that validate.

    What is drawn for a crop depends on the seed and its name alone, so that further crops leave the others where they
    are. Where the draws leave a part empty, the crop that came nearest to it goes there: so with two
    or more crops, and a probability between 0 and 1, no part is empty. A single crop trains.

    Args:
        crops: what `find_crops` returned.
        classes: the classes that a crop with every class has.
        validation_prob: probability with which a crop validates, 0 to 1; 0: none does, 1: all do.
        force_all_classes: true: crops that lack a class are left out; `train`, `validate`: they do not go to this part,
            but to the other one; false: they go anywhere.
        seed: of the choice.

    Returns:
        training crops and validation crops, each in the order given.

    Raises:
        ValueError: for an argument out of range, and if a part that must have all classes finds no crop that has them.
    """
    _check_word(force_all_classes)
    if not 0 <= validation_prob <= 1:
        raise ValueError(f"validation_prob is a probability from 0 to 1; got {validation_prob}")
    is_full = [all(name in crop.classes for name in classes) for crop in crops]
    _check_full(force_all_classes, validation_prob, crops, any(is_full), classes)
    if force_all_classes is True:
        crops = [crop for crop, full in zip(crops, is_full, strict=True) if full]
        is_full = [True] * len(crops)
    free = [n for n in range(len(crops)) if is_full[n] or not force_all_classes]
    draws = {n: _draw(crops[n], seed) for n in free}
    validates = [draws[n] < validation_prob if n in draws else force_all_classes == "train" for n in range(len(crops))]
    if free and validation_prob > 0 and len(crops) > 1 and not any(validates):
        validates[min(free, key=lambda n: draws[n])] = True
    if free and validation_prob < 1 and all(validates):
        validates[max(free, key=lambda n: draws[n])] = False
    train = [crop for crop, out in zip(crops, validates, strict=True) if not out]
    return train, [crop for crop, out in zip(crops, validates, strict=True) if out]


def _check_word(force_all_classes: bool | str) -> None:
    if not isinstance(force_all_classes, bool) and force_all_classes not in ("train", "validate"):
        raise ValueError(f"force_all_classes must be true, false, train or validate; got {force_all_classes!r}")


def _draw(crop: Crop, seed: int) -> float:
    """A number from 0 to below 1."""
    digest = hashlib.sha256(f"{seed} {crop.dataset}/{crop.name}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48


def _check_full(
    forced: bool | str, validation_prob: float, crops: Sequence[Crop], any_full: bool, classes: Sequence[str]
) -> None:
    if any_full or forced is False or (forced == "validate" and validation_prob == 0):
        return
    having = {name: sum(name in crop.classes for crop in crops) for name in classes}
    raise ValueError(
        f"force_all_classes = {forced!r}: none of {len(crops)} crops has every class; crops that have each: {having}. "
        "Leave out the rarest class, or set force_all_classes to false"
    )
