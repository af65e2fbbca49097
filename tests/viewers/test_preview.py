"""Previews: which panel stands where, one frame per slice, unknown voxels marked."""

import numpy as np
import pytest
import torch
from PIL import Image

from scripts.geometry import parse_targets
from scripts.landmarks import gaussian_heatmaps
from scripts.viewers import UNKNOWN_COLOUR, embedding_colours, preview_frames, write_preview
from scripts.viewers.landmark_panels import PREDICTED_MARK, TRUE_MARK
from scripts.viewers.preview import BACKGROUND, MARGIN, TITLE_HEIGHT

DEPTH, EDGE, FACTOR = 5, 64, 3  # slices of 64 voxels are enlarged three times
CELL_H = EDGE * FACTOR + TITLE_HEIGHT + MARGIN
CELL_W = EDGE * FACTOR + MARGIN

TARGETS = parse_targets({"sheet": {"channels": 1}, "normals": {"channels": 3, "kind": "normal"}})


@pytest.fixture
def sample():
    """Half of the slice is sheet, that faces y; the last rows are unknown."""
    image = torch.arange(DEPTH).float()[None, :, None, None].expand(1, DEPTH, EDGE, EDGE)
    sheet = torch.zeros(1, DEPTH, EDGE, EDGE)
    sheet[..., :32] = 1
    normals = torch.zeros(3, DEPTH, EDGE, EDGE)
    normals[1, ..., :32] = 1
    sheet[..., 48:, :] = -1
    normals[..., 48:, :] = torch.nan
    logits = torch.full((1, DEPTH, EDGE, EDGE), -30.0)
    logits[0, 3] = 30.0  # predicted in one slice only
    directions = torch.zeros(3, DEPTH, EDGE, EDGE)
    directions[2] = 5.0  # along x, not of unit length
    return {
        "image": image,
        "labels": {"sheet": sheet, "normals": normals},
        "predictions": {"sheet": logits, "normals": directions},
        "targets": TARGETS,
    }


def pixel(frame, row, column, y, x):
    """Colour of a voxel in a panel."""
    top, left = MARGIN + row * CELL_H + TITLE_HEIGHT, MARGIN + column * CELL_W
    return tuple(frame[top + y * FACTOR + 1, left + x * FACTOR + 1].tolist())


def test_panels_stand_in_the_order_of_the_targets_with_predictions_below(sample):
    frames = preview_frames(**sample)
    assert len(frames) == DEPTH
    assert frames[0].shape == (2 * CELL_H + MARGIN, 3 * CELL_W + MARGIN, 3)
    assert [pixel(frame, 0, 0, 20, 20)[0] for frame in frames] == sorted(pixel(f, 0, 0, 20, 20)[0] for f in frames)
    assert (pixel(frames[0], 0, 0, 20, 20), pixel(frames[-1], 0, 0, 20, 20)) == ((0,) * 3, (255,) * 3)
    assert (pixel(frames[1], 0, 1, 20, 20), pixel(frames[1], 0, 1, 20, 40)) == ((255,) * 3, (0,) * 3)
    assert pixel(frames[1], 0, 2, 20, 20) == (0, 255, 0)
    assert pixel(frames[1], 1, 2, 20, 20) == (0, 0, 255)
    assert [pixel(frame, 1, 1, 20, 20) for frame in frames] == [(0,) * 3] * 3 + [(255,) * 3] + [(0,) * 3]


def test_unknown_voxels_are_marked_in_the_truth_alone(sample):
    frame = preview_frames(**sample)[0]
    assert pixel(frame, 0, 1, 50, 20) == UNKNOWN_COLOUR
    assert pixel(frame, 0, 2, 50, 20) == UNKNOWN_COLOUR
    assert pixel(frame, 0, 2, 20, 40) == UNKNOWN_COLOUR  # no normal there
    assert pixel(frame, 1, 1, 50, 20) == (0, 0, 0)


def test_small_slices_are_enlarged_and_long_titles_get_room():
    name = "distance_to_the_nearest_boundary_of_any_cell"
    targets = parse_targets({name: {"channels": 1, "kind": "scalar"}})
    values = {name: torch.rand(1, 2, 8, 8)}
    frame = preview_frames(torch.rand(1, 2, 8, 8), values, values, targets)[0]
    title = frame[MARGIN : MARGIN + TITLE_HEIGHT]
    lit = np.flatnonzero((title != BACKGROUND).any(axis=(0, 2)))
    assert lit.max() < frame.shape[1] - MARGIN  # the title ends before the picture does
    assert (frame[MARGIN + TITLE_HEIGHT :] != BACKGROUND).any(axis=2).sum() > 3 * (8 * 24) ** 2


def test_png_holds_the_middle_slice_and_gif_every_slice_at_five_per_second(sample, tmp_path):
    png, gif = write_preview(tmp_path / "epoch_0001", **sample)
    assert (png.name, gif.name) == ("epoch_0001.png", "epoch_0001.gif")
    np.testing.assert_array_equal(np.asarray(Image.open(png)), preview_frames(**sample)[2])
    with Image.open(gif) as animation:
        assert animation.n_frames == DEPTH
        assert animation.info["duration"] == 200  # milliseconds
        animation.seek(3)
        assert pixel(np.asarray(animation.convert("RGB")), 1, 1, 20, 20) == (255, 255, 255)


def test_other_speed(sample, tmp_path):
    _, gif = write_preview(tmp_path / "a", **sample, frames_per_second=20)
    with Image.open(gif) as animation:
        assert animation.info["duration"] == 50


def test_an_embedding_shows_its_components_in_both_rows():
    targets = parse_targets({"embedding": {"channels": 8, "kind": "embedding"}})
    values = torch.randn(8, DEPTH, EDGE, EDGE, generator=torch.Generator().manual_seed(0))
    frames = preview_frames(torch.rand(1, DEPTH, EDGE, EDGE), {}, {"embedding": values}, targets)
    expected = [embedding_colours(values.numpy(), first) for first in (0, 3)]
    for row, colours in enumerate(expected):
        assert pixel(frames[2], row, 1, 10, 20) == tuple(colours[2, 10, 20].tolist())


def test_landmarks_are_marked_where_they_are_and_where_heatmaps_are_highest():
    targets = parse_targets({"heatmaps": {"channels": 2, "kind": "points"}})
    image = torch.zeros(1, DEPTH, EDGE, EDGE)
    truth = torch.tensor([[2.0, 10.0, 20.0], [torch.nan] * 3])
    found = torch.tensor([[[2.0, 14.0, 40.0], [3.0, 50.0, 30.0]]])
    maps = gaussian_heatmaps(found, (DEPTH, EDGE, EDGE), 2.0, 100.0)[0]
    frames = preview_frames(image, {"heatmaps": truth}, {"heatmaps": maps}, targets)
    for frame in frames:
        assert pixel(frame, 0, 1, 10, 20) == pixel(frame, 1, 1, 10, 20) == TRUE_MARK
        for y, x in ((14, 40), (50, 30)):
            assert pixel(frame, 0, 1, y, x) == (0, 0, 0)
            assert pixel(frame, 1, 1, y, x) == PREDICTED_MARK


def test_stored_heatmaps_are_shown_as_numbers():
    targets = parse_targets({"heatmaps": {"channels": 1, "kind": "points"}})
    maps = gaussian_heatmaps(torch.tensor([[[2.0, 14.0, 40.0]]]), (DEPTH, EDGE, EDGE), 6.0)[0]
    frame = preview_frames(torch.zeros_like(maps), {"heatmaps": maps}, {"heatmaps": maps}, targets)[2]
    assert pixel(frame, 0, 1, 14, 40) == pixel(frame, 1, 1, 14, 40) != pixel(frame, 1, 1, 60, 5)
    assert pixel(frame, 1, 1, 14, 40) != PREDICTED_MARK
