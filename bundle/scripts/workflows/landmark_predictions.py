"""Landmarks of a list of images, by one network or several: from the `volumes` table to tables of results."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events, RemovableEventHandle
from monai.engines import SupervisedEvaluator
from monai.utils.enums import CommonKeys
from torch import nn

from ..engines import PrepareVolume
from ..geometry import IMAGE_KEY
from ..inferers import LandmarkInferer, LandmarkPrediction, load_member
from ..landmarks import scale_points
from ..patches import EXTRA_KEY, ID_KEY
from ..volumes import Volume
from .landmark_images import NAMES_KEY, TRUTH_KEY, UNIT_KEY, LandmarkImages, distinct_names, landmark_inputs
from .landmark_results.case import LandmarkCase
from .landmark_results.pictures import write_heatmap_picture
from .landmark_results.results import BINS, LandmarkResults

logger = logging.getLogger(__name__)

__all__ = [
    "CollectLandmarks",
    "LandmarkImages",
    "checkpoint_files",
    "landmark_case",
    "landmark_evaluator",
    "landmark_inputs",
    "predict_after_training",
    "predict_landmarks",
]


class CollectLandmarks:
    """Hand what an evaluator has predicted for each image to `LandmarkResults`, and write these at its end.

    Args:
        results: where it goes.
        debug: whether a picture of each image's heatmaps is written, too, into the folder `heatmaps`.

    Attributes:
        summary: over all landmarks, once the results are written.
    """

    def __init__(self, results: LandmarkResults, debug: bool = False) -> None:
        self.results = results
        self.debug = debug
        self.summary: dict[str, Any] = {}

    def attach(self, engine: Engine) -> list[RemovableEventHandle]:
        """Add this to an evaluator; the handles take it away again."""
        return [
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._add),
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._write),
        ]

    def _add(self, engine: Engine) -> None:
        batch: Any = engine.state.batch
        prediction: LandmarkPrediction = engine.state.output[CommonKeys.PRED]  # type: ignore[index]
        case = landmark_case(batch, prediction)
        image = prediction.image[0].numpy()
        self.results.add(case, image)
        if self.debug:
            file = re.sub(r"[^\w.-]+", "_", case.name)
            path = self.results.directory / "heatmaps" / f"{file}.png"
            truth = np.full_like(case.prediction, np.nan) if case.truth is None else case.truth
            spacing = np.array(case.spacing) * case.grid_shape / image.shape
            write_heatmap_picture(
                path, image, prediction.heatmaps.numpy(), case.rescaled(truth, image.shape), spacing.tolist()
            )
        error = case.overall_error()
        logger.info("%s: %s", case.name, "predicted" if np.isnan(error) else f"mean error {error:.3g} voxels")

    def _write(self, engine: Engine) -> None:
        self.summary = self.results.write()
        numbers = {key: value for key, value in self.summary.items() if isinstance(value, int | float)}
        engine.state.metrics.update(numbers)
        logger.info("results: %s", self.results.directory / "report.html")


def landmark_case(datum: Mapping[str, Any], prediction: LandmarkPrediction) -> LandmarkCase:
    """What the tables of results take, of one image.

    Args:
        datum: as `LandmarkImages` has it.
        prediction: for it.

    Raises:
        ValueError: for landmarks of another number than the network finds; names the image.
    """
    volume: Volume = datum[IMAGE_KEY][0]
    grid, full = prediction.grid_shape, volume.spatial_shape
    factor = np.array(full) / np.array(grid)
    z, y, x = (float(n) for n in np.array(volume.spacing) * factor)
    # the outer edges of both grids are the same
    at = [t + (new - old) / 2 for t, old, new in zip(volume.translation, volume.spacing, (z, y, x), strict=True)]
    truth = datum[TRUTH_KEY]
    if truth is not None and grid != full:
        truth = scale_points(torch.from_numpy(truth), full, grid).numpy()
    count = len(prediction.heatmaps)
    names = datum[NAMES_KEY] or [str(n + 1) for n in range(count)]
    if len(names) != count:
        raise ValueError(f"{datum[ID_KEY]}: has {len(names)} landmarks; the network finds {count}")
    return LandmarkCase(
        name=datum[ID_KEY],
        path=volume.path,
        shape=full,
        grid_shape=grid,
        input_shape=tuple(prediction.heatmaps.shape[1:]),  # type: ignore[arg-type]
        spacing=(z, y, x),
        unit=datum[UNIT_KEY],
        landmarks=names,
        truth=truth,
        found=prediction.found,
        members=prediction.members,
        columns=prediction.columns,
        extra=datum[EXTRA_KEY],
        translation=(at[0], at[1], at[2]),
    )


def landmark_evaluator(
    rows: Sequence[Mapping[str, Any]],
    network: nn.Module,
    inferer: LandmarkInferer,
    device: torch.device,
    names: Sequence[str] | None = None,
    spacing: Sequence[float] | None = None,
    unit: str | None = None,
) -> SupervisedEvaluator:
    """An evaluator that finds the landmarks of images, one after the other.

    Args:
        rows: see `LandmarkImages`.
        network: see `LandmarkInferer`.
        inferer: finds them.
        device: where the network is.
        names, spacing, unit: see `LandmarkImages`.
    """
    images = LandmarkImages(rows, names, spacing, unit)
    loader = torch.utils.data.DataLoader(images, batch_size=1, num_workers=0, collate_fn=_the_only)
    return SupervisedEvaluator(
        device=device,
        val_data_loader=loader,
        network=network,
        prepare_batch=PrepareVolume(),
        inferer=inferer,
        decollate=False,
    )


def predict_landmarks(
    evaluator: SupervisedEvaluator,
    weights: str | Path | Sequence[str | Path],
    results_dir: str | Path,
    *,
    ensemble: bool = False,
    debug: bool = False,
    **options: Any,
) -> dict[str, dict[str, Any]]:
    """Find landmarks with one checkpoint, with an ensemble, or with each of several checkpoints by itself.

    Args:
        evaluator: of `landmark_evaluator`.
        weights: a file, a list of files, or a folder: all its `.pt` files.
        results_dir: gets the results; of several checkpoints each gets a folder of its own there, named like its file.
        ensemble: whether several files are the members of one ensemble.
        debug: see `CollectLandmarks`.
        options: of `LandmarkResults`.

    Returns:
        the summary over all landmarks, by checkpoint; that of an ensemble, or of one file, under "".

    Raises:
        FileNotFoundError: where there are no weights.
        ValueError: for weights of another network, and a file that is given twice.
    """
    files = checkpoint_files(weights)
    inferer: Any = evaluator.inferer
    names = distinct_names(files)
    if len(set(names)) < len(names):
        raise ValueError(f"weights: a file is named twice in {', '.join(map(str, files))}")
    runs = (
        {"": dict(zip(names, files, strict=True))}
        if ensemble or len(files) == 1
        else {name: {name: file} for name, file in zip(names, files, strict=True)}
    )
    summaries: dict[str, dict[str, Any]] = {}
    try:
        for run, members in runs.items():
            inferer.members = {
                name: load_member(evaluator.network, file).to(evaluator.state.device) for name, file in members.items()
            }
            handler = CollectLandmarks(LandmarkResults(Path(results_dir) / run, **options), debug)
            handles = handler.attach(evaluator)
            try:
                evaluator.run()
            finally:
                for handle in handles:
                    handle.remove()
            summaries[run] = handler.summary
    finally:
        inferer.members = None
    return summaries


def predict_after_training(
    evaluator: SupervisedEvaluator,
    test_evaluator: SupervisedEvaluator,
    weights: str | Path,
    results_dir: str | Path,
    **options: Any,
) -> None:
    """Predict what validated, fit bins of uncertainty on that, and predict what is to be tested.

    Args:
        evaluator: of the images that validated, of which there may be none.
        test_evaluator: of those to be tested, likewise.
        weights: of the best model.
        results_dir: gets the folders `validation` and `test`.
        options: of `predict_landmarks`.
    """
    root = Path(results_dir)
    bins = root / "validation" / BINS
    if evaluator.state.epoch_length:
        predict_landmarks(evaluator, weights, root / "validation", fit_bins=True, **options)
    else:
        bins.unlink(missing_ok=True)  # of an earlier run
    if test_evaluator.state.epoch_length:
        predict_landmarks(test_evaluator, weights, root / "test", bins=bins if bins.is_file() else None, **options)


def checkpoint_files(weights: str | Path | Sequence[str | Path]) -> list[Path]:
    """Files of weights: one, several, or those of a folder.

    Raises:
        FileNotFoundError: where one is missing, and for a folder without any.
    """
    if not isinstance(weights, str | Path):
        several = [Path(one) for one in weights]
    elif Path(weights).is_dir():
        several = sorted(Path(weights).glob("*.pt"))
    else:
        several = [Path(weights)]
    missing = [str(file) for file in several if not file.is_file()]
    if missing or not several:
        raise FileNotFoundError(
            f"no weights: {', '.join(missing)} do not exist" if missing else f"no weights: {weights} has no .pt files"
        )
    return several


def _the_only(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return items[0]
