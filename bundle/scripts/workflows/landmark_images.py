"""Images whose landmarks are to be found: from paths, rows of a `volumes` table or files of LaNNU-Net."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..geometry import IMAGE_KEY
from ..patches import (
    EXTRA_KEY,
    ID_KEY,
    landmark_names,
    open_images,
    place_landmarks,
    read_landmark_folds,
    row_landmarks,
)
from ..volumes import outside_volume

logger = logging.getLogger(__name__)

TRUTH_KEY, NAMES_KEY, UNIT_KEY = "truth", "landmark_names", "unit"


def landmark_inputs(
    input: Any = None,
    landmark_file: str | Path | None = None,
    *,
    fold: int = -1,
    root: str | Path | None = None,
    landmarks: Sequence[int] | None = None,
) -> list[dict[str, Any]]:
    """Rows of images whose landmarks are to be found.

    Args:
        input: path of an image, a list of paths or of rows of a `volumes` table; a path that ends in `.json` is a
            `landmark_file`. `None`: see there.
        landmark_file, fold, root, landmarks: see `scripts.patches.read_landmark_folds`, of which the `testing` list is
            taken, or all lists where there is none.

    Raises:
        ValueError: where neither or both are given.
    """
    if (input is None) == (landmark_file is None):
        raise ValueError(
            f"give either input or landmark_file; got input = {input!r}, landmark_file = {landmark_file!r}"
        )
    if isinstance(input, str | Path) and Path(input).suffix == ".json":
        landmark_file = input
    if landmark_file is not None:
        rows = read_landmark_folds(landmark_file, fold, root=root, landmarks=landmarks, splits=("train", "val", "test"))
        return [row for row in rows if row["split"] == "test"] or rows
    several = [input] if isinstance(input, str | Path | Mapping) else list(input)
    return [dict(one) if isinstance(one, Mapping) else {IMAGE_KEY: str(one)} for one in several]


class LandmarkImages(torch.utils.data.Dataset):
    """Images and, where they are annotated, their landmarks; each image is opened when it is asked for.

    Args:
        rows: of a `volumes` table: `image`, and perhaps `landmarks`, `id` (otherwise the file's name), `extra`, and
            `spacing`, at which it is read.
        names: of the landmarks that the network finds; `None`: those of the first row that has any.
        spacing: physical size of a voxel along z, y, x of rows without `spacing`, for images that state none.
        unit: of the spacing of images that state none, such as pictures; `None`: their sizes stay unknown.

    Raises:
        ValueError: for rows without image, and ids that occur twice.
    """

    def __init__(
        self,
        rows: Sequence[Mapping[str, Any]],
        names: Sequence[str] | None = None,
        spacing: Sequence[float] | None = None,
        unit: str | None = None,
    ) -> None:
        self.rows = [{"spacing": spacing} | dict(row) for row in rows]
        self.names = names
        self.unit = unit
        if lacking := [n for n, row in enumerate(self.rows) if not row.get(IMAGE_KEY)]:
            raise ValueError(f"rows {lacking} of the images have no '{IMAGE_KEY}'; expected its path")
        self.ids = _ids(self.rows)
        if twice := [one for n, one in enumerate(self.ids) if one in self.ids[:n]]:
            raise ValueError(f"id '{twice[0]}' occurs twice among the images; give each row its own 'id'")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """
        Returns:
            `image`: its channels, as `scripts.patches.open_images` opens them; `id`; `truth`: N 3 float64, voxels of
            the image, or `None`; `landmark_names`, or `None` where they are not known; `unit`; `extra`.

        Raises:
            FileNotFoundError: if there is no image.
            ValueError: for landmarks that do not fit; names the image.
        """
        row = self.rows[index]
        name = self.ids[index]
        try:
            volumes = open_images({key: row.get(key) for key in (IMAGE_KEY, "spacing")})
            given = row_landmarks(row)
            truth = None if given is None else place_landmarks(row, given, volumes[0])
            if self.names is None:
                self.names = landmark_names(self.rows)
        except (OSError, ValueError, TypeError) as error:  # some of these are made from more than a message
            kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
            raise kind(f"{name}: {error}") from error
        if given is not None and self.names is not None and len(given.names) != len(self.names):
            expected = f"expected {len(self.names)}: {', '.join(self.names)}"
            raise ValueError(f"{name}: has {len(given.names)} landmarks; {expected}")
        if truth is not None and (outside := np.flatnonzero(outside_volume(truth, volumes[0]))).size:
            logger.warning(
                "%s: %d of %d landmarks lie beyond the image of %s voxels, the first is landmark %d at %s",
                name, len(outside), len(truth), list(volumes[0].spatial_shape), outside[0] + 1,
                np.round(truth[outside[0]], 2).tolist(),
            )  # fmt: skip
        return {
            IMAGE_KEY: volumes,
            ID_KEY: name,
            TRUTH_KEY: truth,
            NAMES_KEY: self.names,
            UNIT_KEY: volumes[0].unit if volumes[0].states_geometry else self.unit,
            EXTRA_KEY: dict(row.get(EXTRA_KEY) or {}),
        }


def distinct_names(files: Sequence[str | Path]) -> list[str]:
    """A name for each file: its own without suffix, with those of its folders where several are called alike.

    A file that is there twice has its name twice.
    """
    paths = [Path(file) for file in files]
    names: list[str] = []
    for depth in range(1, 1 + max((len(path.parts) for path in paths), default=0)):
        parts = [(*path.parts[-depth:-1], Path(path.name.removesuffix(".gz")).stem) for path in paths]
        names = ["_".join(part for part in each if part != "/") for each in parts]
        if len(set(names)) == len(set(paths)):
            break
    return names


def _ids(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Ids as the rows have them, or else names of their images."""
    images = [row[IMAGE_KEY] for row in rows]
    names = distinct_names([image if isinstance(image, str | Path) else image[0] for image in images])
    return [name if row.get(ID_KEY) is None else str(row[ID_KEY]) for row, name in zip(rows, names, strict=True)]
