"""Datasets in the form of nnU-Net: `dataset.json`, `imagesTr`, `labelsTr`, `splits_final.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..geometry import IMAGE_KEY, Kind, parse_targets

DATASET_FILE = "dataset.json"
IGNORE = "ignore"

Row = dict[str, Any]

_FOLDS, _FOLD_SEED = 5, 12345
_READABLE = (".nii.gz", ".nii", ".tif", ".tiff", ".png", ".npy")
_CHANNEL = re.compile(r"(.+)_(\d{4})")


@dataclass(frozen=True)
class NnunetDataset:
    """What a raw dataset folder of nnU-Net v2 says about itself.

    Args:
        folder: the folder.
        channels: name of each image channel, such as CT or T1.
        labels: value of each class, or values of each region (classes that may overlap); background is 0.
        ending: of the files, `.nii.gz`.
        region_order: for regions, the class that each becomes in a label map, in this order.
        listed: case -> its files, where dataset.json lists them (`dataset`).
    """

    folder: Path
    channels: tuple[str, ...]
    labels: Mapping[str, int | tuple[int, ...]]
    ending: str
    region_order: tuple[int, ...] = ()
    listed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def ignore_label(self) -> int | None:
        """Value of voxels that nobody annotated."""
        value = self.labels.get(IGNORE)
        return None if value is None else int(np.max(value))

    @property
    def classes(self) -> dict[str, int | tuple[int, ...]]:
        """Labels that are learnt, background among them."""
        return {name: value for name, value in self.labels.items() if name != IGNORE}

    @property
    def regions(self) -> dict[str, tuple[int, ...]]:
        """Values of each region, where any label is one; else nothing."""
        if not any(isinstance(value, tuple) for value in self.classes.values()):
            return {}
        return {
            name: value if isinstance(value, tuple) else (value,)
            for name, value in self.classes.items()
            if value not in (0, (0,))
        }

    def training_cases(self) -> list[str]:
        """Names of the cases that have a label, in order."""
        if self.listed:
            return sorted(self.listed)
        labels = self.folder / "labelsTr"
        return sorted(path.name.removesuffix(self.ending) for path in _files(labels, self.ending))

    def images(self, case: str) -> list[str]:
        """Files of a training case, one per channel; or one that holds all of them, such as an RGB picture.

        Raises:
            FileNotFoundError: that names the channel's file.
        """
        if case in self.listed:
            return [str(self.folder / name) for name in self.listed[case]["images"]]
        files = [self.folder / "imagesTr" / f"{case}_{n:04d}{self.ending}" for n in range(len(self.channels))]
        if files[0].is_file() and not any(path.is_file() for path in files[1:]):
            return [str(files[0])]
        for number, path in enumerate(files):
            if not path.is_file():
                raise FileNotFoundError(f"{path} does not exist; it is channel {number} of case {case}")
        return list(map(str, files))

    def label(self, case: str) -> str:
        """File of a case's label."""
        if case in self.listed:
            return str(self.folder / self.listed[case]["label"])
        return str(self.folder / "labelsTr" / f"{case}{self.ending}")


def open_nnunet_dataset(folder: str | Path) -> NnunetDataset:
    """Read the `dataset.json` of a raw dataset folder.

    Raises:
        FileNotFoundError: where there is none.
        ValueError: for one that is not of nnU-Net v2, and for files that cannot be read.
    """
    path = Path(folder) / DATASET_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; expected a raw dataset folder of nnU-Net v2")
    try:
        content = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}, line {error.lineno}: no JSON: {error.msg}") from error
    missing = [key for key in ("channel_names", "labels", "file_ending") if key not in content]
    if missing:
        hint = "; convert it to version 2 first, or read it by scripts.patches.read_datalist" * ("modality" in content)
        raise ValueError(f"{path}: lacks {', '.join(missing)}, which nnU-Net v2 writes{hint}")
    ending = str(content["file_ending"])
    if ending not in _READABLE:
        raise ValueError(f"{path}: file_ending {ending!r} is not read; expected one of {', '.join(_READABLE)}")
    labels = {
        str(name): tuple(map(int, value)) if isinstance(value, list) else int(value)
        for name, value in content["labels"].items()
    }
    names = content["channel_names"]
    dataset = NnunetDataset(
        Path(folder),
        tuple(str(names[key]) for key in sorted(names, key=int)),
        labels,
        ending,
        tuple(map(int, content.get("regions_class_order") or ())),
        content.get("dataset") or {},
    )
    if dataset.regions and len(dataset.region_order) != len(dataset.regions):
        raise ValueError(
            f"{path}: regions {', '.join(dataset.regions)} need a regions_class_order of {len(dataset.regions)} "
            f"classes; got {list(dataset.region_order)}"
        )
    return dataset


def read_nnunet_dataset(
    folder: str | Path,
    targets: Mapping[str, Any],
    *,
    label: str | None = None,
    fold: int | None = None,
    splits: str | Path | None = None,
    spacing: Sequence[float] | None = None,
) -> list[Row]:
    """Read the training cases of an nnU-Net raw dataset into a `volumes` table.

    Args:
        folder: with `dataset.json`, `imagesTr` and `labelsTr`.
        targets: the `targets` table.
        label: the stored key that `labelsTr` stands for; `None`: the only one of kind `label`.
        fold: which fold validates; `None`: `split_method` decides.
        splits: `splits_final.json` of nnU-Net's preprocessed folder. `None`: the five folds that nnU-Net itself makes
            where it finds no such file.
        spacing: voxel size z, y, x at which all cases are read; `None`: as stored.

    Raises:
        FileNotFoundError: for files that are missing.
        ValueError: for a folder that is no such dataset, one without cases, and a fold that there is not.
    """
    dataset = open_nnunet_dataset(folder)
    key = label or _only_label(targets, str(dataset.folder))
    cases = dataset.training_cases()
    if not cases:
        raise ValueError(f"{dataset.folder / 'labelsTr'} holds no file that ends in {dataset.ending}")
    validating: set[str] = set()
    if fold is not None:
        folds = nnunet_folds(cases) if splits is None else _read_splits(Path(splits), cases)
        if not 0 <= fold < len(folds):
            raise ValueError(f"fold must be one of 0 to {len(folds) - 1}; got {fold}")
        validating = set(folds[fold])
    rows = []
    for case in cases:
        images = dataset.images(case)
        row: Row = {IMAGE_KEY: images if len(images) > 1 else images[0], key: dataset.label(case)}
        if spacing is not None:
            row["spacing"] = [float(value) for value in spacing]
        if fold is not None:
            row["split"] = "val" if case in validating else "train"
        rows.append(row)
    return rows


def nnunet_cases(folder: str | Path, *, n_channels: int = 1, ending: str = ".nii.gz") -> list[Row]:
    """The images of a folder such as `imagesTs`, by case, as `input_data` of an inference.

    Args:
        folder: with files `CASE_0000.nii.gz`, `CASE_0001.nii.gz`, ...: one for each channel, or one for all.
        n_channels: channels of a case.
        ending: of the files.

    Returns:
        for each case its `name` and `image`, a path or a list of paths.

    Raises:
        FileNotFoundError: for a folder without such files.
        ValueError: for a case with other channels; names it.
    """
    found: dict[str, dict[int, str]] = {}
    for path in _files(Path(folder), ending):
        if match := _CHANNEL.fullmatch(path.name.removesuffix(ending)):
            found.setdefault(match[1], {})[int(match[2])] = str(path)
    if not found:
        raise FileNotFoundError(f"{folder} holds no file CASE_0000{ending}")
    for case, files in found.items():
        if sorted(files) not in ([0], list(range(n_channels))):
            raise ValueError(f"{folder}: case {case} has channels {sorted(files)}; expected 0 to {n_channels - 1}")
    return [
        {"name": case, IMAGE_KEY: [files[n] for n in sorted(files)] if len(files) > 1 else files[0]}
        for case, files in sorted(found.items())
    ]


def nnunet_folds(cases: Sequence[str], n_folds: int = _FOLDS, seed: int = _FOLD_SEED) -> list[list[str]]:
    """Validation cases of each fold, as nnU-Net draws them (scikit-learn's shuffled KFold over the sorted names)."""
    names = np.array(sorted(cases))
    order = np.arange(len(names))
    np.random.RandomState(seed).shuffle(order)
    return [sorted(names[part].tolist()) for part in np.array_split(order, n_folds)]


def _read_splits(path: Path, cases: Sequence[str]) -> list[list[str]]:
    content = json.loads(path.read_text())
    if not isinstance(content, list) or not all(isinstance(fold, dict) and "val" in fold for fold in content):
        raise ValueError(f"{path}: expected a list of folds, each with 'train' and 'val'")
    unknown = sorted({case for fold in content for case in fold["val"]} - set(cases))
    if unknown:
        raise ValueError(f"{path}: there are no cases {', '.join(unknown[:5])} among the {len(cases)} of the dataset")
    return [list(fold["val"]) for fold in content]


def _files(folder: Path, ending: str) -> list[Path]:
    return sorted(path for path in folder.glob(f"*{ending}") if not path.name.startswith("."))


def _only_label(targets: Mapping[str, Any], where: str) -> str:
    keys = sorted({row.stored_key for row in parse_targets(targets).values() if row.kind is Kind.LABEL})
    if len(keys) != 1:
        raise ValueError(
            f"{where}: labelsTr could stand for any of {', '.join(keys) or 'no target of kind label'}; say which by "
            "label = NAME"
        )
    return keys[0]
