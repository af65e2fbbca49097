"""Where predictions go."""

from __future__ import annotations

from ..volumes import Volume
from ..volumes.paths import repair_url

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
