"""`pack PREDICTIONS`: labels of crops as a submission to CellMap's challenge."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..patches.cellmap_paths import find_paths, fits
from .datasplit import as_list
from .submissions.manifest import WantedLabel, crop_folder, is_crop_folder, read_manifest
from .submissions.write import PackedLabel, write_label, zip_labels

_MOST_LISTED = 12


def pack(
    predictions: str,
    output: str | Path = "submission.zip",
    *,
    manifest: str | Path | None = None,
    labels: Sequence[str] | str = "*",
    datasets: Sequence[str] | str = "*",
    crops: Sequence[str | int] | str | int = "*",
    dry_run: bool = False,
    overwrite: bool = False,
) -> str:
    """Pack predictions into a zip file: `submission.zarr/<crop>/<class>`, zarr v2, with voxel size and translation.

    Classes whose objects are counted (nuc, mito, ...) keep their ids, in the smallest unsigned type that holds the
    largest one. All others become masks of 0 and 1, uint8: whole numbers above 0, or probabilities above 0.5. The file
    appears under its name when it is complete.

    Args:
        predictions: path or URL of the predictions with `{crop}`, perhaps `{dataset}`, and `{label}` (default: below
            the rest), such as `processed/{dataset}.zarr/{crop}/{label}`; `*` and `?` are wildcards.
        output: file to write, `NAME.zip`.
        manifest: CSV file that lists the crops with their grids (`crop_name, dataset, class_label, voxel_size,
            translation, shape`). Then exactly these are packed, resampled to their grids; each is held in memory.
            Without it predictions are packed as they are stored.
        labels: classes to pack, with wildcards.
        datasets: datasets to pack, with wildcards.
        crops: names or numbers of crops to pack, with wildcards.
        dry_run: say what would be packed, and write nothing.
        overwrite: replace a file that exists.

    Returns:
        what was packed, and what the manifest asks for and is missing.

    Raises:
        FileExistsError: where the output exists.
        FileNotFoundError: where there are no predictions.
        TypeError: for objects whose ids are floats.
        ValueError: for two predictions of one label, more than one channel, or a store that states no voxel size.
    """
    target = Path(output)
    if target.suffix != ".zip":
        raise ValueError(f"output: expected a name that ends in .zip, got {target}")
    if target.exists() and not (overwrite or dry_run):
        raise FileExistsError(f"{target} exists; choose another path, or pass --overwrite to replace it")
    keep = {
        "label": as_list(labels),
        "dataset": as_list(datasets),
        "crop": [crop_folder(str(name)) for name in as_list(crops)],
    }
    found = _find(predictions, keep)
    left_out: list[str] = []
    missing: list[str] = []
    if manifest is not None:
        asked = [entry for entry in read_manifest(manifest) if _is_kept(entry, keep)]
        found, left_out, missing = _match(found, asked, str(manifest))
    said = _left(left_out, missing)
    if dry_run:
        lines = [f"{label.crop}/{label.name}: {label.path}" for label in found]
        return "\n".join([*lines, *said, f"dry run: {target} is not written, {len(found)} labels"])
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    folder, partial = (target.with_name(f"{target.name}.partial{end}") for end in (".zarr", ""))
    shutil.rmtree(folder, ignore_errors=True)  # left behind by a run that was killed
    try:
        lines = [write_label(label, folder) for label in found]
        zip_labels(folder, partial)
        partial.replace(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        partial.unlink(missing_ok=True)
    return "\n".join([*lines, *said, f"written: {target}, {len(found)} labels, {target.stat().st_size} bytes"])


def _left(left_out: Sequence[str], missing: Sequence[str]) -> list[str]:
    """What the manifest and the predictions do not have in common."""
    lines = []
    for what, names in (("not in the manifest, left out", left_out), ("in the manifest, but not predicted", missing)):
        if names:
            more = ", ..." if len(names) > _MOST_LISTED else ""
            lines.append(f"{what}: {len(names)} labels ({', '.join(names[:_MOST_LISTED])}{more})")
    return lines


def _find(predictions: str, keep: Mapping[str, list[Any]]) -> list[PackedLabel]:
    pattern = predictions.rstrip("/")
    if "{crop}" not in pattern:
        raise ValueError(f"predictions: expected a path with {{crop}} (and {{dataset}}, {{label}}); got {predictions}")
    pattern = pattern if "{label}" in pattern else f"{pattern}/{{label}}"
    found: dict[tuple[str, str], PackedLabel] = {}
    for path in find_paths(pattern, {"label": keep["label"], "dataset": keep["dataset"]}):
        crop = crop_folder(path.fields["crop"])
        if fits(crop, keep["crop"]):
            if not is_crop_folder(crop):
                raise ValueError(f"{path.path}: '{crop}' is no crop's name; expected such as crop557, or 557")
            label = PackedLabel(crop, path.fields["label"], path.fields.get("dataset", ""), path.path)
            other = found.setdefault((label.crop, label.name), label)
            if other is not label:
                raise ValueError(f"{label.name} of {label.crop} is there twice: {other.path} and {label.path}")
    if not found:
        raise FileNotFoundError(f"no predictions fit {pattern}")
    return list(found.values())


def _is_kept(entry: WantedLabel, keep: Mapping[str, list[Any]]) -> bool:
    values = {"label": entry.label, "dataset": entry.dataset, "crop": entry.crop}
    return all(fits(value, keep[key]) for key, value in values.items())


def _match(
    found: Sequence[PackedLabel], wanted: Sequence[WantedLabel], manifest: str
) -> tuple[list[PackedLabel], list[str], list[str]]:
    """Predictions that a manifest asks for, with their grids; names of the others; names of what is missing."""
    grids = {(entry.crop, entry.label): entry for entry in wanted}
    given = {(label.crop, label.name): label for label in found}
    kept = []
    for key, label in given.items():
        grid = grids.get(key)
        if grid is not None and label.dataset in ("", grid.dataset):
            kept.append(replace(label, wanted=grid))
    if not kept:
        raise ValueError(
            f"{manifest}: asks for none of the {len(found)} predictions, such as {found[0].crop}/{found[0].name} of "
            f"dataset {found[0].dataset or 'unknown'}"
        )
    packed = {(label.crop, label.name) for label in kept}
    left_out = [f"{crop}/{name}" for crop, name in given if (crop, name) not in packed]
    missing = [f"{crop}/{name}" for crop, name in grids if (crop, name) not in packed]
    return kept, left_out, missing
