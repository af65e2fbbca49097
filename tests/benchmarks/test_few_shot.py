"""What the benchmark of few points trains, and how it sums it up."""

import json

import few_shot
import numpy as np
import pytest
from scipy import ndimage

from scripts.segmentation import Components
from scripts.volumes import open_volume

SETTINGS = {"iterations": 20}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("few_shot")


@pytest.fixture(scope="module")
def data(folder) -> few_shot.Data:
    """Bright blobs of which one threshold is the truth."""
    values = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(56, 32, 32)), 3)
    blobs = values > np.quantile(values, 0.7)
    paths = few_shot.parts(
        folder,
        32,
        (1.0, 1.0, 1.0),
        image=values.astype(np.float32),
        foreground=blobs.astype(np.uint8),
        objects=ndimage.label(blobs)[0].astype(np.uint16),
    )
    settings = {"patch_size": [24, 24, 24], "features_per_stage": [4, 8], "n_blocks_per_stage": [1, 1]}
    return few_shot.Data(**paths, segmenter=Components("foreground", above=0.5), settings=settings)


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(few_shot.harness, "RESULTS", tmp_path)
    return tmp_path


def test_the_parts_of_a_volume_are_cut_at_a_plane_and_each_is_a_store_of_its_own(data):
    train, test = (open_volume(data.foreground[part]) for part in ("train", "test"))
    assert (train.spatial_shape, test.spatial_shape) == ((32, 32, 32), (24, 32, 32))


@pytest.mark.long
def test_a_head_on_raw_values_finds_what_a_threshold_defines(data, folder, tmp_path):
    run = few_shot.train(data, "raw", 64, 0, 100, folder, tmp_path)
    assert run["dice"] > 0.8  # all foreground: 0.46
    assert run["dice"] == run["curve"][100]
    assert set(run["curve"]) == {n for n in few_shot.CHECKED if n < 100} | {100}
    assert run["voi"] == pytest.approx(run["voi_split"] + run["voi_merge"])


@pytest.mark.parametrize(
    "method",
    [
        pytest.param("pretrained", marks=pytest.mark.long),
        "scratch",
        "tuned",
        pytest.param("dense", marks=pytest.mark.long),
    ],
)
def test_every_method_trains_and_is_scored(data, folder, tmp_path, results, method):
    few_shot.pretrained(data, folder, 5, SETTINGS, "blobs")
    run = few_shot.train(data, method, None if method == "dense" else 8, 0, 5, folder, tmp_path)
    assert 0 <= run["dice"] <= 1
    head_alone = few_shot.NETWORK["h_channels"] * 13 + 2 * 13
    assert (run["parameters"] == head_alone) is (method == "pretrained")


def run(method: str, k: int | None, seed: int, dice: float, seconds: float = 1.0, **curve: float) -> dict:
    return {
        "data": "em", "method": method, "k": k, "seed": seed, "dice": dice, "s_per_iteration": seconds,
        "voi": 3.0, "voi_split": 1.0, "voi_merge": 2.0, "curve": {n[1:]: score for n, score in curve.items()},
    }  # fmt: skip


CONTENT = {
    "pretraining": {"em": {"seconds": 100.0, "embedding_s": 7.0}},
    "runs": [
        run("scratch", 16, 0, 0.3, 2.0),
        run("scratch", 16, 1, 0.5, 4.0),
        run("pretrained", 16, 0, 0.6, 0.5, n10=0.2, n20=0.4, n300=0.6),
        run("pretrained", 16, 1, 0.4, 0.5, n10=0.3, n300=0.4),
        run("dense", None, 0, 0.8),
    ],
}


def test_a_row_holds_means_over_seeds_and_the_lead_over_the_same_points_from_scratch():
    dense, pretrained, scratch = few_shot.summary(CONTENT, "em")
    assert (dense["method"], dense["ahead"], dense["points"]) == ("dense", None, None)
    assert (scratch["dice"], scratch["ahead"], scratch["s_per_iteration"]) == pytest.approx((0.4, 0.0, 3.0))
    assert (pretrained["dice"], pretrained["ahead"]) == pytest.approx((0.5, 0.1))
    assert (pretrained["dice_low"], pretrained["dice_high"], pretrained["seeds"]) == (0.4, 0.6, 2)
    assert few_shot.summary(CONTENT, "nuclei") == []


def test_time_to_an_equal_score_counts_the_seeds_that_get_there_and_what_pre_training_takes():
    _, pretrained, scratch = few_shot.summary(CONTENT, "em")
    assert (pretrained["equal_seeds"], pretrained["equal_s"]) == (1, 10.0)
    assert pretrained["equal_with_pretraining_s"] == 117.0
    assert scratch["equal_seeds"] == 0


def test_results_of_other_settings_are_not_gone_on_with(results):
    (results / "few_shot.json").write_text(json.dumps({"iterations": 300, "pretraining": {}, "runs": []}))
    assert few_shot.results({"iterations": 300})["runs"] == []
    with pytest.raises(ValueError, match=r"have \{'iterations': 300\}"):
        few_shot.results({"iterations": 20})


def test_heads_of_another_pre_training_are_not_put_among_those_that_are_there(data, tmp_path, results):
    content = {**SETTINGS, "pretraining": {"blobs": {"iterations": 600}}, "runs": []}
    (results / "few_shot.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="--pretraining 400: results of blobs rest on 600"):
        few_shot.pretrained(data, tmp_path, 400, SETTINGS, "blobs")
