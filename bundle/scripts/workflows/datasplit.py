"""`datasplit`: CellMap's crops as a CSV file that says which train and which validate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..patches import array_keys, cellmap_volumes, write_datasplit
from ..patches.cellmap_crops import CROP_NAME, LOCAL_SEARCH_PATH, RAW_NAME, S3_SEARCH_PATH


def datasplit(
    classes: Sequence[str] | str = ("nuc", "er"),
    *,
    search_path: str | None = None,
    use_s3: bool = False,
    csv_path: str | Path = "datasplit.csv",
    force_all_classes: bool | str = False,
    validation_prob: float = 0.15,
    datasets: Sequence[str] | str = "*",
    crops: Sequence[str | int] | str | int = "*",
    raw_name: str = RAW_NAME,
    crop_name: str = CROP_NAME,
    filter_by_scale: bool | float | Sequence[float] = False,
    spacing: Sequence[float] | None = None,
    seed: int = 42,
    dry_run: bool = False,
    overwrite: bool = False,
) -> str:
    """Look through a tree of CellMap's stores, and write which crops train and which validate.

    The file has the form of CellMap's toolbox, and `scripts.patches.read_datasplit` reads it:
    `"train"|"validate","<raw store>","<raw dataset>","<label store>","<label group>/[class1,class2]"`.

    Args:
        classes: the classes to look for; a crop needs one of them.
        search_path: folder or URL with `<dataset>.zarr/recon-1/...`, with wildcards, or a pattern with `{dataset}` and
            `{name}`. Default: the folder `data`, or with `use_s3` the challenge's bucket.
        use_s3: look in the challenge's public bucket.
        csv_path: file to write.
        force_all_classes: true: leave out crops that lack a class; `train` or `validate`: they do not go to this part.
        validation_prob: probability with which a crop validates. Neither part stays empty where there are two crops or
            more, unless it is 0 or 1.
        datasets: names of datasets, with wildcards.
        crops: names or numbers of crops, with wildcards.
        raw_name: path of the image within `recon-1`.
        crop_name: path of a label there: `{crop}` stands for the crop, `/{label}` for the class.
        filter_by_scale: leave out labels that are coarser along any axis: true: than `spacing`; than a number, or than
            one per axis (z, y, x).
        spacing: voxel size z, y, x at which the training will read; only `filter_by_scale` looks at it.
        seed: of the choice; what is drawn for a crop does not depend on the other crops.
        dry_run: say what would be written, and write nothing.
        overwrite: replace a file that exists.

    Returns:
        how many crops of each class train and validate, and what was written.

    Raises:
        FileExistsError: where the file exists.
        FileNotFoundError: where there are no crops.
        ValueError: for a class that no crop has, and for options that do not fit.
    """
    target = Path(csv_path)
    if target.exists() and not overwrite and not dry_run:
        raise FileExistsError(f"{target} exists; choose another csv_path, or pass --overwrite to replace it")
    if use_s3 and search_path is not None:
        raise ValueError(f"use_s3 looks in the challenge's bucket, but search_path = {search_path}; give one of them")
    names = [str(name) for name in as_list(classes)]
    rows = cellmap_volumes(
        names,
        search_path or (S3_SEARCH_PATH if use_s3 else LOCAL_SEARCH_PATH),
        spacing=spacing,
        filter_by_scale=filter_by_scale,
        force_all_classes=force_all_classes,
        validation_prob=validation_prob,
        datasets=as_list(datasets),
        crops=as_list(crops),
        raw_name=raw_name,
        crop_name=crop_name,
        seed=seed,
    )
    if not dry_run:
        target.absolute().parent.mkdir(parents=True, exist_ok=True)
        write_datasplit(target, rows)
    return "\n".join([*_table(rows, names), f"dry run: {target} is not written" if dry_run else f"written: {target}"])


def as_list(value: Any) -> list[Any]:
    """What the command line gives for one or several names, as a list: `nuc`, `nuc,er`, `[nuc,er]`."""
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _table(rows: Sequence[dict[str, Any]], classes: Sequence[str]) -> list[str]:
    parts = {split: [row for row in rows if row["split"] == split] for split in ("train", "val")}
    datasets = {row["image"] for row in rows}
    width = max(len("class"), *(len(name) for name in classes))
    lines = [
        f"{len(rows)} crops of {len(datasets)} datasets: {len(parts['train'])} train, {len(parts['val'])} validate",
        f"{'class':<{width}}  train  validate",
    ]
    for name in classes:
        train, val = (sum(name in array_keys(row) for row in parts[split]) for split in ("train", "val"))
        lines.append(f"{name:<{width}}  {train:5d}  {val:8d}")
    return lines
