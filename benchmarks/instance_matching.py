"""What scoring objects costs, against a loop over the objects.

Truth: cells around random points. Prediction: the same, one voxel off along each axis, with every tenth cell merged
with another one and a cut through all of them. Measured:

- matching: the table of overlaps and the one-to-one matching at IoU 0.5;
- all scores: the table, matchings at IoU 0.1 and at the ten thresholds of mean average precision, variation of
  information and adapted Rand;
- cellmap: CellMap's counts of this crop, with the Hausdorff distances of all pairs.

The loop takes each true object's mask, the predicted ids in it and their sizes, as it is often written; it is
measured over some of the objects and stands for all of them by their number. Its IoUs are checked against the table's.
It makes no matching and no distances: the ratio of `cellmap` compares more work with less.

Run: python benchmarks/instance_matching.py [--objects 5000] [--size 256] [--looped 50] [--repeats 3]
Prints a table, ratio (loop / function) first, and writes benchmarks/results/instance_matching.json. Medians count.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import fire
import harness
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from scripts.metrics import (
    Contingency,
    adapted_rand,
    cellmap_instance_counts,
    match_objects,
    mean_average_precision,
    variation_of_information,
)

NAME = "instance_matching"
GOAL_S = 60  # of the matching
STEP = 4  # voxels of a cell that are drawn together
Labels = NDArray[np.integer]


def main(objects: int = 5000, size: int = 256, looped: int = 50, repeats: int = 3) -> None:
    """Measure, print and write.

    Args:
        objects: number of true cells, of which those without voxels fall away.
        size: edge of the volume, voxels, a multiple of 4.
        looped: number of objects over which the loop is measured.
        repeats: of each function.
    """
    truth = cells(objects, size)
    prediction = predicted(truth)
    ids = np.unique(truth[truth != 0])
    sample = np.random.default_rng(0).choice(ids, min(looped, len(ids)), replace=False)
    start = time.perf_counter()
    loop = ious(prediction, truth, sample)
    loop_s = (time.perf_counter() - start) * len(ids) / len(sample)
    check(loop, prediction, truth)
    rows: list[dict[str, Any]] = []
    for name, function in FUNCTIONS.items():
        seconds = float(np.median([timed(function, prediction, truth) for _ in range(repeats)]))
        rows.append({"loop / function": loop_s / seconds, "scores": name, "seconds": seconds, "loop_s": loop_s})
    matched = match_objects(prediction, truth).counts
    title = f"{harness.machine()}; {len(ids)} objects in {size}^3, {matched.true_positives} matched at IoU 0.5"
    harness.print_table(f"{title}; goal of the matching: {GOAL_S} s", rows)
    harness.write_results(NAME, {"machine": harness.machine(), "objects": len(ids), "size": size, "rows": rows})


def cells(count: int, size: int) -> Labels:
    """Cells around random points, with gaps between them."""
    points = np.random.default_rng(0).random((count, 3)) * size
    coarse = np.indices((size // STEP,) * 3).reshape(3, -1).T * STEP + (STEP - 1) / 2
    distance, nearest = KDTree(points).query(coarse, workers=2)
    inside = distance < 0.6 * size / count ** (1 / 3)
    labels = np.where(inside, nearest + 1, 0).astype(np.uint32).reshape((size // STEP,) * 3)
    return labels.repeat(STEP, 0).repeat(STEP, 1).repeat(STEP, 2)


def predicted(truth: Labels) -> Labels:
    """Cells with faults."""
    prediction = np.roll(truth, (1, 1, 1), (0, 1, 2))
    prediction[prediction % 10 == 3] += 1
    prediction[:, :, truth.shape[2] // 2] = 0
    return prediction


def ious(prediction: Labels, truth: Labels, ids: Labels) -> dict[tuple[int, int], float]:
    """IoU of true objects with all predicted ones that they overlap, by predicted and true id."""
    found = {}
    for true in ids.tolist():
        mask = truth == true
        names, counts = np.unique(prediction[mask], return_counts=True)
        for name, both in zip(names.tolist(), counts.tolist(), strict=True):
            if name:
                union = int(mask.sum()) + int((prediction == name).sum()) - both
                found[name, true] = both / union
    return found


def check(loop: dict[tuple[int, int], float], prediction: Labels, truth: Labels) -> None:
    """Check that matching reports the IoUs of the loop.

    Raises:
        RuntimeError: where one differs.
    """
    looped = {true for _, true in loop}
    matching = match_objects(prediction, truth)
    for *pair, iou in zip(matching.prediction_ids.tolist(), matching.truth_ids.tolist(), matching.iou, strict=True):
        if pair[1] in looped and loop.get(tuple(pair)) != iou:
            raise RuntimeError(f"IoU of {pair}: {iou} of the matching, {loop.get(tuple(pair))} by the loop")


def timed(function: Callable[[Labels, Labels], Any], prediction: Labels, truth: Labels) -> float:
    start = time.perf_counter()
    function(prediction, truth)
    return time.perf_counter() - start


def all_scores(prediction: Labels, truth: Labels) -> None:
    table = Contingency.of(prediction, truth)
    match_objects(table, threshold=0.1)
    mean_average_precision(table)
    variation_of_information(table)
    adapted_rand(table)


FUNCTIONS: dict[str, Callable[[Labels, Labels], Any]] = {
    "matching": match_objects,
    "all scores": all_scores,
    "cellmap": lambda prediction, truth: cellmap_instance_counts(prediction, truth, (8, 4, 4)),
}


if __name__ == "__main__":
    fire.Fire(main)
