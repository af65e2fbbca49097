"""Normals as the old programs stored them: how to make them readable here."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np

from ...volumes import NORMAL_UINT16, is_url, open_volume
from .task_file import Findings


def advise_on_normals(findings: Findings) -> None:
    """Say what to run where normals are stored as the old programs had them: uint16 that does not say what it means.

    Where arrays must be written anew, `volumes` names the new ones.
    """
    settings = findings.settings
    normals = [name for name, row in settings["targets"].items() if row["kind"] == "normal"]
    for volume in settings["volumes"]:
        for name in normals:
            if name in volume:
                advice, volume[name] = _normals_advice(name, str(volume[name]))
                findings.advice += advice
    if normals:
        findings.advice.append(
            f"{', '.join(normals)}: components must be in the order z, y, x; no task file says theirs"
        )


def _normals_advice(name: str, path: str) -> tuple[list[str], str]:
    """What to run for an array of normals, and the path where they are then."""
    attributes = str(NORMAL_UINT16.as_attributes()).replace("'", '"')
    state = _python(f'zarr.open({_quoted(path)}, mode="r+").attrs.update({attributes})')
    if is_url(path):
        return [f"{name}: if {path} holds uint16, its encoding must be stated: {state}"], path
    try:
        volume = open_volume(path)
    except (OSError, ValueError):
        return [f"{name}: {path} cannot be opened here; if it holds uint16, state its encoding first: {state}"], path
    if volume.encoding is not None or volume.dtype != np.uint16:
        return [], path
    if volume.channels == 3:
        return [f"{name}: {path} does not say how uint16 stands for -1 to 1; state it first: {state}"], path
    moved = f"{path.rstrip('/').removesuffix('.zarr')}_czyx.zarr"
    if volume.spatial_shape[-1] != 3 or Path(moved).exists():
        return [], moved if Path(moved).exists() else path
    command = _python(
        f'a = zarr.open({_quoted(path)}, mode="r"); Z, Y, X, C = a.shape; '
        f'b = zarr.create_array({_quoted(moved)}, shape=(C, Z, Y, X), chunks=(C, 64, 64, 64), dtype="uint16", '
        f"attributes={attributes}); "
        "[b.__setitem__((slice(None), slice(z, z + 64), slice(y, y + 64)), "
        "a[z:z + 64, y:y + 64].transpose(3, 0, 1, 2)) for z in range(0, Z, 64) for y in range(0, Y, 64)]"
    )
    return [f"{name}: {path} has its components last; write them first, as {moved}: {command}"], moved


def _quoted(path: str) -> str:
    """A path, without the level of a pyramid, as text in Python."""
    return json.dumps(path.partition("::")[0])


def _python(code: str) -> str:
    return f"python -c {shlex.quote(f'import zarr; {code}')}"
