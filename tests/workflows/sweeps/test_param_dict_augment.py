"""Augmentation of a `param_dict.json`: strengths by hand, and distributions of what the transforms draw."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor

from scripts.transforms import RandSpatialDrawd
from scripts.workflows.imports.task_file import Entry, Findings
from scripts.workflows.sweeps.param_dict_augment import import_augmentation

ALL_OFF = {"elastic": False, "blur": False, "simple": False, "noise": False}
VOLUME, SLICE = [8, 8, 8], [1, 8, 8]


def made(patch_size=VOLUME, **changes):
    findings = Findings()
    entries = {key: Entry(f"seg.{key}", value) for key, value in {**ALL_OFF, **changes}.items()}
    return import_augmentation(entries, findings, patch_size, "image"), findings


def built(rows):
    return [ConfigParser(row).get_parsed_content() for row in rows]


def test_all_off_is_nothing():
    rows, findings = made(blur_params={"sigma": [1]}, elastic_params={"jitter_sigma": [0, 1, 1]})
    assert rows == []
    assert findings.settings == {"random_space": None}
    assert findings.dropped == [
        'seg.elastic_params = {"jitter_sigma": [0, 1, 1]}: elastic is off',
        'seg.blur_params = {"sigma": [1]}: blur is off',
    ]


def test_elastic_is_a_turn_about_z_and_control_points_of_the_same_deviation():
    parameters = {
        "control_point_spacing": [1, 10, 10],
        "jitter_sigma": [0, 1.5, 1.5],
        "rotation_interval": [0, "pi / 2"],
    }
    _, findings = made(elastic=True, elastic_params=parameters)
    settings = {key.removeprefix("random_space#"): value for key, value in findings.settings.items()}
    draw = RandSpatialDrawd(**settings).set_random_state(0)
    coefficients, angles = [], []
    for _ in range(300):
        draw.randomize()
        angles.append(draw.drawn.angles)
        assert draw.drawn.factors == (1.0, 1.0, 1.0)
        coefficients.append(draw.drawn.coefficients((40, 40, 40), (1, 1, 1)).numpy())
    values = np.stack(coefficients)  # draws, axis, control points
    assert values[:, 0].std() == 0
    assert values[:, 1:].std() == pytest.approx(1.5, rel=0.02)
    assert np.abs(angles)[:, 1:].max() == 0
    assert 80 < np.abs(angles)[:, 0].max() <= 90


def test_control_points_move_along_z_where_the_file_says_so_but_not_in_slices():
    parameters = {"control_point_spacing": [1, 10, 10], "jitter_sigma": [0.1, 0.1, 0.1]}
    for patch, in_plane in ((VOLUME, False), (SLICE, True)):
        _, findings = made(patch, elastic=True, elastic_params=parameters)
        assert findings.settings["random_space#in_plane"] is in_plane
        assert findings.settings["random_space#prob_rotation"] == 0.0


def test_space_never_folds():
    parameters = {"control_point_spacing": [10, 10, 10], "jitter_sigma": [9, 9, 9]}
    _, findings = made(elastic=True, elastic_params=parameters)
    assert findings.settings["random_space#elastic_displacement"] == [4.0, 4.0]


@pytest.mark.parametrize(
    ("sigma", "patch"), [([2, 2, 2], VOLUME), ([0, 1, 1], SLICE), ([0, 1, 1], VOLUME), ([0.5, 1, 2], VOLUME)]
)
def test_blur_has_the_widths_of_the_file(sigma, patch):
    rows, _ = made(patch, blur=True, blur_params={"sigma": sigma})
    size = 25
    point = torch.zeros(1, size if patch is VOLUME else 1, size, size)
    point[0, point.shape[1] // 2, 12, 12] = 1
    (blur,) = built(rows)
    found = blur({"image": point})["image"][0].numpy().astype(float)
    offsets = np.arange(size) - 12
    for axis, width in enumerate(sigma):
        profile = found.sum(axis=tuple(other for other in range(3) if other != axis))
        if len(profile) > 1:
            assert math.sqrt((profile * offsets**2).sum() / profile.sum()) == pytest.approx(
                width, abs=0.08
            )  # MONAI's kernel adds a voxel's own width


def test_no_width_is_no_blur():
    assert made(SLICE, blur=True, blur_params={"sigma": [1, 0, 0]})[0] == []


def test_noise_has_the_variance_of_the_file():
    (noise,) = built(made(noise=True, noise_params={"var": 0.04})[0])
    found = noise.set_random_state(0)({"image": torch.zeros(1, 40, 40, 40)})["image"]
    assert float(found.var()) == pytest.approx(0.04, rel=0.03)


def poses(patch, **parameters):
    """How often an image comes out in each of its poses."""
    transforms = built(made(patch, simple=True, simple_params=parameters)[0])
    image = torch.arange(float(np.prod(patch))).reshape(1, *patch)
    counts = Counter()
    for seed in range(400):
        sample = {"image": MetaTensor(image.clone())}
        for n, transform in enumerate(transforms):
            sample = transform.set_random_state(1000 * n + seed)(sample)
        counts[tuple(sample["image"].flatten().tolist())] += 1
    return counts


@pytest.mark.parametrize(
    ("patch", "parameters", "n_poses"),
    [
        ((3, 3, 3), {"mirror_only": [1, 2], "transpose_only": [1, 2]}, 8),
        ((1, 3, 3), {"mirror_only": [1, 2], "transpose_only": [1, 2]}, 8),
        ((2, 3, 3), {"mirror_only": [1, 2], "transpose_only": [1, 2]}, 8),
        ((3, 3, 3), {"mirror_only": [0], "transpose_only": []}, 2),
        ((3, 3, 3), {"mirror_only": []}, 6),
        ((2, 3, 4), {"mirror_only": [2]}, 2),
    ],
)
def test_every_mirror_and_exchange_is_as_likely_as_any_other(patch, parameters, n_poses):
    counts = poses(patch, **parameters)
    assert len(counts) == n_poses
    assert min(counts.values()) > 0.5 * 400 / n_poses


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"simple": True, "simple_params": {"mirror_only": [3]}},
            r"seg.simple_params: expected axes of 0, 1 and 2, got \[3\]",
        ),
        ({"blur": True, "blur_params": {"sigma": [1, 1, 1, 1]}}, "seg.blur_params: expected at most 3 numbers"),
        ({"noise": True, "noise_params": {"var": 0}}, "seg.noise_params: expected a number above 0, got 0"),
        ({"elastic": 1}, "seg.elastic: expected true or false, got 1"),
    ],
)
def test_values_that_cannot_be_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        made(**changes)
