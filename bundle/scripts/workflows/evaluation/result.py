"""What an evaluation found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...metrics import CELLMAP_VERSION
from .measures import Column
from .rows import Row
from .tables import as_csv, as_json, as_text, format_number

CROP_FILE, CLASS_FILE, JSON_FILE, REPORT_FILE = "scores.csv", "summary.csv", "scores.json", "report.html"


@dataclass(frozen=True)
class Evaluation:
    """Scores of predictions; as text, the summary.

    Args:
        names: of the predictions.
        crops: a row for each crop, class and prediction.
        classes: a row for each class and prediction, over all crops.
        overall: score of the CellMap challenge by prediction; empty where it was not asked for.
        columns: what the numbers are.
        settings: what was asked for.
        folder: where the files are; `None`: nothing is written.
    """

    names: Sequence[str]
    crops: Sequence[Row]
    classes: Sequence[Row]
    overall: Mapping[str, float]
    columns: Mapping[str, Column]
    settings: Mapping[str, Any]
    folder: Path | None = None

    def __str__(self) -> str:
        lines = [as_text(self.classes, self.columns)]
        if self.overall:
            scores = ", ".join(f"{name} {format_number(score)}" for name, score in self.overall.items())
            lines.append(f"CellMap challenge {CELLMAP_VERSION}, overall: {scores}")
        if self.folder is not None:
            lines.append(f"written: {self.folder / REPORT_FILE}, {CROP_FILE}, {CLASS_FILE}, {JSON_FILE}")
        return "\n".join(lines)

    def write(self, folder: Path) -> None:
        """Write both tables as CSV, and all of it as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CROP_FILE).write_text(as_csv(self.crops, self.columns))
        (folder / CLASS_FILE).write_text(as_csv(self.classes, self.columns))
        content = {
            "settings": self.settings, "overall": self.overall, "classes": list(self.classes), "crops": list(self.crops)
        }  # fmt: skip
        (folder / JSON_FILE).write_text(as_json(content))
