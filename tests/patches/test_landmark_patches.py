"""Whole images at one size, and patches that show a landmark."""

import logging

import numpy as np
import pytest

from scripts.patches import PatchSampler, choose_landmark_patches, fit_volumes
from scripts.volumes import create_ome_zarr

SIZE = [4, 4, 4]


def store(path, shape=(4, 16, 20), **options):
    create_ome_zarr(path, (1, *shape), "uint8", spacing=(2.0, 1.0, 1.0), unit="mm", **options)
    return str(path)


def patch(start, volume=0, size=SIZE):
    return {"volume": volume, "start": list(start), "size": list(size)}


def shown(chosen):
    return chosen["counts"].counts[:, 0].tolist()


def test_every_row_is_read_at_the_input_size_unless_it_has_its_own():
    rows = [{"image": "a"}, {"image": "b", "shape": [1, 2, 3]}]
    assert fit_volumes(rows, (8, 16, 16)) == [{"image": "a", "shape": [8, 16, 16]}, rows[1]]
    assert fit_volumes(rows) == rows
    assert rows[0] == {"image": "a"}


def test_patches_that_show_a_landmark_are_counted(tmp_path):
    row = {"image": store(tmp_path / "a.zarr"), "landmarks": [[1, 5, 9], None, [0, 30, 0]]}
    empty = {"image": row["image"]}
    patches = [patch((0, 4, 8)), patch((0, 2, 6)), patch((0, 0, 8)), patch((0, 4, 4)), patch((0, 4, 8), volume=1)]
    chosen = choose_landmark_patches([patches, []], [row, empty])
    assert shown(chosen) == [1, 1, 0, 0, 0]
    assert chosen["train"] == patches
    assert chosen["counts"].names == ["landmark"]


@pytest.mark.parametrize(
    ("x", "is_shown"), [(7.4, False), (7.5, True), (8, True), (11.4, True), (11.5, False), (np.nan, False)]
)
def test_a_landmark_is_shown_up_to_the_outer_edges_of_the_outermost_voxels(tmp_path, x, is_shown):
    row = {"image": store(tmp_path / "a.zarr"), "landmarks": [[1, 5, x], [1, 1, 1]]}
    chosen = choose_landmark_patches([[patch((0, 4, 8)), patch((0, 0, 0))], []], [row])
    assert shown(chosen) == [int(is_shown), 1]


def test_landmarks_are_placed_on_the_grid_that_is_read(tmp_path):
    """Of 16 x 20 pixels at half the size, [5, 9] is at (5.5 / 2 - 0.5, 9.5 / 2 - 0.5) = (2.25, 4.25)."""
    row = {"image": store(tmp_path / "a.zarr"), "landmarks": [[1, 5, 9]]}
    (fitted,) = fit_volumes([row], [4, 8, 10])
    patches = [patch((0, 0, 4)), patch((0, 3, 4)), patch((0, 0, 0))]
    assert shown(choose_landmark_patches([patches, []], [fitted])) == [1, 0, 0]
    turned = {**fitted, "axes": "xzy"}
    patches = [patch((4, 0, 0)), patch((0, 0, 4))]
    assert shown(choose_landmark_patches([patches, []], [turned])) == [1, 0]


def test_only_validation_patches_with_a_landmark_are_kept_if_any_has_one(tmp_path):
    rows = [{"image": store(tmp_path / f"{n}.zarr"), "landmarks": [[1, 5, 9]]} for n in range(2)]
    seen, unseen = patch((0, 4, 8), volume=1), patch((0, 8, 8), volume=1)
    train = [patch((0, 4, 8))]
    assert choose_landmark_patches([train, [unseen, seen]], rows)["validate"] == [seen]
    assert choose_landmark_patches([train, [unseen, unseen]], rows)["validate"] == [unseen, unseen]
    assert choose_landmark_patches([train, []], rows)["validate"] == []


def test_without_any_landmark_there_is_nothing_to_train_on(tmp_path):
    row = {"image": store(tmp_path / "a.zarr"), "landmarks": [[1, 5, 90], [1, 90, 9]]}
    message = "none of the 2 training patches shows a landmark; check the landmarks' coordinate system"
    with pytest.raises(ValueError, match=message):
        choose_landmark_patches([[patch((0, 4, 8)), patch((0, 0, 0))], []], [row])


@pytest.mark.parametrize("bias", [0.66, 0.0, 1.0])
def test_the_sampler_shows_landmarks_as_often_as_it_is_asked_to(tmp_path, bias):
    """Patches of the share are of those with a landmark, and of the rest are as many as there are among all."""
    rows = [{"image": store(tmp_path / "a.zarr", (4, 64, 64)), "landmarks": [[1, 5, 9], [2, 40, 40]]}]
    patches = [patch((0, y, x), size=[4, 8, 8]) for y in range(0, 64, 8) for x in range(0, 64, 8)]
    chosen = choose_landmark_patches([patches, []], rows)
    has_landmark = np.array(shown(chosen), bool)
    assert has_landmark.sum() == 2
    sampler = PatchSampler(len(patches), 6400, "foreground", chosen["counts"], foreground_share=bias, seed=1)
    drawn = np.fromiter(sampler, int)
    assert has_landmark[drawn].mean() == pytest.approx(bias + (1 - bias) * 2 / 64, abs=0.01)
    counts = np.bincount(drawn, minlength=64)[has_landmark]
    assert counts.min() > 0.4 * counts.sum()  # both landmarks alike


def test_a_landmark_outside_of_the_image_does_not_stop_others(tmp_path, caplog):
    row = {"image": store(tmp_path / "a.zarr"), "landmarks": [[1, 5, 9], [-3, -2, 100]]}
    with caplog.at_level(logging.WARNING):
        chosen = choose_landmark_patches([[patch((0, 0, 0), size=[4, 16, 20])], []], [row])
    assert shown(chosen) == [1]
