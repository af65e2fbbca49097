"""Values stored as integers: scale, offset and the mark for "no value here"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import MetadataError

ATTRIBUTE = "polytome"

_LARGEST = float(np.finfo(np.float32).max)
"""Values are decoded to float32."""


@dataclass(frozen=True)
class Encoding:
    """How stored numbers stand for values: `value = stored * scale + offset`.

    Args:
        scale: value of one step.
        offset: value of stored 0.
        zero_is_missing: whether a voxel whose channels are all stored as 0 has no value; it decodes to zeros.
    """

    scale: float = 1.0
    offset: float = 0.0
    zero_is_missing: bool = False

    def as_attributes(self) -> dict[str, Any]:
        """Attributes that state this encoding in a store."""
        content = {"scale": self.scale, "offset": self.offset, "zero_is_missing": self.zero_is_missing}
        return {ATTRIBUTE: content}

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any], where: str = "attributes") -> Encoding | None:
        """Read the encoding that a store's attributes state; `None` where they state none.

        Args:
            attributes: of the store.
            where: names the store in errors.

        Raises:
            MetadataError: for a scale of 0, or numbers that are none.
        """
        content = attributes.get(ATTRIBUTE)
        if not isinstance(content, Mapping) or not {"scale", "offset", "zero_is_missing"} & set(content):
            return None
        scale, offset = content.get("scale", 1.0), content.get("offset", 0.0)
        if not all(isinstance(n, (int, float)) and -_LARGEST <= n <= _LARGEST for n in (scale, offset)) or scale == 0:
            raise MetadataError(
                f"{where}: '{ATTRIBUTE}' states scale {scale!r:.60} and offset {offset!r:.60}; expected finite "
                "numbers, and a scale other than 0"
            )
        return cls(float(scale), float(offset), bool(content.get("zero_is_missing", False)))


NORMAL_INT8 = Encoding(scale=1 / 127, zero_is_missing=True)
"""Unit vectors as int8: -127..127 is -1..1, the zero vector is "no normal here"."""

NORMAL_UINT16 = Encoding(scale=1 / 32767.5, offset=-1.0, zero_is_missing=True)
"""Unit vectors as uint16: 0..65535 is -1..1, and three raw zeros are "no normal here"."""


def decode(array: np.ndarray, encoding: Encoding | None) -> np.ndarray:
    """Turn stored numbers into values.

    Args:
        array: C D H W as stored.
        encoding: `None` only casts.

    Returns:
        float32 C D H W; voxels marked as missing are zero in every channel.
    """
    values = array.astype(np.float32)
    if encoding is None:
        return values
    values *= np.float32(encoding.scale)
    values += np.float32(encoding.offset)
    if encoding.zero_is_missing:
        values[:, ~array.any(axis=0)] = 0.0
    return values


def encode(values: npt.ArrayLike, encoding: Encoding | None, dtype: npt.DTypeLike) -> np.ndarray:
    """Turn values into stored numbers, the inverse of `decode`: rounded and clipped for integer types.

    Args:
        values: C D H W. With `zero_is_missing`, voxels whose channels are all 0, or of which one is NaN, are missing.
        encoding: `None` means scale 1, offset 0.
        dtype: type to store.

    Raises:
        ValueError: for NaN that an integer type without mark for missing values cannot hold.
    """
    encoding, dtype = encoding or Encoding(), np.dtype(dtype)
    array = np.asarray(values)
    array = array.astype(np.result_type(array.dtype, np.float32), copy=False)
    missing = np.isnan(array).any(axis=0)
    if encoding.zero_is_missing:
        missing |= ~array.any(axis=0)
    elif missing.any() and dtype.kind != "f":
        raise ValueError(
            f"{int(missing.sum())} voxels hold NaN, which {dtype} cannot store; expected numbers, "
            "a float type, or an encoding with zero_is_missing"
        )
    stored = (array - encoding.offset) / encoding.scale
    if encoding.zero_is_missing:
        stored[:, missing] = 0
    if dtype.kind == "f":
        return stored.astype(dtype)
    limits = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return np.clip(np.rint(stored), *limits).astype(dtype)
