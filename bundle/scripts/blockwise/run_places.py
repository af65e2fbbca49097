"""Where a run keeps what belongs to its output."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..volumes import is_url
from ..volumes.paths import join, parents


def run_folder_path(output: str, scratch: str | None) -> str:
    """Where a run keeps what it needs to go on: beside its output, or in `scratch` under a name of its own."""
    if scratch is None:
        return f"{output.removesuffix('.zarr')}.run"
    place = output if is_url(output) else str(Path(output).absolute())
    mark = hashlib.sha256(place.encode()).hexdigest()[:8]
    return join(scratch, f"{output.rpartition('/')[2].removesuffix('.zarr')}-{mark}.run")


def report_place(output: str) -> tuple[str, str]:
    """Folder and name of the report on a run: beside its output; of a URL that has no beside, in it."""
    if not is_url(output):
        path = Path(output)
        return str(path.parent), f"{path.name.removesuffix('.zarr')}.json"
    places = parents(output, 1)
    return (places[0][0], f"{places[0][1].removesuffix('.zarr')}.json") if places else (output, "report.json")
