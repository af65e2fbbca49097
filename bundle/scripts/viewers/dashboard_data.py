"""What the dashboard shows of a run, read from the folder that the run writes to."""

from __future__ import annotations

import base64
import re
import time
from pathlib import Path
from typing import Any

from .curves import history_charts
from .dashboard_files import (
    HISTORY_FILE,
    PREVIEW_FOLDER,
    RECORD_FILE,
    SLICES_SUFFIX,
    STEPS_FILE,
    WORST_FILE,
    file_inside,
    read_json,
    read_steps,
)
from .dashboard_state import run_state

_PREVIEW = re.compile(rf"epoch_(\d+)(?:{re.escape(SLICES_SUFFIX)}|\.png)")


class RunFolder:
    """A run's folder, read anew at every question; what is not there yet is left out.

    Args:
        folder: the run's `output_dir`.

    Raises:
        FileNotFoundError: where there is no such folder, or nothing of a run in it.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).resolve()
        if not self.folder.is_dir():
            raise FileNotFoundError(f"{folder} is no folder; give the output_dir of a training")
        if not any((self.folder / name).exists() for name in (RECORD_FILE, HISTORY_FILE, PREVIEW_FOLDER)):
            raise FileNotFoundError(
                f"{folder} has no {RECORD_FILE}, {HISTORY_FILE} or {PREVIEW_FOLDER}: it is not the output_dir of a "
                "training, or of one that has not begun"
            )
        self.name = f"{self.folder.parent.name}/{self.folder.name}"

    def summary(self) -> dict[str, Any]:
        """All but pictures: name, state, record, curves, steps, epochs with previews, the worst patches' time."""
        record, now, seen = read_json(self.folder, RECORD_FILE), time.time(), self._last_sign()
        return {
            "name": self.name,
            "folder": str(self.folder),
            "now": now,
            "seen": seen,
            "state": run_state(record, seen, now),
            "record": record or {},
            **self._curves(),
            "steps": self._steps(),
            "previews": self.preview_epochs(),
            "worst": self._changed(WORST_FILE),
        }

    def preview_epochs(self) -> list[int]:
        """Epochs that have a preview, with slices or, of older runs, as one picture."""
        folder = self.folder / PREVIEW_FOLDER
        if not folder.is_dir() or not folder.resolve().is_relative_to(self.folder):
            return []
        return sorted({int(found[1]) for path in folder.iterdir() if (found := _PREVIEW.fullmatch(path.name))})

    def preview(self, epoch: int) -> dict[str, Any] | None:
        """Atlases of an epoch's panels (see `slice_atlases`); of an older run `{"picture": data URL}`."""
        stem = f"epoch_{epoch:04d}"
        atlases = read_json(self.folder, PREVIEW_FOLDER, stem + SLICES_SUFFIX)
        if atlases is not None:
            return atlases
        picture = file_inside(self.folder, PREVIEW_FOLDER, f"{stem}.png")
        if picture is None:
            return None
        return {"picture": f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"}

    def worst_patches(self) -> dict[str, Any] | None:
        """`epoch` and `patches` of `worst_patches.json`."""
        return read_json(self.folder, WORST_FILE)

    def _curves(self) -> dict[str, Any]:
        path = file_inside(self.folder, HISTORY_FILE)
        try:
            epochs, charts = ([], []) if path is None else history_charts(path)
        except (OSError, ValueError, KeyError, TypeError):  # empty, or being written this moment
            epochs, charts = [], []
        shown = [{"title": chart.title, "label": chart.y_label, "series": chart.series} for chart in charts]
        return {"epochs": epochs, "charts": shown}

    def _steps(self) -> list[tuple[int, float]]:
        path = file_inside(self.folder, STEPS_FILE)
        return [] if path is None else read_steps(path)

    def _changed(self, *names: str) -> float | None:
        path = file_inside(self.folder, *names)
        return None if path is None else path.stat().st_mtime

    def _last_sign(self) -> float | None:
        times = [self._changed(name) for name in (RECORD_FILE, STEPS_FILE, HISTORY_FILE)]
        return max((one for one in times if one is not None), default=None)
