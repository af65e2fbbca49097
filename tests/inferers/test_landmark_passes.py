"""Passes over mirror images and with dropout, as members of what is uncertain."""

import numpy as np
import pytest
import torch
from tests.inferers.landmark_networks import AMPLITUDE, Bright, Coins, Sides, blobs, distances, write_image

from scripts.inferers import LandmarkInferer
from scripts.inferers.landmark_passes import LandmarkPasses
from scripts.volumes import open_volume

SHAPE = (24, 40, 32)
POINTS = [[10.3, 14.7, 9.2], [13.6, 25.25, 21.9]]


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A channel for each landmark."""
    path = tmp_path_factory.mktemp("image") / "x.zarr"
    return open_volume(write_image(path, blobs(SHAPE, POINTS, 3.0).astype(np.float32)))


@pytest.fixture(scope="module")
def grey(tmp_path_factory):
    """Both in one channel."""
    path = tmp_path_factory.mktemp("grey") / "x.zarr"
    return open_volume(write_image(path, blobs(SHAPE, POINTS, 3.0).sum(axis=0, keepdims=True).astype(np.float32)))


def test_mirrored_passes_find_the_same_points_where_pairs_change_places(grey):
    options = {"mirror_axes": ["y", "x"], "inference_mode": "fully_convolutional"}
    prediction = LandmarkInferer(SHAPE, pairs=[[0, 1]], **options)(grey, Sides())
    assert list(prediction.members) == ["network", "network_mirror_y", "network_mirror_x", "network_mirror_yx"]
    # an odd number of mirrors makes a left landmark a right one: of two it is a rotation
    first = prediction.members["network"]
    assert distances(first, POINTS).max() < 0.02
    assert distances(prediction.members["network_mirror_y"], first[::-1]).max() < 1e-3
    assert distances(prediction.members["network_mirror_x"], first).max() < 1e-3
    assert distances(prediction.members["network_mirror_yx"], first[::-1]).max() < 1e-3
    only_x = LandmarkInferer(SHAPE, pairs=[["left", "right"]], names=["left", "right"], mirror_axes=["x"])
    prediction = only_x(grey, Sides())
    for method in ("ecpv", "smha", "emha"):
        assert distances(prediction.found[method][0], POINTS).max() < 0.02
    assert prediction.found["ecpv"][1].max() < 1e-3
    unpaired = LandmarkInferer(SHAPE, mirror_axes=["x"])(grey, Sides())
    assert distances(unpaired.members["network_mirror_x"], POINTS[::-1]).max() < 0.02
    half = np.linalg.norm(np.subtract(*POINTS)) / 2
    assert unpaired.found["ecpv"][1] == pytest.approx([half, half], abs=0.02)


def test_mirrored_passes_that_agree_change_nothing(image):
    plain = LandmarkInferer(SHAPE)(image, Bright()).found["smha"]
    prediction = LandmarkInferer(SHAPE, mirror_axes=["z", "y", "x"])(image, Bright())
    assert len(prediction.members) == 8
    assert torch.allclose(prediction.heatmaps, AMPLITUDE * prediction.image, atol=1e-4)
    for method in ("smha", "emha"):
        assert distances(prediction.found[method][0], plain[0]).max() < 1e-3
        assert prediction.found[method][1] == pytest.approx(plain[1])


def test_dropout_at_work_makes_members_that_differ(image):
    torch.manual_seed(0)
    network = Coins().train()
    prediction = LandmarkInferer(SHAPE, mc_dropout=8)(image, network)
    assert list(prediction.members) == [f"network_draw{n}" for n in range(1, 9)]
    x = np.array([points[0, 2] for points in prediction.members.values()])
    is_far = np.abs(x - 10) < 1e-2
    assert (is_far | (np.abs(x - 6) < 1e-2)).all()
    assert 0 < is_far.sum() < 8
    points, distance = prediction.found["ecpv"]
    assert points[0, 2] == pytest.approx(x.mean())
    assert distance[0] == pytest.approx(np.abs(x - x.mean()).mean(), abs=1e-3)
    assert set(network.was_training) == {(True, False)}  # the dropout alone
    assert network.training
    assert network.dropout.training


def test_what_is_dropped_follows_from_the_seed_alone(image):
    network = Coins()

    def places(seed):
        members = LandmarkInferer(SHAPE, mc_dropout=8, seed=seed)(image, network).members
        return [points[0, 2].item() for points in members.values()]

    torch.manual_seed(5)
    first = places(0)
    following = torch.rand(3)
    torch.manual_seed(6)
    assert places(0) == first
    assert places(1) != first
    assert places(1)[:-1] != first[1:]  # nor the same draws moved on by one
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), following)  # nothing of the generator is used up


def test_without_dropout_at_work_layers_stay_as_in_evaluation(image):
    network = Coins().eval()
    LandmarkInferer(SHAPE)(image, network)
    assert set(network.was_training) == {(False, False)}
    LandmarkInferer(SHAPE, mc_dropout=2)(image, network)
    assert not network.training
    assert not network.dropout.training


@pytest.mark.parametrize("network", [Bright(), Coins(p=0.0)])
def test_dropout_needs_layers(image, network):
    with pytest.raises(ValueError, match="mc_dropout: the network has no dropout; train it with a 'dropout' above 0"):
        LandmarkInferer(SHAPE, mc_dropout=2)(image, network)


def test_pairs_of_landmarks_that_there_are_not(image):
    with pytest.raises(ValueError, match="pairs: there is no landmark 2: there are 2, from 0"):
        LandmarkInferer(SHAPE, pairs=[[0, 2]], mirror_axes=["x"])(image, Bright())


def test_modes_of_all_modules_are_restored(image):
    network = Coins().train()
    network.norm.eval()  # as one that is frozen
    for _ in LandmarkPasses(2)(torch.zeros(1, 16, 16, 16), network, lambda x: network(x)["heatmaps"]):
        assert not network.training
    assert (network.training, network.dropout.training, network.norm.training) == (True, True, False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mirror_axes": ["w"]}, "mirror_axes: expected some of z, y, x; got 'w'"),
        ({"mirror_axes": ["zy"]}, "got 'zy'"),
        ({"mc_dropout": -1}, "mc_dropout is a number of passes, at least 0; got -1"),
        ({"pairs": [[0, "ear"]]}, r"pairs: expected two landmarks .*; got \[0, 'ear'\], and the names are not given"),
        ({"pairs": [["eye", "ear"]], "names": ["eye"]}, r"got \['eye', 'ear'\], and the names are eye"),
        ({"pairs": [[0, 1, 2]]}, r"got \[0, 1, 2\]"),
    ],
)
def test_wrong_settings(options, message):
    with pytest.raises(ValueError, match=message):
        LandmarkInferer(SHAPE, **options)
