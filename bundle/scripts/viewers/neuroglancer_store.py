"""A layer as an OME-Zarr image for neuroglancer's client: metadata that it understands, arrays that it can read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..volumes import Grid
from ..volumes.grid import unit_word
from .neuroglancer_chunks import ReadArray
from .neuroglancer_kinds import LayerKind
from .neuroglancer_layers import Layer


class LayerStore:
    """What the client finds of a layer: an OME-Zarr image whose levels are called 0, 1, 2, ...

    The image's metadata are made here, so that a plain array, a missing unit or an unusual spelling do not matter.

    Args:
        layer: what is shown.

    Attributes:
        zarr_format: 2 or 3.
        documents: the image's metadata files, by name.
        levels: what stands behind each level: the folder of a stored array, or an array whose chunks are computed.
    """

    def __init__(self, layer: Layer) -> None:
        self.levels: list[Path | ReadArray] = [level.folder for level in layer.stored]
        if layer.stored:
            axes, self.zarr_format = layer.stored[0].axes, layer.stored[0].zarr_format
        else:
            together, are_ids = layer.kind is LayerKind.NORMALS, layer.kind.is_segmentation
            arrays = [ReadArray(volume, channels_together=together, are_ids=are_ids) for volume in layer.volumes]
            axes, self.zarr_format = arrays[0].axes, 3
            self.levels.extend(arrays)
        image = _multiscale(axes, layer.grids, channels_together=layer.kind is LayerKind.NORMALS)
        if self.zarr_format == 3:
            attributes = {"ome": {"version": "0.5", "multiscales": [image]}}
            files: dict[str, Any] = {"zarr.json": {"zarr_format": 3, "node_type": "group", "attributes": attributes}}
        else:
            files = {".zgroup": {"zarr_format": 2}, ".zattrs": {"multiscales": [image | {"version": "0.4"}]}}
        self.documents = {name: json.dumps(content).encode() for name, content in files.items()}


def _multiscale(axes: str, grids: Sequence[Grid], *, channels_together: bool) -> dict[str, Any]:
    # neuroglancer gives the shader all channels of an axis called c^, and a slider to one of type channel
    channel = {"name": "c^"} if channels_together else {"name": "c", "type": "channel"}
    word = unit_word(grids[0].unit)
    space = {a: {"name": a, "type": "space"} | ({"unit": word} if word else {}) for a in "zyx"}
    datasets = []
    for level, grid in enumerate(grids):
        scale = dict(zip("zyx", grid.spacing, strict=True))
        translation = dict(zip("zyx", grid.translation, strict=True))
        datasets.append({
            "path": str(level),
            "coordinateTransformations": [
                {"type": "scale", "scale": [scale.get(a, 1.0) for a in axes]},
                {"type": "translation", "translation": [translation.get(a, 0.0) for a in axes]},
            ],
        })  # fmt: skip
    return {"axes": [space.get(a, channel) for a in axes], "datasets": datasets}
