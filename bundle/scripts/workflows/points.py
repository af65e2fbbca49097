"""`points`: a few annotated voxels of a dense label, as CSV files from which heads and baselines are trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..patches import draw_points
from ..volumes import Point, open_volume, write_points
from .datasplit import as_list


def points(
    label: str | Path,
    *,
    k: Sequence[int] | int = 64,
    output: str | Path = "points.csv",
    region: Sequence[Any] | None = None,
    exclude: Sequence[Any] | None = None,
    channels: int = 1,
    classes: Sequence[int] | int | None = None,
    background: bool = True,
    instances: str | Path | None = None,
    mask: str | Path | None = None,
    ignore_label: int | None = None,
    seed: int = 0,
    dry_run: bool = False,
    overwrite: bool = False,
) -> str:
    """Draw annotated points from a dense label, as many of each class, evenly over the instances of a class.

    The CSV file has the columns `z,y,x,label,instance`, voxel indices of the label; a row of `volumes` names it as
    `points`. With several `k` the smaller files are the first lines of the larger ones. Draw from what trains only:
    `region` and `exclude` are boxes `[[z0, y0, x0], [z1, y1, x1]]`, second corner exclusive, or lists of such boxes.

    Args:
        label: path of the label; `PATH::2` is a coarser level.
        k: number of points; several: `16,64,256`, each into a file of its own.
        output: CSV file; with several `k`, `points_16.csv` and so on for `points.csv`.
        region: where points may be drawn. Default: everywhere.
        exclude: where none is drawn, such as what validates.
        channels: of the target: 1: all that is above 0 is foreground, and values are instances; more: values are
            the classes 0 to `channels - 1`.
        classes: foreground classes to draw, `1,2`. Default: all.
        background: whether to draw background; `--nobackground` does not.
        instances: path of instance ids on the label's grid.
        mask: path of an array on the label's grid; where it is 0, nothing is drawn.
        ignore_label: value of the label that is unknown.
        seed: of the draw.
        dry_run: draw, and say what would be written, but write nothing.
        overwrite: replace files that exist.

    Returns:
        how many points and instances of each class there are in each file.

    Raises:
        FileExistsError: where a file exists.
        FileNotFoundError: where nothing is at a path.
        ValueError: where a class has fewer voxels than asked for; for options that do not fit.
    """
    numbers = sorted(set(_whole_numbers("k", k)))
    if Path(output).suffix != ".csv":
        raise ValueError(f"output: expected a name that ends in .csv, got {output}")
    files = {n: Path(output) if len(numbers) == 1 else _numbered(Path(output), n) for n in numbers}
    if not (overwrite or dry_run) and (existing := [path for path in files.values() if path.exists()]):
        raise FileExistsError(f"{existing[0]} exists; choose another output, or pass --overwrite to replace it")
    volume = open_volume(label)
    drawn = draw_points(
        volume,
        numbers[-1],
        channels=channels,
        classes=None if classes is None else _whole_numbers("classes", classes),
        background=background,
        instances=instances,
        mask=mask,
        ignore_label=ignore_label,
        regions=None if region is None else _boxes("region", region),
        exclude=() if exclude is None else _boxes("exclude", exclude),
        seed=seed,
    )
    if not dry_run:
        for n, path in files.items():
            write_points(path, drawn[:n])
    where = "everywhere" if region is None and exclude is None else "within the boxes given"
    lines = [f"{volume.path}: points drawn {where}, seed {seed}", "points  class  of it  instances  file"]
    for n, path in files.items():
        lines += _table(drawn[:n], path)
    return "\n".join([*lines, *(["dry run: nothing is written"] if dry_run else [])])


def _table(drawn: Sequence[Point], path: Path) -> list[str]:
    counts = Counter(point.label for point in drawn)
    instances = Counter(label for label, instance in {(point.label, point.instance) for point in drawn} if instance)
    return [
        f"{len(drawn):6d}  {label:5d}  {counts[label]:5d}  {instances[label]:9d}  {path}" for label in sorted(counts)
    ]


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}_{number}{path.suffix}")


def _whole_numbers(name: str, values: Any) -> list[int]:
    try:
        numbers = [int(value) for value in as_list(values)]
        if numbers and numbers == [float(value) for value in as_list(values)] and min(numbers) > 0:
            return numbers
    except (TypeError, ValueError):
        pass
    raise ValueError(f"{name} must be whole numbers above 0, such as 16,64; got {values!r}")


def _boxes(name: str, values: Any) -> list[Any]:
    """One box, or several, as a list of boxes."""
    try:
        depth = len(values[0]) and isinstance(values[0][0], int)
    except (TypeError, IndexError, KeyError):
        raise ValueError(
            f"{name} must be a box [[z0,y0,x0],[z1,y1,x1]] in voxels, or a list of boxes; got {values!r}"
        ) from None
    return [values] if depth else list(values)
