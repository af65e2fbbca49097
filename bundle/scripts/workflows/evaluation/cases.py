"""What is compared with what: the pairs of prediction and truth that a command means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...geometry import did_you_mean
from ...patches.cellmap_crops import CROP_NAME
from ...patches.cellmap_paths import child_folders, find_paths, fits
from ...volumes import Volume, is_url, open_volume
from ...volumes.paths import join, require_exists, short_name, split_level
from ..submissions.manifest import crop_folder
from .submission import submission_volumes

_STORE = "{dataset}.zarr/recon-1/" + CROP_NAME
_TRUTH_PATTERNS = (_STORE, "{dataset}/" + _STORE)
_PREDICTION_PATTERNS = (*_TRUTH_PATTERNS, "{dataset}.zarr/{crop}/{label}", "{crop}/{label}", "{dataset}.zarr/{label}")
"""Where labels may lie below a folder that is given without a pattern."""

Region = tuple[tuple[int, int, int], tuple[int, int, int]]
"""First voxel and last plus one, along z, y, x."""


@dataclass(frozen=True)
class Case:
    """One class of one crop, or one volume.

    Args:
        label: name of the class.
        truth: path of the truth.
        predictions: path, or a volume that is open, of every prediction that is compared; `None` where it has none.
        crop: name of the crop; may be empty.
        dataset: that the crop is of; may be empty.
        image: path of the image, for pictures.
        mask: path of an array whose zeros mark voxels where the truth is unknown.
        kind: how values are read; `None`: see `kind_of`.
        region: part of the truth that counts; `None`: all.
    """

    label: str
    truth: str
    predictions: tuple[str | Volume | None, ...]
    crop: str = ""
    dataset: str = ""
    image: str | None = None
    mask: str | None = None
    kind: str | None = None
    region: Region | None = None

    @property
    def title(self) -> str:
        """Dataset, crop and class in words."""
        return "/".join(filter(None, (self.dataset, self.crop, self.label)))


@dataclass(frozen=True)
class _Place:
    """Where the truth of a class is."""

    path: str
    label: str
    crop: str = ""
    dataset: str = ""

    @property
    def crop_name(self) -> str:
        """Such as `crop557`, where the folder's name is the number alone."""
        return crop_folder(self.crop)

    def fill(self, pattern: str) -> str:
        """A path with its fields."""
        for name in ("label", "crop", "dataset"):
            pattern = pattern.replace(f"{{{name}}}", getattr(self, name))
        return pattern


_Finder = Callable[[_Place], "str | Volume | None"]


def find_cases(
    predictions: Sequence[str],
    truth: str,
    *,
    classes: Sequence[str] = ("*",),
    crops: Sequence[str] = ("*",),
    datasets: Sequence[str] = ("*",),
    image: str | None = None,
    mask: str | None = None,
) -> list[Case]:
    """Pair every true label with the predictions of it.

    Args:
        predictions: of each prediction a path: of a volume, of a group with an image per class, of a tree of crops, of
            a submission (`NAME.zip`), or a pattern with `{dataset}`, `{crop}`, `{label}`.
        truth: path of a volume, of a group with an image per class, or of a tree of CellMap's crops, or such a pattern.
        classes: names of classes, with wildcards.
        crops: names or numbers of crops, with wildcards.
        datasets: names of datasets, with wildcards.
        image: path or pattern of the image.
        mask: path or pattern of an array whose zeros mark unknown voxels.

    Returns:
        a case for every class of every crop, in the order of the store.

    Raises:
        FileNotFoundError: where there is no truth.
        ValueError: for a class that the truth lacks, or a prediction of nothing that the truth has.
    """
    places, is_one = _places(truth, {"label": classes, "crop_name": list(map(crop_folder, crops)), "dataset": datasets})
    finders = [_finder(prediction, places, is_one) for prediction in predictions]
    cases = [
        Case(
            place.label, place.path, tuple(find(place) for find in finders), place.crop_name, place.dataset,
            image and place.fill(image), mask and place.fill(mask),
        )
        for place in places
    ]  # fmt: skip
    for number, prediction in enumerate(predictions):
        if all(case.predictions[number] is None for case in cases):
            where = prediction if "{" in prediction or is_one else f"{prediction}, as in {cases[0].title}"
            raise ValueError(
                f"{where}: found none of the {len(cases)} labels that {truth} has: {_few(case.title for case in cases)}"
            )
    return cases


def _places(truth: str, keep: Mapping[str, Sequence[str]]) -> tuple[list[_Place], bool]:
    """Where the truth is, and whether it is one volume."""
    places: list[_Place] = []
    is_one = False
    if "{" in truth:
        places = _matching(truth)
    else:
        try:
            open_volume(truth)
        except (FileNotFoundError, ValueError) as error:  # a folder with several volumes, or nothing
            below = [found for pattern in _TRUTH_PATTERNS for found in _matching(join(truth, pattern))]
            places = below or [_Place(join(truth, name), name) for name in child_folders(truth)]
            if not places or not (below or all(_is_volume(place.path) for place in places)):
                raise error
        else:
            name = short_name(split_level(truth)[0]).rpartition("/")[2]
            places, is_one = [_Place(truth, name)], True
    kept = [p for p in places if all(fits(getattr(p, key), wanted) for key, wanted in keep.items())]
    known = sorted({place.label for place in places})
    lacking = [name for name in keep["label"] if not any(fits(label, [name]) for label in known)]
    if lacking and known:
        hints = ", ".join(f"'{name}'{did_you_mean(name, known)}" for name in lacking)
        raise ValueError(f"classes: {truth} has no class {hints}; classes there: {', '.join(known)}")
    if not kept:
        raise FileNotFoundError(
            f"{truth}: found no labels of crops {', '.join(keep['crop_name'])} and datasets "
            f"{', '.join(keep['dataset'])}"
        )
    return kept, is_one


def _matching(pattern: str) -> list[_Place]:
    return [
        _Place(
            found.path,
            found.fields.get("label", found.path.rpartition("/")[2]),
            found.fields.get("crop", ""),
            found.fields.get("dataset", ""),
        )
        for found in find_paths(pattern)
    ]


def _finder(prediction: str, places: Sequence[_Place], is_one: bool) -> _Finder:
    """What gives the prediction of a place."""
    if prediction.endswith(".zip"):
        submitted = submission_volumes(prediction)
        return lambda place: submitted.get((place.crop_name, place.label))
    if "{" in prediction:
        return lambda place: _existing(place.fill(prediction))
    if is_one:
        return lambda place: prediction
    if not is_url(prediction):
        require_exists(prediction)
    patterns = ["{label}"] if not any(place.crop for place in places) else _PREDICTION_PATTERNS
    for pattern in (join(prediction, pattern) for pattern in patterns):
        if any(_existing(place.fill(pattern)) for place in places):
            return lambda place: _existing(place.fill(pattern))
    return lambda place: None


def _existing(path: str) -> str | None:
    if is_url(path):
        return path if _is_volume(path) else None
    return path if Path(split_level(path)[0]).exists() else None


def _is_volume(path: str) -> bool:
    try:
        open_volume(path)
    except (FileNotFoundError, ValueError):
        return False
    return True


def _few(titles: Iterable[str], most: int = 6) -> str:
    names = list(titles)
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
