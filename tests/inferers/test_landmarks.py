"""Landmarks of images, by networks whose heatmaps are known: places, members, uncertainties."""

import numpy as np
import pytest
import torch
from PIL import Image
from tests.inferers.landmark_networks import (
    AMPLITUDE,
    Bright,
    Halving,
    Known,
    Sides,
    blobs,
    distances,
    table,
    write_image,
)
from torch import nn

from scripts.inferers import LandmarkInferer
from scripts.landmarks import EVALUATION_MODES, gaussian_heatmaps
from scripts.networks import MultiTaskUNet, PHDNet, halving_stages
from scripts.transforms import NormalizeImage
from scripts.volumes import open_volume

SHAPE = (24, 40, 32)
POINTS = [[10.3, 14.7, 9.2], [13.6, 25.25, 21.9]]
OTHER_ASPECT = (18, 20, 40)
WINDOW = (12, 16, 16)


def in_grid(points, shape, old=SHAPE):
    """Centre i of n voxels is at (i + 0.5) m / n - 0.5 of m voxels over the same extent."""
    return (np.array(points) + 0.5) * np.array(shape) / np.array(old) - 0.5


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A channel for each landmark."""
    path = tmp_path_factory.mktemp("image") / "x.zarr"
    return open_volume(write_image(path, blobs(SHAPE, POINTS, 3.0).astype(np.float32), (2.0, 1.0, 1.5), (5, 6, 7)))


@pytest.mark.parametrize("evaluation_mode", EVALUATION_MODES)
@pytest.mark.parametrize("input_size", [None, OTHER_ASPECT])
@pytest.mark.parametrize("inference_mode", ["fully_convolutional", "patchify_and_stitch"])
def test_known_points_come_back(image, input_size, inference_mode, evaluation_mode):
    network = Bright()
    inferer = LandmarkInferer(
        WINDOW, 4, inference_mode=inference_mode, input_size=input_size, evaluation_mode=evaluation_mode
    )
    prediction = inferer(image, network)
    grid = OTHER_ASPECT if input_size and evaluation_mode == "use_input_size" else SHAPE
    assert prediction.grid_shape == grid
    points, values = prediction.found["smha"]
    assert distances(points, in_grid(POINTS, grid)).max() < 0.05
    peaks = prediction.heatmaps.amax(dim=(1, 2, 3)).numpy()
    assert values == pytest.approx(peaks)
    assert (peaks > 0.85 * AMPLITUDE).all()
    assert prediction.heatmaps.shape[1:] == prediction.image.shape[1:] == torch.Size(input_size or SHAPE)
    assert prediction.members == prediction.columns == {}
    expected = WINDOW if inference_mode == "patchify_and_stitch" else tuple(input_size or SHAPE)
    assert {shape[2:] for shape in network.shapes} == {expected}


@pytest.mark.parametrize(
    ("decoding", "options", "within"),
    [("argmax", {}, 0.87), ("subpixel", {}, 0.02), ("soft_argmax", {"temperature": 5.0}, 0.02)],
)
def test_decodings(image, decoding, options, within):
    points, _ = LandmarkInferer(SHAPE, decoding=decoding, **options)(image, Bright()).found["smha"]
    assert distances(points, POINTS).max() < within
    assert (points == np.round(points)).all() == (decoding == "argmax")


def test_temperature_and_window_are_those_of_soft_argmax(image):
    def found(**options):
        inferer = LandmarkInferer(SHAPE, decoding="soft_argmax", **options)
        return distances(inferer(image, Bright()).found["smha"][0], POINTS)

    assert (found(temperature=1000.0) > 1).all()  # the background pulls
    assert (found(temperature=1000.0, window=4) < 0.5).all()


def test_a_map_without_peak_has_no_point(image):
    class Flat(Known):
        def forward(self, x):
            maps = super().forward(x)["heatmaps"].clone()
            maps[:, 1] = 3.0
            return {"heatmaps": maps}

    points, values = LandmarkInferer(SHAPE)(image, Flat([[4, 5, 6], [7, 8, 9]])).found["smha"]
    assert points[0] == pytest.approx([4, 5, 6], abs=1e-3)
    assert np.isnan(points[1]).all()
    assert values[1] == pytest.approx(3)


def test_whole_images_are_padded_to_what_the_network_can_halve(image):
    network = Halving()
    size = (9, 22, 30)
    inferer = LandmarkInferer(
        WINDOW, inference_mode="fully_convolutional", input_size=size, evaluation_mode="scale_pred_coords"
    )
    prediction = inferer(image, network)
    assert [shape[2:] for shape in network.shapes] == [(10, 24, 32)]  # multiples of 2, 4, 4
    assert prediction.heatmaps.shape[1:] == torch.Size(size)
    assert distances(prediction.found["smha"][0], POINTS).max() < 0.1


@pytest.mark.parametrize("shape", [(1, 45, 38), (1, 48, 40), (1, 20, 70)])
def test_whole_images_pass_a_u_net_of_any_depth(tmp_path, shape):
    """Padded on both sides with zeros to multiples of 8, as here by torch."""
    torch.manual_seed(0)
    stages = halving_stages((1, 32, 32), init_features=4)
    network = MultiTaskUNet(3, 1, table(), patch_size=(1, 32, 32), **stages).eval()
    array = np.random.default_rng(0).random((1, *shape), np.float32)
    volume = open_volume(write_image(tmp_path / "x.zarr", array))
    prediction = LandmarkInferer((1, 32, 32), inference_mode="fully_convolutional")(volume, network)
    missing = [-n % 8 for n in shape[1:]]
    (top, bottom), (left, right) = ((n // 2, n - n // 2) for n in missing)
    padded = nn.functional.pad(torch.from_numpy(array)[None], [left, right, top, bottom])
    with torch.no_grad():
        expected = network(padded)["heatmaps"][0, :, :, top : top + shape[1], left : left + shape[2]]
    assert torch.allclose(prediction.heatmaps, expected, atol=1e-5)


def test_a_phd_net_is_a_network_like_others(tmp_path):
    torch.manual_seed(0)
    array = np.random.default_rng(0).random((1, 12, 20, 18), np.float32)
    volume = open_volume(write_image(tmp_path / "x.zarr", array))
    network = PHDNet(3, 1, table(), (16, 16, 16), max_pool_factor=2, features=[4, 4, 4]).train()
    prediction = LandmarkInferer((16, 16, 16), inference_mode="fully_convolutional")(volume, network)
    assert network.training
    with torch.no_grad():
        expected = network.eval()(torch.from_numpy(array)[None])["heatmaps"]
    assert torch.allclose(prediction.heatmaps, expected[0], atol=1e-5)
    assert np.allclose(prediction.found["smha"][1], expected.amax(dim=(2, 3, 4))[0], atol=1e-5)


def test_pictures_are_volumes_of_one_slice(tmp_path):
    at = [[0, 20.3, 14.6], [0, 33.8, 40.1]]
    values = blobs((1, 50, 60), at, 4.0)[:, 0].sum(axis=0)  # H W
    Image.fromarray(np.round(values * 255).astype(np.uint8)).save(tmp_path / "x.png")
    inferer = LandmarkInferer((1, 40, 40), input_size=(1, 40, 40), fit_gaussian=True)
    prediction = inferer(open_volume(tmp_path / "x.png"), Sides())
    assert distances(prediction.found["smha"][0], at).max() < 0.06
    points, spread = prediction.found["gaussian"]
    assert distances(points, at).max() < 0.06
    assert spread == pytest.approx([np.sqrt(2) * 4] * 2, rel=0.05)
    columns = prediction.columns
    assert columns["gaussian_variance_yy"] == pytest.approx([16, 16], rel=0.05)
    assert columns["gaussian_variance_xx"] == pytest.approx([16, 16], rel=0.05)
    for name in ("variance_zz", "covariance_zy", "covariance_zx"):
        assert columns[f"gaussian_{name}"].tolist() == [0, 0]


def test_several_volumes_are_the_channels_of_one_image(image, tmp_path):
    parts = blobs(SHAPE, POINTS, 3.0).astype(np.float32)
    volumes = [open_volume(write_image(tmp_path / f"{n}.zarr", part[None])) for n, part in enumerate(parts)]
    for input_size in (None, OTHER_ASPECT):
        options = {"input_size": input_size, "image_transform": NormalizeImage("percentile")}
        found, expected = (LandmarkInferer(SHAPE, **options)(one, Bright()) for one in (volumes, image))
        assert torch.allclose(found.image, expected.image, atol=1e-5)
        assert distances(found.found["smha"][0], expected.found["smha"][0]).max() < 1e-4


def test_channels_of_other_voxels_are_placed_where_they_are(tmp_path):
    """The second one is the half of larger x, at half the voxel size."""
    first = np.zeros((1, 8, 8, 16), np.float32)
    second = np.ones((1, 16, 16, 16), np.float32)
    paths = (
        write_image(tmp_path / "a.zarr", first, (2, 2, 2), (1, 1, 1)),
        write_image(tmp_path / "b.zarr", second, (1, 1, 1), (0.5, 0.5, 16.5)),
    )
    volumes = [open_volume(path) for path in paths]
    prediction = LandmarkInferer((4, 4, 8), input_size=(4, 4, 8))(volumes, Bright())
    assert prediction.image[1, 0, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    message = r"one shape; got .*a\.zarr \[8, 8, 16\], .*b\.zarr \[16, 16, 16\]; give input_size or spacing"
    with pytest.raises(ValueError, match=message):
        LandmarkInferer((4, 4, 8))(volumes, Bright())


def test_the_network_gets_the_transformed_image(image):
    array = image.read((0, 0, 0), SHAPE)
    prediction = LandmarkInferer(SHAPE, image_transform=NormalizeImage())(image, Bright())
    expected = (array - array.mean(axis=(1, 2, 3), keepdims=True)) / array.std(axis=(1, 2, 3), keepdims=True)
    assert np.allclose(prediction.image, expected, atol=1e-4)
    assert np.allclose(prediction.heatmaps, expected * AMPLITUDE, atol=1e-2)


def test_a_pyramid_is_read_at_the_level_that_training_reads(tmp_path):
    noise = np.random.default_rng(0).random((1, 16, 32, 32), np.float32)
    path = write_image(tmp_path / "x.zarr", noise, levels=2)
    prediction = LandmarkInferer((8, 16, 16), input_size=(8, 16, 16))(open_volume(path), Bright(1))
    mean = noise.reshape(1, 8, 2, 16, 2, 16, 2).mean(axis=(2, 4, 6))
    assert np.allclose(prediction.image, mean, atol=1e-6)


def test_uncertainties_of_two_networks_by_hand(image):
    """The mean map is highest where the stronger network's is, at half of its height."""
    members = {
        "a": Known([[8, 10, 6], [12, 20, 16]], 100.0),
        "b": Known([[8, 13, 10], [12, 20, 16]], 60.0, sigma=0.8),
    }
    prediction = LandmarkInferer(SHAPE, members=members)(image, nn.Identity())
    assert list(prediction.found) == ["ecpv", "smha", "emha"]
    points, distance = prediction.found["ecpv"]
    assert distances(points, [[8, 11.5, 8], [12, 20, 16]]).max() < 1e-3
    assert distance == pytest.approx([2.5, 0], abs=1e-3)  # half of the 3, 4, 5 triangle
    points, activation = prediction.found["smha"]
    assert distances(points, members["a"].points[0]).max() < 1e-3
    assert activation == pytest.approx([100, 100])
    points, activation = prediction.found["emha"]
    far = 100 * np.exp(-25 / 8)  # of the first network at the second one's landmark
    assert points[0] == pytest.approx([8, 10, 6], abs=0.05)
    assert activation == pytest.approx([50, 80], rel=1e-3)
    assert prediction.heatmaps[0, 8, 13, 10] == pytest.approx((60 + far) / 2, rel=1e-3)
    assert list(prediction.members) == ["a", "b"]
    for name, network in members.items():
        assert distances(prediction.members[name], network.points[0]).max() < 1e-3


def test_members_read_by_their_mean_place_count_alike_however_steep_their_maps_are(image):
    """Heights differ by hundreds and mean nothing: what is averaged is the share of each voxel in its map."""

    class Raised(Known):
        def forward(self, x):
            return {"heatmaps": super().forward(x)["heatmaps"] + 300}

    members = {"a": Known([[8, 10, 6]], 200.0), "b": Raised([[8, 13, 10]], 40.0, sigma=1.0)}
    options = {"decoding": "soft_argmax", "temperature": 2.0, "members": members}
    prediction = LandmarkInferer(SHAPE, **options)(image, nn.Identity())
    shares, places = [], []
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    for network in members.values():
        values = np.exp(network(torch.zeros(1, 1, *SHAPE))["heatmaps"][0, 0].double().numpy() / 2.0 - 200)
        shares.append(values / values.sum())
        places.append((index * shares[-1][..., None]).sum(axis=(0, 1, 2)))
    mean = np.mean(shares, axis=0)
    assert np.allclose(prediction.heatmaps[0], mean, atol=1e-5)
    points, height = prediction.found["emha"]
    assert points[0] == pytest.approx(np.mean(places, axis=0), abs=0.01)
    assert height == pytest.approx([mean.max()], rel=1e-3)
    assert prediction.found["smha"][1] == pytest.approx([shares[0].max()], rel=1e-3)
    assert prediction.found["smha"][0][0] == pytest.approx(places[0], abs=0.01)


def test_s_mha_is_of_the_member_that_is_asked_for(image):
    members = {"a": Known([[8, 10, 6]], 100.0), "b": Known([[8, 13, 10]], 60.0)}
    inferer = LandmarkInferer(SHAPE, members=members, smha_member=1, uncertainties=["emha", "smha"])
    prediction = inferer(image, nn.Identity())
    assert list(prediction.found) == ["emha", "smha"]  # of what was asked for, the best is the prediction proper
    points, activation = prediction.found["smha"]
    assert points[0] == pytest.approx([8, 13, 10], abs=1e-3)
    assert activation == pytest.approx([60])
    with pytest.raises(ValueError, match="smha_member = 1, counted from 0, of 1 networks"):
        LandmarkInferer(SHAPE, smha_member=1)(image, Bright())


def test_of_one_pass_there_is_its_own_activation_alone(image):
    prediction = LandmarkInferer(SHAPE, uncertainties=["ecpv"])(image, Bright())
    assert list(prediction.found) == ["smha"]


def test_a_fitted_gaussian_is_scaled_with_the_image(image):
    sigma, at = (1.5, 2.0, 2.5), [[8.4, 9.7, 19.2]]

    class Oblong(Known):
        def forward(self, x):
            maps = gaussian_heatmaps(self.points, x.shape[2:], sigma, 50.0)
            return {"heatmaps": maps + 2}

    for mode, shape in (("use_input_size", OTHER_ASPECT), ("scale_pred_coords", SHAPE)):
        inferer = LandmarkInferer(OTHER_ASPECT, input_size=OTHER_ASPECT, evaluation_mode=mode, fit_gaussian=True)
        prediction = inferer(image, Oblong(at))
        scale = np.array(shape) / OTHER_ASPECT
        points, spread = prediction.found["gaussian"]
        assert distances(points, in_grid(at, shape, OTHER_ASPECT)).max() < 0.01
        variance = (np.array(sigma) * scale) ** 2
        for axis, expected in zip("zyx", variance, strict=True):
            assert prediction.columns[f"gaussian_variance_{axis}{axis}"] == pytest.approx([expected], rel=1e-3)
        for axes in ("zy", "zx", "yx"):
            assert prediction.columns[f"gaussian_covariance_{axes}"] == pytest.approx([0], abs=1e-3)
        assert spread == pytest.approx([np.sqrt(variance.sum())], rel=1e-3)
        assert list(prediction.found) == ["smha", "gaussian"]


def test_arguments_reach_the_network_and_its_target_is_chosen(image):
    class Shifting(nn.Module):
        def __init__(self):
            super().__init__()
            self.targets = {**table(), "others": table()["heatmaps"], "sheet": {"channels": 1}}

        def forward(self, x, voxels, *, along):
            moved = torch.roll(x, voxels, dims=along) * AMPLITUDE
            return {"heatmaps": x, "others": moved, "sheet": x[:, :1]}

    points, _ = LandmarkInferer(SHAPE, target="others")(image, Shifting(), 2, along=3).found["smha"]
    assert distances(points, np.add(POINTS, [0, 2, 0])).max() < 0.02
    with pytest.raises(ValueError, match=r"target = None, and the network's are heatmaps, others"):
        LandmarkInferer(SHAPE)(image, Shifting(), 2, along=3)
    with pytest.raises(ValueError, match=r"target = 'sheet', and the network's are heatmaps, others"):
        LandmarkInferer(SHAPE, target="sheet")(image, Shifting(), 2, along=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inference_mode": "whole"}, "inference_mode: expected fully_convolutional, patchify_and_stitch; got 'whole'"),
        ({"decoding": "sub_pixel"}, "decoding: expected argmax, .*; got 'sub_pixel' .did you mean 'subpixel'"),
        ({"evaluation_mode": "full"}, "evaluation_mode: expected scale_heatmap_first, .*; got 'full'"),
        ({"uncertainties": ["ecp"]}, "uncertainties: expected smha, emha, ecpv; got 'ecp' .did you mean 'ecpv'"),
        ({"uncertainties": []}, r"at least one of uncertainties.*; got uncertainties = \[\]"),
        ({"smha_member": -1}, "smha_member = -1"),
    ],
)
def test_wrong_settings(options, message):
    with pytest.raises(ValueError, match=message):
        LandmarkInferer(SHAPE, **options)
