"""A few shapes as SVG, on a light ground of their own, so that they can be read on dark pages, too."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

FILLS = {
    "background": ("#ffffff", "#c9ced6"),
    "foreground": ("#dbe3ee", "#c9ced6"),
    "patch": ("#9fd3c7", "#2a7f73"),
    "padding": ("#f4e3c3", "#b58a3c"),
    "window": ("#9fd3c7", "#2a7f73"),
}
"""Kind of a box -> fill and line."""

ARROWS = {"normal": "#0b5cad", "vector": "#b3411e"}

_INK = "#20262e"


class Drawing:
    """Shapes from back to front; lengths are pixels, x to the right and y down.

    Args:
        width: of the picture.
        height: of the picture.
    """

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self._shapes: list[str] = []

    def resize(self, height: float) -> None:
        """Another height."""
        self.height = height

    def box(self, x: float, y: float, width: float, height: float, kind: str) -> None:
        """A rectangle of one of `FILLS`."""
        fill, line = FILLS[kind]
        where = f'x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}"'
        self._shapes.append(f'<rect class="{kind}" {where} fill="{fill}" fill-opacity="0.9" stroke="{line}"/>')

    def dot(self, x: float, y: float) -> None:
        """The centre of a voxel."""
        self._shapes.append(f'<circle cx="{x:.2f}" cy="{y:.2f}" r="2" fill="{_INK}"/>')

    def arrow(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        """An arrow of one of `ARROWS`."""
        ends = f'x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}"'
        self._shapes.append(
            f'<line class="{kind}" {ends} stroke="{ARROWS[kind]}" stroke-width="2.5" marker-end="url(#{kind})"/>'
        )

    def text(self, x: float, y: float, words: str, size: int = 13, anchor: str = "start") -> None:
        """A line of text."""
        where = f'x="{x:.2f}" y="{y:.2f}" font-size="{size}" text-anchor="{anchor}"'
        self._shapes.append(f'<text {where} fill="{_INK}">{escape(words)}</text>')

    def axes(self, x: float, y: float) -> None:
        """Directions of y and x."""
        for dx, dy, name in ((26, 0, "x"), (0, 26, "y")):
            self._shapes.append(
                f'<path d="M{x:.2f} {y:.2f} l{dx} {dy}" stroke="{_INK}" fill="none" marker-end="url(#axis)"/>'
            )
            self.text(x + 1.5 * dx - 3 * (dx == 0), y + 1.55 * dy + 4 * (dy == 0), name, 12)

    def key(self, x: float, y: float, entries: Sequence[tuple[str, str]]) -> None:
        """What kinds mean, in a row."""
        for kind, words in entries:
            if kind in ARROWS:
                self._shapes.append(f'<path d="M{x:.2f} {y - 4:.2f} h20" stroke="{ARROWS[kind]}" stroke-width="2.5"/>')
            else:
                fill, line = FILLS[kind]
                self._shapes.append(f'<path d="M{x:.2f} {y - 11:.2f} h20 v14 h-20 z" fill="{fill}" stroke="{line}"/>')
            self.text(x + 26, y, words)
            x += 50 + 7 * len(words)

    def finish(self) -> str:
        """The file."""
        heads = "".join(
            f'<marker id="{name}" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="{size}" markerHeight="{size}" '
            f'orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="{colour}"/></marker>'
            for name, colour, size in (*((kind, colour, 5) for kind, colour in ARROWS.items()), ("axis", _INK, 7))
        )
        size = f'width="{self.width:.0f}" height="{self.height:.0f}" viewBox="0 0 {self.width:.0f} {self.height:.0f}"'
        ground = '<rect width="100%" height="100%" rx="8" fill="#ffffff"/>'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="system-ui, sans-serif">\n'
            f"<defs>{heads}</defs>\n{ground}\n" + "\n".join(self._shapes) + "\n</svg>\n"
        )
