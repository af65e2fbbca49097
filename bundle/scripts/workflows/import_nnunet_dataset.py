"""`import-nnunet-dataset`: a raw dataset folder of nnU-Net as settings of a training and of a prediction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..networks import plan_unet
from ..patches.nnunet_dataset import NnunetDataset, open_nnunet_dataset
from ..volumes import open_volume
from .sweeps.run import shown

TARGET = "segmentation"
LABEL = "labels"
"""Key of the stored label where regions are derived from it."""

_ANISOTROPIC = 3.0
"""nnU-Net: an axis is coarse where its voxels are so many times as long, and it has so many times fewer of them."""
_COARSE_PERCENTILE = 10

_SCHEMES = {"ct": "ct", "nonorm": "none", "rescale_to_0_1": "min_max", "rgb_to_0_1": "dtype_range"}
"""nnU-Net's normalisation by name of a channel; any other name is a z-score of the image."""


def import_nnunet_dataset(
    dataset: str | Path,
    *,
    output: str | Path | None = None,
    fold: int | None = 0,
    splits: str | Path | None = None,
    preset: str = "M",
    dry_run: bool = False,
    overwrite: bool = False,
) -> str:
    """Turn a raw dataset folder of nnU-Net v2 into settings for training and prediction.

    Images and labels are read where they are. Target spacing, patch size, batch size and normalisation follow nnU-Net's
    rules; the network is planned from them when the training starts. The settings of the prediction take a folder such
    as `imagesTs` as `--input`, and write `CASE.nii.gz` label maps, on each image's own voxels, into `--predictions`.

    Args:
        dataset: the folder, with `dataset.json`, `imagesTr` and `labelsTr`.
        output: file to write; settings of the prediction go beside it, as `NAME_inference.json`. Default: the dataset's
            name with `.json`, in the present folder.
        fold: which fold validates, 0 to 4; none: `split_method` of the training decides.
        splits: `splits_final.json` of nnU-Net's preprocessed folder; default: the folds that nnU-Net makes itself.
        preset: M, L or XL, made for GPUs of 8, 24 and 40 GB.
        dry_run: say what would be written, and write nothing.
        overwrite: replace files that exist.

    Returns:
        what was found, and the commands to run.

    Raises:
        FileExistsError: where an output exists.
        FileNotFoundError: where the dataset or a file of it does not.
        ValueError: for a folder that is no such dataset.
    """
    source = open_nnunet_dataset(dataset)
    path = Path(f"{Path(dataset).resolve().name}.json" if output is None else output)
    if path.suffix != ".json":
        raise ValueError(f"output: expected a name that ends in .json, got {path}")
    inference = path.with_name(f"{path.stem}_inference.json")
    for file in (path, inference):
        if file.exists() and not (overwrite or dry_run):
            raise FileExistsError(f"{file} exists; choose another path, or pass --overwrite to replace it")
    cases = source.training_cases()
    if not cases:
        raise ValueError(f"{source.folder / 'labelsTr'} holds no file that ends in {source.ending}")
    shapes, spacings = _measure(source, cases)
    spacing = target_spacing(shapes, spacings)
    training = _training(source, shapes, spacings, spacing, preset, fold, splits)
    is_resampled = not np.allclose(spacings, spacing, rtol=1e-3)
    if is_resampled:
        training["volumes"]["spacing"] = spacing
    files = {path: training, inference: _inference(source, training, spacing if is_resampled else None)}
    said = _what_was_found(source, cases, spacing, is_resampled, training)
    if dry_run:
        return "\n".join([*said, *(f"not written, this was a dry run: {file}" for file in files)])
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    for file, settings in files.items():
        file.write_text(json.dumps(settings, indent=4) + "\n")
    return "\n".join([*said, *(f"written: {file}" for file in files), *_commands(path, inference)])


def target_spacing(shapes: np.ndarray, spacings: np.ndarray) -> list[float]:
    """Spacing at which nnU-Net trains: the median, and along a coarse axis a finer one.

    Args:
        shapes: voxels z, y, x of each case, N 3.
        spacings: N 3.

    Returns:
        z, y, x. An axis whose median voxels are more than 3 times as long as those of the others, in volumes with a
        third of their voxels, gets the 10th percentile (Isensee et al., "nnU-Net", Nature Methods 2021).
    """
    target = np.median(spacings, axis=0)
    shape = np.median(shapes * spacings / target, axis=0)
    axis = int(np.argmax(target))
    others = [n for n in range(3) if n != axis]
    if target[axis] > _ANISOTROPIC * target[others].max() and shape[axis] * _ANISOTROPIC < shape[others].min():
        target[axis] = max(np.percentile(spacings[:, axis], _COARSE_PERCENTILE), target[others].max())
    return [float(round(value, 6)) for value in target]


def _measure(source: NnunetDataset, cases: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Shapes and spacings of all cases, N 3 each; voxels are not read."""
    volumes = [open_volume(source.images(case)[0]) for case in cases]
    return np.array([one.spatial_shape for one in volumes]), np.array([one.spacing for one in volumes])


def _training(
    source: NnunetDataset,
    shapes: np.ndarray,
    spacings: np.ndarray,
    spacing: Sequence[float],
    preset: str,
    fold: int | None,
    splits: str | Path | None,
) -> dict[str, Any]:
    """Settings that follow configs/train.json."""
    settings: dict[str, Any] = {
        "_about_": f"nnU-Net's {source.folder.resolve().name}; give this file after configs/train.json.",
        **_targets(source),
    }
    in_target = shapes * spacings / np.asarray(spacing)
    is_flat = bool((shapes[:, 0] == 1).all())
    counted = {"in_channels": len(source.channels), "targets": settings["targets"], "decoder": "shared"}
    planned = plan_unet(
        None,
        spacing[is_flat:],
        preset=preset,
        median_shape=np.median(in_target, axis=0)[is_flat:].tolist(),
        dataset_voxels=float(in_target.prod(axis=1).sum()),
        **counted,
    )
    volumes: dict[str, Any] = {
        "_target_": "scripts.patches.read_nnunet_dataset",
        "folder": str(source.folder.resolve()),
        "targets": "@targets",
    }
    volumes |= {"label": LABEL} if source.regions else {}
    volumes |= {} if fold is None else {"fold": "@fold"}
    volumes |= {} if splits is None else {"splits": str(Path(splits).resolve())}
    return {
        **settings,
        **({} if fold is None else {"fold": fold}),
        "volumes": volumes,
        "in_channels": len(source.channels),
        "normalization": _normalization(source)[0],
        "patch_size": [1] * is_flat + list(planned.padded_patch_size),
        "batch_size": planned.batch_size,
        "features_per_stage": None,
        "n_blocks_per_stage": None,
        "deep_supervision": True,
        "sampler": "foreground",
        "foreground_share": 0.33,
        "min_bbox_percent": 0.0,
        "min_labeled_ratio": 0.0,
    }


def _targets(source: NnunetDataset) -> dict[str, Any]:
    """`targets`, and what derives them from the stored label."""
    ignore = {} if source.ignore_label is None else {"ignore_label": source.ignore_label}
    if not source.regions:
        channels = max(int(np.max(value)) for value in source.classes.values()) + 1
        return {"targets": {TARGET: {"channels": channels, **ignore}}}
    row = {"channels": len(source.regions), "activation": "sigmoid", "source": LABEL}
    derive = {
        "_target_": "scripts.transforms.LabelToRegionsd",
        "keys": LABEL,
        "output_keys": TARGET,
        "regions": [list(values) for values in source.regions.values()],
        **ignore,
    }
    return {"targets": {TARGET: row}, "derive": [derive]}


def _normalization(source: NnunetDataset) -> tuple[str, list[str]]:
    """The scheme of the first channel, and those of all."""
    schemes = [_SCHEMES.get(name.lower(), "zscore_volume") for name in source.channels]
    return (schemes[0] if len(set(schemes)) == 1 else "zscore_volume"), schemes


def _inference(source: NnunetDataset, training: Mapping[str, Any], spacing: Sequence[float] | None) -> dict[str, Any]:
    """Settings that follow configs/inference.json and the training's network.json."""
    return {
        "_about_": f"Predictions for nnU-Net's {source.folder.resolve().name}; give this file last.",
        "predictions": "$@output_dir + '/labels'",
        "input": str(source.folder.resolve() / "imagesTs"),
        "output": "$@output_dir + '/predictions/{name}.zarr'",
        "input_spacing": None if spacing is None else list(spacing),
        "class_output": "argmax" if spacing is None else "probabilities",
        "overlap": 0.5,
        "mirror_axes": ["z", "y", "x"][3 - sum(n > 1 for n in training["patch_size"]) :],
        "input_data": {
            "_target_": "scripts.patches.nnunet_cases",
            "folder": "@input",
            "n_channels": len(source.channels),
            "ending": source.ending,
        },
        "write_labels": {
            "_target_": "scripts.workflows.NnunetLabels",
            "cases": "@input_data",
            "output": "@output",
            "folder": "@predictions",
            "target": TARGET,
            "ending": source.ending,
            "region_order": list(source.region_order) if source.regions else None,
        },
        "run": ["$@evaluator.run()", "$@write_labels()"],
    }


def _what_was_found(
    source: NnunetDataset,
    cases: Sequence[str],
    spacing: Sequence[float],
    is_resampled: bool,
    training: Mapping[str, Any],
) -> list[str]:
    scheme, schemes = _normalization(source)
    whose = "to which all cases are resampled" if is_resampled else "that of all cases"
    said = [
        f"{len(cases)} training cases, channels {', '.join(source.channels)}, "
        + (f"regions {', '.join(source.regions)}" if source.regions else f"classes {', '.join(source.classes)}")
        + (f"; unknown is {source.ignore_label}" if source.ignore_label is not None else ""),
        f"spacing z y x: {list(spacing)}, {whose}",
        f"patch size {training['patch_size']}, batch size {training['batch_size']}, normalization {scheme}",
    ]
    if len(set(schemes)) > 1:
        said.append(
            f"nnU-Net would normalise the channels differently ({', '.join(schemes)}); here all of them by {scheme}"
        )
    return said


def _commands(path: Path, inference: Path) -> list[str]:
    configs = str(["configs/train.json", str(path.absolute())])
    stack = str(["configs/inference.json", "output/network.json", str(inference.absolute())])
    return [
        "Run, in the folder of the bundle:",
        "  " + shown(("monai.bundle", "run", "training", "--config_file", configs)),
        "  " + shown(("monai.bundle", "run", "inference", "--config_file", stack, "--predictions", "output/labels")),
    ]
