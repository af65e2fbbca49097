"""The patches of an epoch's worst batches, to be looked at."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.utils.enums import CommonKeys

from ..geometry import Kind, TargetGrid, parse_targets
from ..viewers.dashboard_files import as_json, replace_text
from ..viewers.dashboard_slices import slice_atlases
from ..viewers.preview import preview_panels
from .nonfinite import batch_patches
from .optional_file import OptionalFile


class WorstPatches:
    """Write the patches of the batches with the highest loss of the last epoch: place, loss, middle slice.

    The loss is the batch's: the network is not asked twice. Of an epoch that goes on in its midst only the batches
    since then are looked at. Where a target is landmarks, the maximum along z stands for the slice. Of several
    processes each knows its own batches.

    Args:
        path: JSON file, replaced as a whole after each epoch.
        targets: the `targets` table.
        grid: where the targets lie if they have a grid of their own; the image is shown on it.
        count: patches at most.

    Raises:
        ValueError: for a count below 1.
    """

    def __init__(
        self, path: str | Path, targets: Mapping[str, Any], grid: TargetGrid | None = None, count: int = 12
    ) -> None:
        if not isinstance(count, int) or count < 1:
            raise ValueError(f"count must be a whole number of at least 1, got {count!r}")
        self.path = Path(path)
        self.targets = parse_targets(targets)
        self.grid = grid
        self.count = count
        self._file = OptionalFile()
        self._worst: list[tuple[float, int, list[dict[str, Any]]]] = []  # a heap: the least of them first

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._consider)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._write)

    def _start(self) -> None:
        self._worst = []

    def _consider(self, engine: Engine) -> None:
        output: Any = engine.state.output
        loss = float(output[CommonKeys.LOSS].detach())  # the curves' handler has waited for it already
        batch_size = max(1, min(len(output[CommonKeys.IMAGE]), self.count))
        n_batches = math.ceil(self.count / batch_size)
        if len(self._worst) == n_batches and loss <= self._worst[0][0]:
            return
        entry = (loss, -engine.state.iteration, self._patches(engine.state.batch, output))
        (heapq.heappush if len(self._worst) < n_batches else heapq.heapreplace)(self._worst, entry)

    def _patches(self, batch: Any, output: Mapping[Any, Any]) -> list[dict[str, Any]]:
        """The patches of a batch: where they lie, and what is drawn of them."""
        images, labels, predictions = (output[key] for key in (CommonKeys.IMAGE, CommonKeys.LABEL, CommonKeys.PRED))
        if self.grid is not None:
            images = torch.stack([self.grid.shown_image(image.cpu()) for image in images])
        predictions = {  # with deep supervision a list, full resolution first
            name: value[0] if isinstance(value, (list, tuple)) else value for name, value in predictions.items()
        }
        has_points = any(
            target.kind is Kind.POINTS and name in labels and labels[name].ndim == 3
            for name, target in self.targets.items()
        )

        def flat(values: torch.Tensor, sample: int) -> torch.Tensor:
            one = values[sample].detach()
            if one.ndim < 4:  # points N 3
                return one.cpu()
            middle = one.shape[1] // 2
            shown = one.amax(dim=1, keepdim=True) if has_points else one[:, middle : middle + 1]
            return shown.float().cpu()  # C D H W -> C 1 H W

        return [
            {
                "place": place,
                "slice": None if has_points else images.shape[2] // 2,
                "sample": {
                    "image": flat(images, n),
                    "labels": {name: flat(value, n) for name, value in labels.items()},
                    "predictions": {name: flat(value, n) for name, value in predictions.items()},
                },
            }
            for n, place in enumerate(batch_patches(batch)[: len(images)])
        ]

    def _write(self, engine: Engine) -> None:
        rows: list[dict[str, Any]] = []
        for loss, iteration, patches in sorted(self._worst, key=lambda entry: (-entry[0], -entry[1])):
            for patch in patches:
                upper, lower = preview_panels(targets=self.targets, **patch["sample"])
                rows.append(
                    {"loss": loss, "iteration": -iteration, "batch_size": len(patches), **patch["place"]}
                    | {"slice": patch["slice"], "atlas": slice_atlases([*upper, *lower])}
                )
        with self._file.written(self.path):
            replace_text(self.path, as_json({"epoch": engine.state.epoch, "patches": rows[: self.count]}))
        self._worst = []
