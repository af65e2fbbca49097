"""PNG pictures as volumes of one slice."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .errors import corrupt_chunk, require_access
from .source import FileSource, OpenedArray

_MODES = {"1": "L", "P": "RGB"}
"""Pictures of 1 bit, and with a palette, become what can be computed with."""

_AXES = ("yx", "yxc")


class PngSource(FileSource):
    """A PNG file: grey values, or colours as channels; decoded once per process and kept."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        try:
            with Image.open(path, formats=["PNG"]) as picture:
                mode, (width, height) = _MODES.get(picture.mode, picture.mode), picture.size
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise ValueError(f"{path}: no readable PNG file: {error}") from error
        channels = Image.getmodebands(mode)
        self.shape = (height, width) if channels == 1 else (height, width, channels)
        self.dtype = np.dtype(np.uint16 if mode == "I;16" else np.uint8)
        self.chunks = self.shape

    def open_handle(self) -> np.ndarray:
        with Image.open(self.path, formats=["PNG"]) as picture:
            mode = _MODES.get(picture.mode)
            return np.asarray(picture if mode is None else picture.convert(mode))

    def read_box(self, selection: tuple[slice, ...]) -> np.ndarray:
        try:
            block = np.array(self.handle[selection], dtype=self.dtype)
        except MemoryError:
            raise
        except Exception as error:
            require_access(self.path, self.path, error)
            raise corrupt_chunk(self.path, "whole file", [0] * len(self.shape), self.shape, error) from error
        self.decoded.add(block.nbytes)
        return block


def open_png(path: str) -> OpenedArray:
    """Open a PNG file: y x, or y x c. It states no geometry."""
    source = PngSource(path)
    return OpenedArray(source, _AXES[len(source.shape) - 2])
