"""What goes wrong while patches are made, said so that it survives the way from a worker process."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any

from ..geometry import IMAGE_KEY

_PLAIN = (ValueError, OSError)  # whose messages are written to be read


class PatchError(RuntimeError):
    """A patch cannot be made; the message names it and says why.

    It takes the message alone. Of one that comes from a worker process PyTorch makes a message with the worker's whole
    traceback; `plain` has what was said there.
    """

    @property
    def plain(self) -> str:
        """The message without the traceback of a worker."""
        return str(self).rpartition(f"{type(self).__name__}: ")[2].strip()


class LoaderError(RuntimeError):
    """The worker processes give no more patches: one of them has died, or none answers."""


def patch_error(datum: Mapping[str, Any], error: BaseException) -> PatchError:
    """Build the error for a datum from what its transforms raised."""
    while error.__cause__ is not None and str(error).startswith("applying transform "):  # MONAI's frame around it
        error = error.__cause__
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if not isinstance(error, _PLAIN):
        place = traceback.extract_tb(error.__traceback__)[-1:]
        text = f"{type(error).__name__}: {text}" + "".join(f" ({one.filename}, line {one.lineno})" for one in place)
    return PatchError(f"{describe_datum(datum)} cannot be made: {text}")


def describe_datum(datum: Mapping[str, Any]) -> str:
    """Image and place of a patch: `patch at [0, 16, 0] of size [32, 32, 32] of scan.zarr`."""
    images = datum.get(IMAGE_KEY, "a volume without image")
    place = "".join(
        f" {word} {[int(number) for number in datum[key]]}"
        for word, key in (("at", "start"), ("of size", "size"))
        if datum.get(key) is not None
    )
    return f"patch{place} of {', '.join(map(str, images)) if isinstance(images, (list, tuple)) else images}"
