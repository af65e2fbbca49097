"""How good the segmentations are that come from predicted affinities, or from a predicted foreground."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...geometry import did_you_mean
from ...metrics import Contingency, adapted_rand, variation_of_information
from ...volumes import Volume, create_ome_zarr, open_volume
from .validation_steps import Steps, segment_affinities, segment_foreground

logger = logging.getLogger(__name__)

Array = NDArray[Any]

AFFINITIES, FOREGROUND = "affinities", "foreground"
_PREDICTIONS = (AFFINITIES, FOREGROUND)


def validate_samples(
    samples: Sequence[Mapping[str, Any]],
    metrics: str | Path,
    *,
    prediction: str = AFFINITIES,
    thresholds: Sequence[float] = (0.5,),
    per_slice: bool = False,
    has_background: bool = False,
    seed: int = 0,
) -> dict[str, float]:
    """Segment predictions for several thresholds, and compare the segmentations with the truth.

    Affinities become a boundary, a distance, seeds, fragments by watershed, and segments by agglomeration; a
    foreground is cut at the threshold into connected components. The table has a row per threshold: variation of
    information in bits (0 is best) and the shares of voxel pairs that stay together, as `adapted_rand` has them (1 is
    best), in two parts each, averaged over the samples; of a foreground also its Dice. All of a sample is in memory.

    Into the store of each sample go the truth, the segmentation of the best threshold (see `best_row`), and every step
    on the way to it.

    Args:
        samples: rows with `store`, the zarr group that holds the prediction; `truth`, path of ids; and perhaps
            `region`, the box [[z, y, x], [z, y, x]] of the truth that was predicted.
        metrics: CSV file to write.
        prediction: name of the image in the store: `"affinities"` or `"foreground"`.
        thresholds: boundary strengths up to which fragments are merged; probabilities of the foreground.
        per_slice: whether each z slice is a sample by itself; affinities are then along y and x.
        has_background, seed: see `segment_affinities`.

    Returns:
        the best row of the table.

    Raises:
        FileNotFoundError: where a store or a truth is missing.
        ValueError: for a prediction that there is not, shapes that differ, and where there are no samples.
    """
    if prediction not in _PREDICTIONS:
        raise ValueError(
            f"prediction: expected one of {', '.join(_PREDICTIONS)}; got {prediction!r}"
            f"{did_you_mean(str(prediction), _PREDICTIONS)}"
        )
    if not samples or not thresholds:
        raise ValueError(f"expected at least one sample and one threshold, got {len(samples)} and {list(thresholds)}")
    levels = sorted({float(threshold) for threshold in thresholds})
    measured: dict[float, list[dict[str, float]]] = {level: [] for level in levels}
    segmented = []
    for sample in samples:
        image = open_volume(f"{str(sample['store']).rstrip('/')}/{prediction}")
        truth = _truth(sample, image)
        values = image.decode(image.read((0, 0, 0), image.spatial_shape))
        parts = _segment(values, image.spacing, levels, prediction, per_slice, has_background, seed)
        for part, own in zip(parts, truth if per_slice else [truth], strict=True):
            for level in levels:
                measured[level].append(measure(part.segmentations[level], own, prediction == FOREGROUND))
        segmented.append((sample, image, truth, parts))
    table = [{"threshold": level} | _mean(rows) for level, rows in measured.items()]
    best = best_row(table)
    for sample, image, truth, parts in segmented:
        _write_sample(str(sample["store"]), image, truth, parts, best["threshold"], per_slice)
    _write_table(table, Path(metrics))
    logger.info("%s: %s", metrics, ", ".join(f"{name} {value:.4g}" for name, value in best.items()))
    return best


def best_row(table: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The row of the best threshold: of the highest `dice`, where there is one, else of the lowest `voi_sum`.

    The variation of information does not see the background, and so not what is taken for foreground there.
    """
    if "dice" in table[0]:
        return dict(max(table, key=lambda row: row["dice"]))
    return dict(min(table, key=lambda row: row["voi_sum"]))


def measure(segmentation: Array, truth: Array, is_foreground: bool = False) -> dict[str, float]:
    """Scores of one sample.

    Args:
        segmentation: ids of any shape.
        truth: ids of the same shape; voxels with 0 count for Dice alone.
        is_foreground: whether to add the Dice of all objects together; 1 where there is none in either.
    """
    table = Contingency.of(segmentation, truth)
    split, merge = variation_of_information(table)
    rand = adapted_rand(table)
    scores = {
        "voi_split": split, "voi_merge": merge, "voi_sum": split + merge,
        "rand_split": rand.recall, "rand_merge": rand.precision,
    }  # fmt: skip
    if is_foreground:
        both = np.count_nonzero((segmentation > 0) & (truth > 0))
        all_voxels = np.count_nonzero(segmentation) + np.count_nonzero(truth)
        scores["dice"] = 2 * both / all_voxels if all_voxels else 1.0
    return scores


def _truth(sample: Mapping[str, Any], image: Volume) -> Array:
    """Ids D H W of what was predicted.

    Raises:
        ValueError: where the shape is another one.
    """
    truth = open_volume(str(sample["truth"]))
    first, stop = sample.get("region") or ((0, 0, 0), truth.spatial_shape)
    size = [int(end) - int(start) for start, end in zip(first, stop, strict=True)]
    if tuple(size) != image.spatial_shape:
        raise ValueError(
            f"{image.path} has {list(image.spatial_shape)} voxels, but the truth {truth.path} {size}"
            f"{' in the region' if sample.get('region') else ''}; give the region that was predicted"
        )
    return truth.read(first, size)[0]  # 1 D H W -> D H W


def _segment(
    values: Array,
    spacing: Sequence[float],
    levels: Sequence[float],
    prediction: str,
    per_slice: bool,
    has_background: bool,
    seed: int,
) -> list[Steps]:
    """Steps of a volume, or of each of its slices; `values` are C D H W."""
    if prediction == FOREGROUND:
        if len(values) > 2:
            raise ValueError(f"expected a foreground of 1 channel, or background and foreground, got {len(values)}")
        return [segment_foreground(part, levels) for part in (values[-1] if per_slice else [values[-1]])]
    if not per_slice:
        return [segment_affinities(values, spacing, levels, has_background=has_background, seed=seed)]
    return [
        segment_affinities(values[:, z], spacing[1:], levels, has_background=has_background, seed=(seed, z))
        for z in range(values.shape[1])
    ]


def _mean(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}


def _write_sample(
    store: str, image: Volume, truth: Array, parts: Sequence[Steps], threshold: float, per_slice: bool
) -> None:
    """Write truth, segmentation and steps as images beside the prediction."""
    every = [{**part.arrays, "segmentation": part.segmentations[threshold]} for part in parts]
    joined = {name: np.stack([one[name] for one in every]) if per_slice else every[0][name] for name in every[0]}
    for name, array in {**joined, "truth": truth}.items():
        writer = create_ome_zarr(
            f"{store.rstrip('/')}/{name}",
            (1, *array.shape),
            array.dtype,
            spacing=image.spacing,
            translation=image.translation,
            unit=image.unit,
            attributes={"polytome": {"threshold": threshold}} if name == "segmentation" else None,
            overwrite=True,
        )
        writer.write((0, 0, 0), array[None])  # D H W -> 1 D H W


def _write_table(rows: Sequence[Mapping[str, float]], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    partial.replace(path)
