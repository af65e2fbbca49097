"""What the demo's report shows: scores, slices, curves, and what the run was."""

from __future__ import annotations

import csv
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..geometry import Target, parse_targets
from ..viewers import PictureSection, Score, grey, overlay, target_colours, write_report
from ..volumes import Volume, lattice, open_volume
from .config_values import at_most
from .demo_run import DemoRun
from .phantom import truth_box

AXES = "zyx"

SHEET, TRAINED, VALIDATED, BORDER = (240, 140, 0), (60, 150, 230), (200, 100, 200), (255, 255, 255)

WORST_ANGLE = 45.0
"""Angles from here on have the brightest colour, degrees."""

N_PREVIEWS = 4

_MEANINGS = {
    "sheet_dice": ("Sheet, Dice", "", "Overlap of predicted and true sheet: 1 is perfect, 0 is none."),
    "normals_angle": (
        "Normals, median angle",
        "°",
        "Half of the true sheet's voxels have a predicted normal closer than this: 0 is perfect, guessing gives 90.",
    ),
}

Patches = Sequence[Mapping[str, Any]]


def write_demo_report(run: DemoRun) -> Path:
    """Write `report.html` of a finished demo.

    Args:
        run: what was done.

    Returns:
        the report's path.
    """
    parser = run.parser()
    targets = parse_targets(parser.get_parsed_content("targets"))
    train, validation = parser.get_parsed_content("split")
    network = parser.get_parsed_content("network_def")
    labelled = _labelled_per_slice(open_volume(run.volume("sheet")))
    sections = [
        _unseen_sheet(run, targets["sheet"]),
        _unseen_normals(run, targets["normals"]),
        _whole_volume(run, targets["normals"]),
        _sparse_labels(run, labelled, train, validation),
        _previews(run.training_dir / "previews"),
    ]
    history = run.training_dir / "history.csv"
    return write_report(
        run.folder / "report.html",
        title="Polytome demo: a rolled sheet, from scan to prediction",
        introduction=(
            f"A phantom of a rolled sheet in a CT scanner, {_cube(run.size)}, was labelled in a few blocks only. One "
            "network learned two targets from these: where the sheet is, and which way its surface faces. Then it "
            "predicted the whole volume. Scores are of the last quarter of the slices, of which no voxel was labelled."
        ),
        scores=[_score(name, value) for name, value in run.scores.items()],
        pictures=sections,
        history=history,
        summary=[
            ("Time", "; ".join(f"{name} {seconds:.0f} s" for name, seconds in run.seconds.items())),
            ("Machine", f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"),
            ("Software", f"Python {platform.python_version()}, torch {torch.__version__}"),
            ("Volume", f"{_cube(run.size)}, {sum(labelled[0]) / run.size**3:.1%} labelled as sheet"),
            ("Patches", _describe_patches(train, validation)),
            ("Network", f"{sum(parameter.numel() for parameter in network.parameters()):,} parameters"),
            ("Training", _describe_training(history)),
        ],
        commands=run.commands,
    )


def _score(name: str, value: float) -> Score:
    title, unit, meaning = _MEANINGS.get(name, (name.replace("_", " "), "", ""))
    return Score(title, f"{value:.3g}{unit}" if value == value else "not defined", meaning)


def _unseen_sheet(run: DemoRun, target: Target) -> PictureSection:
    box = truth_box(run.size)
    raw, truth = open_volume(run.volume("raw")), open_volume(run.volume("truth_sheet"))
    prediction = open_volume(run.prediction / target.name)
    pictures = []
    for axis, at in enumerate(_middle(box)):
        scan = _scan(raw, axis, at, box)
        pictures += [
            (f"{AXES[axis]} = {at}, scan", scan),
            ("truth", overlay(scan, _plane(truth, axis, at, box)[0] > 0, SHEET)),
            ("prediction", overlay(scan, _plane(prediction, axis, at, box)[0], SHEET)),
        ]
    return PictureSection(
        "Sheet, where nothing was labelled",
        "Slices along z, y and x through the region never labelled. The stronger the colour, the surer the network.",
        pictures,
        legend=[(SHEET, "sheet")],
    )


def _unseen_normals(run: DemoRun, target: Target) -> PictureSection:
    box = truth_box(run.size)
    truth, prediction = open_volume(run.volume("truth_normals")), open_volume(run.prediction / target.name)
    sheet = open_volume(run.prediction / "sheet")
    angle_target = parse_targets({"angle": {"channels": 1, "kind": "scalar"}})["angle"]
    pictures = []
    for axis, at in enumerate(_middle(box)):
        true, predicted = _plane(truth, axis, at, box), _plane(prediction, axis, at, box)
        angles = np.where(true.any(axis=0), _angles(true, predicted), np.nan)[None]  # H W -> 1 H W
        pictures += [
            (f"{AXES[axis]} = {at}, truth", target_colours(true, target)),
            ("prediction", target_colours(np.where(_plane(sheet, axis, at, box) > 0.5, predicted, 0), target)),
            ("angle", target_colours(angles, angle_target, (0, WORST_ANGLE))),
        ]
    degrees = np.linspace(0, WORST_ANGLE, 4)
    colours = target_colours(degrees[None], angle_target, (0, WORST_ANGLE))  # 1 N -> N 3
    steps = [f"angle {d:.0f}°{' or more' if d == WORST_ANGLE else ''}" for d in degrees]
    return PictureSection(
        "Normals, where nothing was labelled",
        "Which way the surface faces. Predictions are shown on the predicted sheet, angles between the two on the true "
        "one.",
        pictures,
        legend=[
            *(((255, 0, 0), "along z"), ((0, 255, 0), "along y"), ((0, 0, 255), "along x")),
            *((_colour(colour), step) for colour, step in zip(colours, steps, strict=True)),
        ],
    )


def _whole_volume(run: DemoRun, normals: Target) -> PictureSection:
    box = ([0, 0, 0], [run.size] * 3)
    raw, sheet = open_volume(run.volume("raw")), open_volume(run.prediction / "sheet")
    directions = open_volume(run.prediction / normals.name)
    pictures = []
    for axis, at in enumerate(_middle(box)):
        scan, found = _scan(raw, axis, at, box), _plane(sheet, axis, at, box)
        values = np.where(found > 0.5, _plane(directions, axis, at, box), 0)
        pictures += [
            (f"{AXES[axis]} = {at}, scan", _mark_border(scan, axis, run.size)),
            ("sheet", _mark_border(overlay(scan, found[0], SHEET), axis, run.size)),
            ("normals", _mark_border(target_colours(values, normals), axis, run.size)),
        ]
    return PictureSection(
        "The whole volume",
        "Predicted window by window from the store. Below the white line nothing was labelled.",
        pictures,
    )


def _sparse_labels(run: DemoRun, labelled: Sequence[np.ndarray], train: Patches, validation: Patches) -> PictureSection:
    box = ([0, 0, 0], [run.size] * 3)
    raw, sheet = open_volume(run.volume("raw")), open_volume(run.volume("sheet"))
    pictures = []
    for axis, counts in enumerate(labelled):
        at = int(np.argmax(counts))
        picture = _scan(raw, axis, at, box)
        for patches, colour in ((train, TRAINED), (validation, VALIDATED)):
            picture = overlay(picture, 0.5 * _inside_any(patches, axis, at, run.size), colour)
        picture = overlay(picture, _plane(sheet, axis, at, box)[0] > 0, SHEET)
        pictures.append((f"{AXES[axis]} = {at}", _mark_border(picture, axis, run.size)))
    return PictureSection(
        "What was labelled",
        "The slices with most labels. Patches that train and patches that validate share no voxel; below the white "
        "line nothing was labelled.",
        pictures,
        legend=[(SHEET, "labelled sheet"), (TRAINED, "training patches"), (VALIDATED, "validation patches")],
    )


def _previews(folder: Path) -> PictureSection:
    files = at_most(sorted(folder.glob("epoch_*.png")), N_PREVIEWS)
    return PictureSection(
        "Learning",
        "The same validation patch after some epochs; normals as in the pictures above.",
        [(f"epoch {int(file.stem.removeprefix('epoch_'))}", file.read_bytes()) for file in files],
        columns=2,
        large=True,
    )


def _labelled_per_slice(sheet: Volume) -> list[np.ndarray]:
    """Labelled voxels of every slice along z, y and x; read block by block."""
    counts = [np.zeros(n, np.int64) for n in sheet.spatial_shape]
    for start, size in lattice(sheet.spatial_shape, sheet.chunks):
        labelled = sheet.read(start, size)[0] > 0  # 1 D H W -> D H W
        for axis in range(3):
            others = tuple(other for other in range(3) if other != axis)
            counts[axis][start[axis] : start[axis] + size[axis]] += labelled.sum(axis=others)
    return counts


def _plane(volume: Volume, axis: int, at: int, box: tuple[Sequence[int], Sequence[int]]) -> np.ndarray:
    """Values of a slice across an axis within a box, C H W."""
    start, stop = list(box[0]), list(box[1])
    start[axis], stop[axis] = at, at + 1
    block = volume.read(start, [b - a for a, b in zip(start, stop, strict=True)])
    return volume.decode(block).squeeze(axis + 1)  # C D H W -> C and the two other axes


def _scan(raw: Volume, axis: int, at: int, box: tuple[Sequence[int], Sequence[int]]) -> np.ndarray:
    return grey(_plane(raw, axis, at, box)[0])  # 1 H W -> H W 3


def _middle(box: tuple[Sequence[int], Sequence[int]]) -> list[int]:
    return [(low + high) // 2 for low, high in zip(*box, strict=True)]


def _angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angles between vectors 3 H W, in degrees H W.

    Stored vectors are rounded and not quite of unit length, which an arc cosine would take for an angle.
    """
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b, axis=0), axis=0), (a * b).sum(axis=0)))


def _mark_border(picture: np.ndarray, axis: int, size: int) -> np.ndarray:
    """Draw the first slice of the region never labelled into a picture whose rows are z."""
    if axis == 0:
        return picture
    marked = picture.copy()
    marked[truth_box(size)[0][0]] = BORDER
    return marked


def _inside_any(patches: Patches, axis: int, at: int, size: int) -> np.ndarray:
    """Where a slice of a cube meets any of the patches, H W bool."""
    inside = np.zeros((size, size), bool)
    for patch in patches:
        if patch["start"][axis] <= at < patch["start"][axis] + patch["size"][axis]:
            rows, columns = (
                slice(max(low, 0), low + n)
                for other, (low, n) in enumerate(zip(patch["start"], patch["size"], strict=True))
                if other != axis
            )
            inside[rows, columns] = True
    return inside


def _colour(rgb: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rgb)
    return red, green, blue


def _cube(size: int) -> str:
    return f"{size} x {size} x {size} voxels"


def _describe_patches(train: Patches, validation: Patches) -> str:
    size = " x ".join(str(n) for n in train[0]["size"])
    return f"{len(train)} for training and {len(validation)} for validation, {size} voxels each"


def _describe_training(history: Path) -> str:
    with history.open(newline="") as file:
        rows = list(csv.DictReader(file))
    best = max(rows, key=lambda row: float(row.get("val_score") or "-inf"))
    return (
        f"{rows[-1]['epoch']} epochs, {rows[-1]['iteration']} iterations; best validation score "
        f"{float(best['val_score']):.3f} after epoch {best['epoch']}, whose weights were used"
    )
