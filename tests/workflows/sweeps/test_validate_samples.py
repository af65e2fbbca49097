"""Scores against scikit-image, averages over samples and slices, and what goes into the stores."""

import csv

import numpy as np
import pytest
from skimage.metrics import adapted_rand_error, variation_of_information
from tests.workflows.sweeps.test_validation_steps import affinities_of, balls, cells

from scripts.volumes import create_ome_zarr, open_volume
from scripts.workflows import validate_samples
from scripts.workflows.sweeps.validate_samples import best_row, measure


def write(path, array, **options):
    """An array C D H W, or D H W."""
    array = array if array.ndim == 4 else array[None]
    writer = create_ome_zarr(
        path, array.shape, array.dtype, spacing=(2, 1, 1), translation=(5, 0, 0), unit="nm", **options
    )
    writer.write((0, 0, 0), array)
    return str(path)


def sample(folder, truth, affinities=None, name="affinities", **options):
    """A store with a prediction, as probabilities x 255, and its truth."""
    values = affinities_of(truth) if affinities is None else affinities
    encoded = np.rint(values * 255).astype(np.uint8)
    write(folder / "sample.zarr" / name, encoded, attributes={"polytome": {"scale": 1 / 255, "offset": 0.0}}, **options)
    return {"store": str(folder / "sample.zarr"), "truth": write(folder / "truth.zarr", truth.astype(np.uint16))}


def noisy(truth, seed=0):
    noise = np.random.default_rng(seed).normal(0, 0.3, (truth.ndim, *truth.shape))
    return np.clip(affinities_of(truth) + noise, 0, 1).astype(np.float32)


def read_table(path):
    with path.open(newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def read(store, name):
    volume = open_volume(f"{store}/{name}")
    return volume.read((0, 0, 0), volume.spatial_shape)[0]


def test_scores_equal_those_of_scikit_image():
    rng = np.random.default_rng(0)
    truth, segmentation = rng.integers(0, 5, (8, 9, 10)), rng.integers(0, 6, (8, 9, 10))
    scores = measure(segmentation, truth)
    split, merge = variation_of_information(truth, segmentation, ignore_labels=(0,))
    assert (scores["voi_split"], scores["voi_merge"]) == pytest.approx((split, merge))
    assert scores["voi_sum"] == pytest.approx(split + merge)
    error, first, second = adapted_rand_error(truth, segmentation, ignore_labels=(0,))
    recall, precision = first, second  # scikit-image names them the other way round
    assert (scores["rand_split"], scores["rand_merge"]) == pytest.approx((recall, precision))
    assert 1 - 2 * recall * precision / (recall + precision) == pytest.approx(error)
    assert "dice" not in scores


def test_splits_and_merges_lower_the_score_of_their_own_name():
    truth = np.repeat([[1, 2]], 8, axis=0)
    merged, split = measure(np.ones_like(truth), truth), measure(np.arange(16).reshape(8, 2) + 1, truth)
    assert (merged["rand_split"], merged["voi_split"]) == (1.0, 0.0)
    assert merged["rand_merge"] < 0.5 < merged["voi_merge"]
    assert (split["rand_merge"], split["voi_merge"]) == (1.0, 0.0)
    assert split["rand_split"] < 0.5 < split["voi_split"]


def test_dice_of_a_foreground_by_hand():
    truth, segmentation = np.array([1, 2, 0, 0]), np.array([7, 0, 8, 0])
    assert measure(segmentation, truth, is_foreground=True)["dice"] == 0.5
    assert measure(truth * 0, truth * 0, is_foreground=True)["dice"] == 1.0


def test_the_best_row():
    rows = [{"threshold": 0.3, "voi_sum": 1.0}, {"threshold": 0.6, "voi_sum": 0.5}]
    assert best_row(rows)["threshold"] == 0.6
    assert best_row([{**row, "dice": row["voi_sum"]} for row in rows])["threshold"] == 0.3


def test_a_table_of_averages_and_the_steps_in_the_stores(tmp_path):
    truths = [cells(seed=1), cells(seed=2)]
    samples = [sample(tmp_path / str(n), truth, noisy(truth, n)) for n, truth in enumerate(truths)]
    levels = [0.2, 0.5, 0.9]
    best = validate_samples(samples, tmp_path / "metrics/metrics_7.csv", thresholds=levels[::-1])
    table = read_table(tmp_path / "metrics/metrics_7.csv")
    assert [row["threshold"] for row in table] == levels
    assert best == min(table, key=lambda row: row["voi_sum"])
    expected = [
        variation_of_information(truth, read(one["store"], "segmentation").astype(int), ignore_labels=(0,))
        for one, truth in zip(samples, truths, strict=True)
    ]
    assert [best["voi_split"], best["voi_merge"]] == pytest.approx(np.mean(expected, axis=0).tolist())
    alone = tmp_path / "alone.csv"
    validate_samples(samples[:1], alone, thresholds=levels)
    assert read_table(alone) != table
    store = samples[0]["store"]
    np.testing.assert_array_equal(read(store, "truth"), truths[0])
    affinities = np.rint(noisy(truths[0], 0) * 255) / 255
    forward, backward = affinities, [np.roll(a, 1, axis) for axis, a in enumerate(affinities)]
    inner = (slice(1, -1),) * 3
    boundary = 1 - (sum(forward) + sum(backward)) / 6
    np.testing.assert_allclose(read(store, "boundary")[inner], boundary[inner], atol=1e-6)
    assert set(np.unique(read(store, "fragments"))) <= set(np.unique(read(store, "seeds")))
    assert read(store, "distance").dtype == np.float32
    volume = open_volume(f"{store}/segmentation")
    assert (volume.spacing, volume.translation, volume.unit) == ((2, 1, 1), (5, 0, 0), "nm")
    assert volume.attributes["polytome"]["threshold"] in levels


def test_ideal_affinities_score_better_than_noise(tmp_path):
    truth = cells()
    scores = {}
    for name, values in (("ideal", affinities_of(truth)), ("noisy", noisy(truth)), ("none", 0 * noisy(truth))):
        row = validate_samples([sample(tmp_path / name, truth, values)], tmp_path / f"{name}.csv", thresholds=[0.5])
        scores[name] = row["voi_sum"]
    assert scores["ideal"] < scores["noisy"] < scores["none"] / 3


def test_each_slice_is_a_sample_by_itself(tmp_path):
    truth = cells()
    within = noisy(truth)[1:]
    one = sample(tmp_path, truth, within)
    row = validate_samples([one], tmp_path / "m.csv", thresholds=[0.5], per_slice=True)
    segmentation = read(one["store"], "segmentation").astype(int)
    expected = [sum(variation_of_information(truth[z], segmentation[z], ignore_labels=(0,))) for z in range(len(truth))]
    assert row["voi_sum"] == pytest.approx(np.mean(expected))
    assert segmentation[3].min() == 1  # ids begin anew in each slice


def test_background_is_looked_for_where_it_is_asked_for(tmp_path):
    dice = {}
    for has_background in (False, True):
        one = sample(tmp_path / str(has_background), balls())
        validate_samples([one], tmp_path / "m.csv", thresholds=[0.9], has_background=has_background, seed=1)
        dice[has_background] = measure(read(one["store"], "segmentation"), balls(), is_foreground=True)["dice"]
    assert dice[False] < 0.5
    assert dice[True] > 0.9


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("per_slice", [False, True])
def test_a_foreground_is_its_last_channel(tmp_path, channels, per_slice):
    truth = balls()
    probability = np.where(truth > 0, 0.7, 0.2).astype(np.float32)
    values = np.stack([1 - probability, probability])[-channels:]
    one = sample(tmp_path, truth, values, name="foreground", channel_axis=True)
    row = validate_samples(
        [one], tmp_path / "m.csv", prediction="foreground", thresholds=[0.1, 0.5], per_slice=per_slice
    )
    assert (row["threshold"], row["voi_sum"]) == (0.5, 0.0)
    assert row["dice"] == 1.0


def test_a_region_of_the_truth(tmp_path):
    truth = cells()
    part = truth[4:12, :, 2:20]
    one = sample(tmp_path, part) | {"truth": write(tmp_path / "whole.zarr", truth.astype(np.uint16))}
    with pytest.raises(ValueError, match=r"has \[8, 20, 18\] voxels, but the truth .*whole.zarr \[16, 20, 24\]; give"):
        validate_samples([one], tmp_path / "m.csv")
    row = validate_samples([{**one, "region": [[4, 0, 2], [12, 20, 20]]}], tmp_path / "m.csv")
    assert row["voi_sum"] < 0.3
    np.testing.assert_array_equal(read(one["store"], "truth"), part)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"prediction": "affinity"},
            "prediction: expected one of affinities, foreground; got 'affinity'.*'affinities'",
        ),
        ({"thresholds": []}, r"at least one sample and one threshold, got 1 and \[\]"),
        ({"samples": []}, "at least one sample and one threshold, got 0"),
        ({"prediction": "foreground"}, "foreground"),
        ({"thresholds": [2]}, r"thresholds must be boundary strengths from 0 to 1, at least one; got \[2.0\]"),
        ({"per_slice": True}, "expected affinities along each of 2 axes, got 3 channels"),
    ],
)
def test_what_cannot_be_validated_is_named(tmp_path, options, message):
    one = sample(tmp_path, cells())
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        validate_samples(**{"samples": [one], "metrics": tmp_path / "m.csv", **options})


def test_more_channels_than_background_and_foreground_are_named(tmp_path):
    one = sample(tmp_path, cells(), name="foreground")
    with pytest.raises(ValueError, match="expected a foreground of 1 channel, or background and foreground, got 3"):
        validate_samples([one], tmp_path / "m.csv", prediction="foreground")
