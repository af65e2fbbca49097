"""Landmarks that change places in a mirror: the left one and the right one."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch

from ..geometry import did_you_mean

_SIDE = re.compile(r"left|right|(?<![a-z])[lr](?![a-z])", re.IGNORECASE)

_OTHER = {"left": "right", "right": "left", "l": "r", "r": "l"}


def pairs_by_name(names: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of landmarks whose names differ in nothing but `left` and `right`, or `L` and `R` as a word of its own.

    Args:
        names: of all landmarks.

    Returns:
        two positions in the list per pair, counted from 0.
    """
    places = {name.lower(): n for n, name in enumerate(names)}
    mirrored = [_SIDE.sub(lambda side: _OTHER[side[0].lower()], name.lower()) for name in names]
    partners = [places.get(name, n) for n, name in enumerate(mirrored)]
    return [(n, partner) for n, partner in enumerate(partners) if n < partner]


def parse_pairs(pairs: Sequence[Sequence[int | str]], names: Sequence[str] | None = None) -> list[tuple[int, int]]:
    """Pairs as positions, counted from 0.

    Args:
        pairs: two landmarks each, by position or by name.
        names: of all landmarks; `None`: not known.

    Raises:
        ValueError: for what is no pair, an unknown name, and a landmark that occurs twice.
    """
    known = None if names is None else list(names)
    found: list[tuple[int, int]] = []
    for pair in pairs:
        if isinstance(pair, str) or len(pair) != 2:
            raise ValueError(
                f"pairs: expected two landmarks each, such as [0, 1] or ['eye_left', 'eye_right']; got {pair!r}"
            )
        first, second = (_position(one, known) for one in pair)
        found.append((first, second))
    flat = [n for pair in found for n in pair]
    if twice := sorted({n for n in flat if flat.count(n) > 1}):
        raise ValueError(f"pairs: landmark {twice[0]} occurs more than once in {[list(pair) for pair in pairs]}")
    return found


def swap_pairs(points: torch.Tensor, pairs: Sequence[tuple[int, int]]) -> torch.Tensor:
    """Points N D in which the two of each pair have changed places.

    Raises:
        ValueError: for a pair that there is not.
    """
    order = list(range(len(points)))
    for first, second in pairs:
        if max(first, second) >= len(order):
            raise ValueError(
                f"pairs: there is no landmark {max(first, second)}: there are {len(order)}, counted from 0"
            )
        order[first], order[second] = second, first
    return points[order]


def _position(landmark: int | str, names: list[str] | None) -> int:
    if isinstance(landmark, int) and landmark >= 0:
        if names is not None and landmark >= len(names):
            raise ValueError(f"pairs: there is no landmark {landmark}: there are {len(names)}, counted from 0")
        return landmark
    if names is None or landmark not in names:
        known = (
            "no names are given" if names is None else f"names: {', '.join(names)}{did_you_mean(str(landmark), names)}"
        )
        raise ValueError(f"pairs: {landmark!r} is no landmark; {known}")
    return names.index(str(landmark))
