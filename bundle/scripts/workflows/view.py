"""`view VOLUME [PRED ...]`: volumes and predictions in a browser."""

from __future__ import annotations

import contextlib
import threading
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ..viewers import Layer, NeuroglancerPage, open_layers
from ..volumes.grid import as_triple


def view(
    volume: str | Path,
    *predictions: str | Path,
    kinds: Mapping[str, str] | str | None = None,
    position: Sequence[float] | None = None,
    time: int | None = None,
    port: int = 0,
    open: bool = False,
    no_wait: bool = False,
) -> None:
    """Show volumes on a page of neuroglancer, which this machine alone can reach, until Ctrl-C.

    Args:
        volume: path or URL of what lies below, such as the scan; `PATH::2` for one pyramid level. Of a zarr group every
            image directly inside becomes a layer.
        predictions: paths or URLs of what lies above it.
        kinds: as what layers are shown, by name: `"{sheet: probability}"`; image, probability, labels, instances or
            normals. Default: what the stores say, else what the numbers look like.
        position: voxel z, y, x of `volume` where the view starts; default its middle.
        time: time point of volumes that have several.
        port: of the page; default one that is free.
        open: open the page in this machine's browser.
        no_wait: say what would be shown, and end.

    Raises:
        FileNotFoundError: where nothing is at a path.
        OSError: for a port that is in use.
        ValueError: for what is no volume, and for options that do not fit.
    """
    layers = open_layers([volume, *predictions], _parsed(kinds) if isinstance(kinds, str) else kinds, time)
    start = None if position is None else as_triple(position, "position")
    with NeuroglancerPage(layers, position=start, port=port, title=layers[0].name) as page:
        print(page.url)
        print(_table(layers), flush=True)
        if no_wait:
            return
        if open:
            webbrowser.open(page.url)
        _wait_for_interrupt()


def _parsed(kinds: str) -> Any:
    try:
        return yaml.safe_load(kinds)
    except yaml.YAMLError as error:
        raise ValueError(f'kinds: expected names and kinds, such as "{{sheet: probability}}", got {kinds!r}') from error


def _wait_for_interrupt() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        print("Ctrl-C ends it.", flush=True)
        threading.Event().wait()


def _table(layers: Sequence[Layer]) -> str:
    rows = [("layer", "shown as", "voxels z y x", "levels", "type", "chunks")]
    for layer in layers:
        shape = " ".join(str(n) for n in layer.volume.spatial_shape)
        channels = f", {layer.volume.channels} channels" if layer.volume.channels > 1 else ""
        source = f"read by Python: {layer.why_read}" if layer.why_read else "as stored"
        rows.append((layer.name, layer.kind, shape, str(len(layer.volumes)), f"{layer.volume.dtype}{channels}", source))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip() for row in rows)
