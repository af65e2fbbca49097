"""The scores of an evaluation as a JSON file."""

from __future__ import annotations

import json
import math
from pathlib import Path

from ignite.engine import Engine, Events


class ScoresFile:
    """Write the engine's metrics when it is done; a score that nothing was known for is `null`.

    Args:
        path: the file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        scores = {name: value if math.isfinite(value) else None for name, value in engine.state.metrics.items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(scores, indent=4, sort_keys=True) + "\n")
