"""Raw data, truth and prediction of one sample, side by side: a PNG of the middle slice and a GIF through z."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ..geometry import Kind, Target, activate_prediction
from ..geometry.peaks import peak_points
from .colours import grey, target_colours, value_limits
from .landmark_panels import landmark_panels
from .principal_colours import embedding_colours

MIN_PANEL = 192
"""Smaller slices are enlarged by a whole factor until they are about this wide."""

MARGIN, TITLE_HEIGHT = 6, 22
BACKGROUND, INK = (18, 18, 22), (235, 235, 235)


@dataclass(frozen=True)
class Panel:
    """What is seen of one thing.

    Args:
        target: its name; empty for the image.
        title: what is shown of it.
        colours: D H W 3 uint8.
    """

    target: str
    title: str
    colours: np.ndarray


def write_preview(
    stem: str | Path,
    image: torch.Tensor,
    labels: Mapping[str, torch.Tensor],
    predictions: Mapping[str, torch.Tensor],
    targets: Mapping[str, Target],
    *,
    frames_per_second: int = 5,
) -> tuple[Path, Path]:
    """Write `<stem>.png` (the middle slice) and `<stem>.gif` (every slice).

    The upper row shows the image and the truth of every target, the lower row the prediction under its truth. An
    embedding, which has no truth, shows its first three principal components in the upper row and the next three below.
    Landmarks are marked on the image's maximum along z.

    Args:
        stem: path without suffix.
        image: C D H W; the first channel is shown.
        labels: per target that has a truth 1 D H W (classes), C D H W or points C 3, as `PrepareTargets` makes them.
        predictions: per target C D H W, network output without activation.
        targets: the parsed table.
        frames_per_second: of the GIF.

    Returns:
        both paths.
    """
    panels = preview_panels(image, labels, predictions, targets)
    return write_panels(stem, *panels, frames_per_second=frames_per_second)


def write_panels(
    stem: str | Path, upper: Sequence[Panel], lower: Sequence[Panel], *, frames_per_second: int = 5
) -> tuple[Path, Path]:
    """The same for the rows of `preview_panels`."""
    frames = _frames(upper, lower)
    stem = Path(stem)
    png, gif = stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.gif")
    Image.fromarray(frames[len(frames) // 2]).save(png)
    pictures = [Image.fromarray(frame).quantize(128) for frame in frames]
    pictures[0].save(gif, save_all=True, append_images=pictures[1:], duration=1000 // frames_per_second, loop=0)
    return png, gif


def preview_frames(
    image: torch.Tensor,
    labels: Mapping[str, torch.Tensor],
    predictions: Mapping[str, torch.Tensor],
    targets: Mapping[str, Target],
) -> list[np.ndarray]:
    """One picture H W 3 uint8 per z slice; arguments as in `write_preview`."""
    return _frames(*preview_panels(image, labels, predictions, targets))


def preview_panels(
    image: torch.Tensor,
    labels: Mapping[str, torch.Tensor],
    predictions: Mapping[str, torch.Tensor],
    targets: Mapping[str, Target],
) -> tuple[list[Panel], list[Panel]]:
    """The upper row, image and truths, and the lower one, predictions; arguments as in `write_preview`."""
    raw = grey(image[0].float().numpy())
    upper, lower = [Panel("", "image", raw)], []
    for name, target in targets.items():
        if target.kind is Kind.EMBEDDING:
            vectors = predictions[name].float().numpy()
            upper.append(Panel(name, f"{name}: components 1 to 3", embedding_colours(vectors)))
            lower.append(Panel(name, f"{name}: components 4 to 6", embedding_colours(vectors, 3)))
            continue
        truth = labels[name].float().numpy()
        if target.kind is Kind.POINTS and truth.ndim == 2:
            found = peak_points(predictions[name].float()[None])[0].numpy()  # C D H W -> C 3
            panels = landmark_panels(raw, truth, found)
            upper.append(Panel(name, f"{name}: true landmarks", panels[0]))
            lower.append(Panel(name, f"{name}: and predicted ones", panels[1]))
            continue
        batch = predictions[name].float()[None]  # C D H W -> B C D H W
        values = activate_prediction(batch, target)[0].numpy()  # B C D H W -> C D H W
        if target.kind is Kind.LABEL and len(truth) < len(values):
            values = values.argmax(axis=0, keepdims=True)  # C D H W -> 1 D H W, as the truth
        limits = value_limits(truth, values)
        upper.append(Panel(name, f"{name}: truth", target_colours(truth, target, limits)))
        lower.append(Panel(name, f"{name}: prediction", target_colours(values, target, limits)))
    return upper, lower


def _frames(upper: Sequence[Panel], lower: Sequence[Panel]) -> list[np.ndarray]:
    rows: list[list[tuple[str, np.ndarray | None]]] = [
        [(panel.title, panel.colours) for panel in upper],
        [("", None), *((panel.title, panel.colours) for panel in lower)],
    ]
    return [_compose(rows, z) for z in range(len(upper[0].colours))]


def _compose(rows: Sequence[Sequence[tuple[str, np.ndarray | None]]], z: int) -> np.ndarray:
    depth, height, width = next(panel.shape[:3] for _, panel in rows[0] if panel is not None)
    factor = max(1, round(MIN_PANEL / max(height, width)))
    font = ImageFont.load_default(13)
    longest = max(font.getlength(title) for panels in rows for title, _ in panels)
    cell_h, cell_w = height * factor + TITLE_HEIGHT + MARGIN, max(width * factor, int(longest) + 1) + MARGIN
    canvas = Image.new("RGB", (cell_w * len(rows[0]) + MARGIN, cell_h * len(rows) + MARGIN), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for row, panels in enumerate(rows):
        for column, (title, panel) in enumerate(panels):
            x, y = MARGIN + column * cell_w, MARGIN + row * cell_h
            draw.text((x, y + 2), title, INK, font)
            if panel is not None:
                picture = Image.fromarray(panel[z]).resize((width * factor, height * factor), Image.Resampling.NEAREST)
                canvas.paste(picture, (x, y + TITLE_HEIGHT))
    draw.text((MARGIN, MARGIN + cell_h + 2), f"slice z = {z} of {depth}", INK, font)
    return np.asarray(canvas)
