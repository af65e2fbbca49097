"""Landmarks of a patch as panels of a preview: maximum projections of the image with marks."""

from __future__ import annotations

import numpy as np

TRUE_MARK, PREDICTED_MARK = (90, 220, 120), (255, 90, 80)

_PLUS = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]
_CROSS = [(0, 0), (1, 1), (-1, -1), (1, -1), (-1, 1)]


def landmark_panels(grey: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The image's maximum along z with the true landmarks, and with those and the predicted ones.

    Args:
        grey: image as colours, D H W 3 uint8.
        truth: indices z, y, x, N 3; NaN where one is missing. What lies beyond the image is not shown.
        prediction: likewise.

    Returns:
        two panels D H W 3 uint8, every slice the same: true landmarks as green pluses, predicted ones as red crosses.
    """
    projection = grey.max(axis=0)  # D H W 3 -> H W 3
    upper, lower = projection.copy(), projection.copy()
    _mark(upper, truth, _PLUS, TRUE_MARK)
    _mark(lower, truth, _PLUS, TRUE_MARK)
    _mark(lower, prediction, _CROSS, PREDICTED_MARK)
    return tuple(np.broadcast_to(panel, grey.shape) for panel in (upper, lower))  # type: ignore[return-value]


def _mark(panel: np.ndarray, points: np.ndarray, shape: list[tuple[int, int]], colour: tuple[int, int, int]) -> None:
    height, width = panel.shape[:2]
    for _, y, x in np.round(points[np.isfinite(points).all(axis=1)]).astype(int).tolist():
        for dy, dx in shape:
            if 0 <= y + dy < height and 0 <= x + dx < width:
                panel[y + dy, x + dx] = colour
