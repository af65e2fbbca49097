"""Where predictions go."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..volumes import Volume, is_url
from ..volumes.paths import join, parents, repair_url

_NIFTI = (".nii.gz", ".nii")


def output_path(output: str | None, volume: Volume) -> str:
    """Where a volume's prediction goes.

    Raises:
        ValueError: where nobody says, or braces hold another word than `name`.
    """
    if output is None:
        raise ValueError("a volume needs 'output', the zarr group that the predictions are written to")
    try:
        named = output.format(name=volume.name)
    except (KeyError, IndexError, ValueError):
        raise ValueError(f"output '{output}': the only thing that may stand in braces is {{name}}") from None
    path = repair_url(named).rstrip("/").removesuffix(nifti_suffix(output))
    return path if path.endswith(".zarr") else f"{path}.zarr"


def nifti_suffix(output: str | None) -> str:
    """`.nii` or `.nii.gz` where an output asks for NIfTI, else nothing."""
    return next((suffix for suffix in _NIFTI if (output or "").endswith(suffix)), "")


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
