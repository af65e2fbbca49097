"""Where voxels are in space: spacing, translation and unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..geometry import did_you_mean

Triple = tuple[float, float, float]

_SYMBOLS = {
    "nanometer": "nm",
    "nanometre": "nm",
    "micrometer": "um",
    "micrometre": "um",
    "micron": "um",
    "microns": "um",
    "µm": "um",
    "μm": "um",
    "millimeter": "mm",
    "millimetre": "mm",
}
_WORDS = {"nm": "nanometer", "um": "micrometer", "mm": "millimeter"}
_NANOMETERS = {"nm": 1.0, "um": 1e3, "mm": 1e6}
_OTHER_NGFF_WORDS = (
    *("angstrom", "attometer", "centimeter", "decimeter", "exameter", "femtometer", "foot", "gigameter"),
    *("hectometer", "inch", "kilometer", "megameter", "meter", "mile", "parsec", "petameter", "picometer"),
    *("terameter", "yard", "yoctometer", "yottameter", "zeptometer", "zettameter"),
)


@dataclass(frozen=True)
class Grid:
    """Geometry of a voxel grid; axes are z, y, x.

    Args:
        spacing: size of a voxel along z, y, x, in `unit`.
        translation: position of the centre of voxel 0, in `unit`.
        unit: `"nm"`, `"um"`, `"mm"`, another unit as its store spells it, or `None` where the store states none.
    """

    spacing: Triple = (1.0, 1.0, 1.0)
    translation: Triple = (0.0, 0.0, 0.0)
    unit: str | None = None

    @property
    def affine(self) -> np.ndarray:
        """4 x 4 float64 matrix from array index (z, y, x) to position."""
        matrix = np.diag([*self.spacing, 1.0])
        matrix[:3, 3] = self.translation
        return matrix


def unit_symbol(unit: str | None) -> str | None:
    """Return `nm`, `um` or `mm` for any spelling of these units; other units stay as they are."""
    return None if not unit else _SYMBOLS.get(unit.lower(), unit)


def unit_word(unit: str | None) -> str | None:
    """Return the unit as OME-Zarr spells it (`micrometer` for `um`).

    Raises:
        ValueError: where OME-Zarr knows no such unit of length.
    """
    symbol = unit_symbol(unit)
    if symbol is None or symbol in _OTHER_NGFF_WORDS:
        return symbol
    if symbol in _WORDS:
        return _WORDS[symbol]
    known = [*_WORDS, *_WORDS.values(), *_OTHER_NGFF_WORDS]
    raise ValueError(
        f"unit: got {unit!r}{did_you_mean(symbol, known)}, expected nm, um, mm or a length that OME-Zarr knows: "
        f"{', '.join(_OTHER_NGFF_WORDS)}"
    )


def common_unit(units: Sequence[str | None], where: str) -> tuple[str | None, tuple[float, ...]]:
    """Bring axes of different units to one.

    Args:
        units: unit of each axis, the last one leading; an axis without unit takes the leading one.
        where: names the store in the error.

    Returns:
        the common unit's symbol, and the factor by which each axis' numbers are multiplied.

    Raises:
        ValueError: where units differ and one of them is not nm, um or mm.
    """
    symbols = [unit_symbol(unit) for unit in units]
    stated = [symbol for symbol in symbols if symbol is not None]
    if len(set(stated)) <= 1:
        return (stated[0] if stated else None), (1.0,) * len(symbols)
    unknown = [symbol for symbol in stated if symbol not in _NANOMETERS]
    if unknown:
        raise ValueError(
            f"{where}: the axes have different units {stated}, of which {unknown} cannot be converted; "
            "expected one unit, or a mixture of nanometer, micrometer and millimeter"
        )
    common = stated[-1]
    return common, tuple(_NANOMETERS[symbol or common] / _NANOMETERS[common] for symbol in symbols)


def as_triple(values: Sequence[float], what: str, *, positive: bool = False) -> Triple:
    """Check three finite numbers along z, y, x and return them as floats.

    Raises:
        ValueError: with the value given.
    """
    try:
        z, y, x = (float(value) for value in values)
    except (TypeError, ValueError):
        raise ValueError(f"{what}: expected three numbers [z, y, x], got {values!r}") from None
    if not all(map(math.isfinite, (z, y, x))) or (positive and min(z, y, x) <= 0):
        raise ValueError(f"{what}: expected three {'positive' if positive else 'finite'} numbers, got {values!r}")
    return z, y, x


def nearest_spacing(candidates: Sequence[Triple], wanted: Triple) -> int:
    """Index of the spacing nearest to `wanted`: least sum of squared log ratios over z, y, x."""
    distances = [
        sum(math.log(have / want) ** 2 for have, want in zip(spacing, wanted, strict=True)) for spacing in candidates
    ]
    return distances.index(min(distances))
