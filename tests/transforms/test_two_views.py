"""Two views of a patch whose voxels hold their own place in the volume: equal rows of points must read equal places."""

import numpy as np
import pytest
import torch
from monai.data import DataLoader, MetaTensor
from monai.transforms import (
    CenterSpatialCropd,
    Compose,
    EnsureTyped,
    OneOf,
    Rand3DElasticd,
    RandAffined,
    RandFlipd,
    RandGaussianNoised,
    RandRotate90d,
    RandSpatialCropd,
    RandZoomd,
)
from scipy.interpolate import LinearNDInterpolator
from scipy.ndimage import map_coordinates

from scripts.geometry.point_sampling import sample_at_points
from scripts.patches import PatchDataset, PatchSampler
from scripts.transforms import (
    LoadZarrPatchd,
    RandMirrord,
    RandSpatialDrawd,
    RandTwoSpatialDrawsd,
    SpatialDraw,
    TwoSpatialDraws,
    TwoViewsd,
    points_in_view,
)
from scripts.volumes import create_ome_zarr

SHAPE, SPACING, TRANSLATION = (40, 60, 50), (2.0, 1.0, 1.5), (100.0, -5.0, 7.0)
SIZE = [16, 24, 20]
SPACE = {
    "prob_rotation": 1.0,
    "prob_scaling": 1.0,
    "prob_elastic": 1.0,
    "elastic_displacement": [3.0, 4.0],
    "elastic_spacing": 12.0,
    "spacing": SPACING,
    "max_enlargement": 4.0,
}
FLIPS = [RandMirrord("image"), RandRotate90d("image", 0.7, spatial_axes=(1, 2)), RandFlipd("image", 0.5, 0)]
BLOBS = np.array([[18.3, 27.6, 22.4], [22.1, 33.2, 27.7]])


@pytest.fixture(scope="module")
def volume(tmp_path_factory):
    """Channels: the index along z, y and x; blobs at known places."""
    index = np.indices(SHAPE).astype(np.float32)
    squared = ((index[None] - BLOBS[..., None, None, None]) * np.array(SPACING)[:, None, None, None]) ** 2
    blobs = np.exp(-squared.sum(axis=1) / (2 * 2.0**2)).astype(np.float32)
    folder = tmp_path_factory.mktemp("volume")
    for name, array in (("index", index), ("blobs", blobs)):
        writer = create_ome_zarr(
            folder / f"{name}.zarr", array.shape, array.dtype, spacing=SPACING, translation=TRANSLATION, unit="um",
            chunks=(16, 16, 16),
        )  # fmt: skip
        writer.write((0, 0, 0), array)
    return folder


def datum(volume, name="index", start=(12, 18, 15), size=SIZE, **more):
    return {"image": str(volume / f"{name}.zarr"), "start": list(start), "size": list(size), "volume": 0, **more}


def chain(augment=(), space=SPACE, n_points=300, **options):
    return Compose(
        [RandTwoSpatialDrawsd(**space), LoadZarrPatchd("image"), TwoViewsd(augment, n_points=n_points, **options)]
    )


def places(sample, number):
    """Index in the volume that each point of a view reads, n 3."""
    view = sample[f"view_{number}"].as_tensor()
    return sample_at_points(view[None], sample[f"points_{number}"][None])[0].numpy()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("augment", [[], FLIPS], ids=["drawn", "drawn and augmented"])
def test_both_views_show_the_same_place_at_each_point(volume, seed, augment):
    sample = chain(augment).set_random_state(seed)(datum(volume))
    first, second = places(sample, 1), places(sample, 2)
    assert np.isfinite(first).all()
    np.testing.assert_allclose(first, second, atol=0.1)
    assert np.abs(first - second).mean() < 0.02
    assert (first >= np.array([12, 18, 15]) - 0.1).all()
    assert (first <= np.array([12, 18, 15]) + SIZE + 0.1).all()
    assert float((sample["points_1"] - sample["points_2"]).abs().mean()) > 0.3  # the comparison can fail
    for number in (1, 2):
        assert sample[f"view_{number}"].shape[0] == 3
        assert sample[f"points_{number}"].dtype == torch.float32
        last = torch.tensor(sample[f"view_{number}"].shape[1:]) - 1
        assert ((sample[f"points_{number}"] >= 0) & (sample[f"points_{number}"] <= last)).all()
    assert "image" not in sample
    assert sample["patch"]["start"].tolist() == [12, 18, 15]
    assert sample["patch"]["size"].tolist() == SIZE


@pytest.mark.parametrize("seed", range(3))
def test_affines_and_zooms_of_monai_are_followed(volume, seed):
    augment = [
        RandAffined(
            "image",
            prob=1.0,
            rotate_range=(0.3, 0.2, 0.1),
            shear_range=(0.1,) * 6,
            scale_range=(0.1,) * 3,
            padding_mode="border",
        ),
        RandZoomd("image", 1.0, 0.8, 1.3, mode="trilinear", padding_mode="edge"),
        CenterSpatialCropd("image", (14, 22, 18)),
    ]
    sample = chain(augment, {**SPACE, "prob_elastic": 0}).set_random_state(seed)(datum(volume))
    assert sample["view_1"].shape == (3, 14, 22, 18)
    first, second = places(sample, 1), places(sample, 2)
    shown = np.ones(len(first), bool)
    for number in (1, 2):  # where the affine shows what the patch does not hold, its border is continued
        inner = sample[f"points_{number}"].numpy()
        shown &= ((inner > 2) & (inner < np.array([11, 19, 15]))).all(axis=1)
    assert shown.sum() > 50
    assert np.median(np.abs(first - second)[shown]) < 0.02


@pytest.mark.parametrize("seed", range(2))
def test_centroids_of_blobs_agree_with_the_points(volume, seed):
    """Points around a blob say where its centroid in the first view lies in the second."""
    sample = chain(FLIPS, n_points=1500).set_random_state(seed)(datum(volume, "blobs"))
    carried = LinearNDInterpolator(sample["points_1"].numpy(), sample["points_2"].numpy())
    for blob in range(2):
        centroids = []
        for number in (1, 2):
            weights = sample[f"view_{number}"][blob].numpy() ** 2
            centroids.append((np.indices(weights.shape) * weights).sum(axis=(1, 2, 3)) / weights.sum())
        np.testing.assert_allclose(carried(centroids[0])[0], centroids[1], atol=0.15)


def test_points_in_a_view_are_where_the_image_was_read(volume):
    draw = SpatialDraw((20.0, -10.0, 5.0), (1.1,) * 3, 12.0, 4.0, elastic_seed=5)
    points = torch.from_numpy(np.random.default_rng(0).uniform(3, np.array(SIZE) - 4, (200, 3)))
    sample = LoadZarrPatchd("image")(datum(volume))
    pair = TwoSpatialDraws(draw, SpatialDraw())
    view = TwoViewsd(n_points=4)({**sample, "spatial": pair})["view_1"].numpy()
    found = points_in_view(points, draw, SIZE, SPACING).numpy()
    compared = ((found > 1) & (found < np.array(SIZE) - 2)).all(axis=1)
    assert compared.sum() > 50
    read = np.stack([map_coordinates(channel, found.T, order=1) for channel in view], axis=1) - [12, 18, 15]
    inside = compared & ((read > 1) & (read < np.array(SIZE) - 2)).all(axis=1)
    np.testing.assert_allclose(read[inside], points.numpy()[inside], atol=0.1)


def test_without_a_draw_the_views_are_the_patch(volume):
    sample = chain((), {"prob_rotation": 0, "prob_scaling": 0}).set_random_state(0)(datum(volume))
    plain = LoadZarrPatchd("image")(datum(volume))["image"].as_tensor()
    for number in (1, 2):
        assert torch.equal(sample[f"view_{number}"].as_tensor(), plain)
    assert torch.equal(sample["points_1"], sample["points_2"])
    spread = sample["points_1"].numpy() / (np.array(SIZE) - 1)
    assert np.abs(spread.mean(axis=0) - 0.5).max() < 0.06
    assert np.abs(spread.std(axis=0) - 12**-0.5).max() < 0.04
    sample["view_1"] += 1
    assert torch.equal(sample["view_2"].as_tensor(), plain)


def test_what_is_not_random_space_is_drawn_for_each_view():
    image = MetaTensor(torch.zeros(1, 8, 8, 8))
    sample = TwoViewsd([RandGaussianNoised("image", 1.0)], n_points=5).set_random_state(1)({"image": image})
    assert float((sample["view_1"] - sample["view_2"]).abs().mean()) > 0.05
    assert (image == 0).all()


def test_options_of_the_resampling_and_the_key():
    generator = torch.Generator().manual_seed(0)
    image = MetaTensor(torch.randint(1, 9, (1, 8, 8, 8), generator=generator).float())
    draw = RandTwoSpatialDrawsd(1, 30, 1, [1.5, 1.5]).set_random_state(0)
    sample = {"scan": image, "spatial": draw({"image": image})["spatial"]}
    linear = TwoViewsd(n_points=5, key="scan")(sample)["view_1"]
    nearest = TwoViewsd(n_points=5, key="scan", image_mode="nearest")(sample)["view_1"]
    zero = TwoViewsd(n_points=5, key="scan", image_mode="nearest", outside="zero")(sample)["view_1"]
    assert (linear % 1 != 0).any()
    assert set(nearest.unique().tolist()) <= set(range(1, 9))
    assert 0.2 < float((zero == 0).float().mean()) < 0.9
    assert torch.equal(nearest[zero != 0], zero[zero != 0])


def test_slices_keep_their_points(volume):
    space = {**SPACE, "in_plane": True}
    flat = chain([RandMirrord("image", axes=(1, 2))], space, n_points=100)
    sample = flat.set_random_state(2)(datum(volume, size=[1, 24, 20]))
    assert sample["view_1"].shape == (3, 1, 24, 20)
    for number in (1, 2):
        assert (sample[f"points_{number}"][:, 0] == 0).all()
    np.testing.assert_allclose(places(sample, 1), places(sample, 2), atol=0.1)


def test_planes_have_points_of_two_numbers():
    index = torch.stack(torch.meshgrid(torch.arange(12), torch.arange(9), indexing="ij")).float()
    transform = TwoViewsd([RandFlipd("image", 0.5, 0), RandFlipd("image", 0.5, 1)], n_points=20)
    differ = 0
    for seed in range(6):
        sample = transform.set_random_state(seed)({"image": MetaTensor(index)})
        first, second = (
            sample_at_points(sample[f"view_{n}"].as_tensor()[None], sample[f"points_{n}"][None]) for n in (1, 2)
        )
        torch.testing.assert_close(first, second, rtol=0, atol=1e-4)
        differ += not torch.equal(sample["points_1"], sample["points_2"])
    assert differ > 0


def test_the_density_counts_voxels_of_the_patch(volume):
    transform = chain(n_points=None, point_density=0.01)
    assert transform.set_random_state(0)(datum(volume))["points_1"].shape == (77, 3)  # 16 x 24 x 20 / 100


def test_points_lie_within_the_volume(volume):
    """Half the patch lies before the volume's first slice."""
    sample = chain(space={**SPACE, "prob_elastic": 0}).set_random_state(1)(datum(volume, start=(-8, 18, 15)))
    first = places(sample, 1)
    assert (first[:, 0] > -0.1).all()
    beside = first[:, 0] > 2  # of the border, which a view's voxels outside continue
    assert beside.sum() > 100
    np.testing.assert_allclose(first[beside], places(sample, 2)[beside], atol=0.1)


def test_what_two_small_views_do_not_share_is_absent(volume):
    """Each view is a cube of 8 voxels somewhere in the patch; few of 400 places, ten times over, lie in both."""
    loaded = LoadZarrPatchd("image")(datum(volume))
    transform = TwoViewsd([RandSpatialCropd("image", (8, 8, 8), random_size=False)], n_points=400)
    numbers = []
    for seed in range(30):
        try:
            sample = transform.set_random_state(seed)(loaded)
        except ValueError:
            continue
        present = torch.isfinite(sample["points_1"]).all(dim=1)
        n = int(present.sum())
        numbers.append(n)
        assert present[:n].all()
        assert sample["points_1"][n:].isnan().all()
        assert sample["points_2"][n:].isnan().all()
        np.testing.assert_allclose(places(sample, 1)[:n], places(sample, 2)[:n], atol=1e-3)
    assert 0 < min(numbers) <= max(numbers) < 400


def test_views_that_share_nothing_name_the_patch(volume):
    draw, load, views = chain(space=SPACE).set_random_state(0).transforms
    sample = load(draw(datum(volume, size=[1, 24, 20])))
    with pytest.raises(
        ValueError, match=r"index\.zarr, patch at \[12, 18, 15\] of size \[1, 24, 20\].*share no point.*in_plane: true"
    ):
        views(sample)


def test_the_seed_repeats_views_and_points_and_reaches_nested_transforms(volume):
    augment = [OneOf([RandGaussianNoised("image", 1.0), RandFlipd("image", 0.5, 2)]), RandMirrord("image")]
    first, again, other = (chain(augment).set_random_state(seed)(datum(volume)) for seed in (4, 4, 5))
    for key in ("view_1", "view_2", "points_1", "points_2"):
        assert torch.equal(torch.as_tensor(first[key]), torch.as_tensor(again[key]))
        assert not torch.equal(torch.as_tensor(first[key]), torch.as_tensor(other[key]))


def batches(volume, num_workers):
    data = [datum(volume, start=(z, 18, 15)) for z in (6, 10, 14)]
    transform = chain([RandMirrord("image"), RandGaussianNoised("image", 0.5)], n_points=50)
    sampler = PatchSampler(3, 6, seed=7)
    context = "forkserver" if num_workers else None
    dataset = PatchDataset(data, transform)
    return list(DataLoader(dataset, num_workers, sampler=sampler, batch_size=2, multiprocessing_context=context))


def test_batches_do_not_depend_on_the_process_that_makes_them(volume):
    alone, shared = batches(volume, 0), batches(volume, 1)
    assert alone[0]["view_1"].shape == (2, 3, *SIZE)
    assert alone[0]["points_2"].shape == (2, 50, 3)
    for one, other in zip(alone, shared, strict=True):
        for key in ("view_1", "view_2", "points_1", "points_2"):
            assert torch.equal(torch.as_tensor(one[key]), torch.as_tensor(other[key]))


def test_what_would_lose_the_points_is_refused(volume):
    elastic = Rand3DElasticd("image", (3, 4), (1, 2), prob=1.0)
    with pytest.raises(ValueError, match="augment: Rand3DElasticd deforms space"):
        TwoViewsd([OneOf([elastic])], n_points=5)
    with pytest.raises(ValueError, match="got n_points = None, point_density = None"):
        TwoViewsd()
    with pytest.raises(ValueError, match=r"got n_points = 5, point_density = 0\.1"):
        TwoViewsd(n_points=5, point_density=0.1)
    with pytest.raises(ValueError, match="got n_points = 0, point_density = None"):
        TwoViewsd(n_points=0)
    single = RandSpatialDrawd(1, 30, 1)({"image": MetaTensor(torch.zeros(1, 4, 4, 4))})
    with pytest.raises(ValueError, match="the sample holds one draw, that of RandSpatialDrawd"):
        TwoViewsd(n_points=5)(single)
    with pytest.raises(TypeError, match=r"key 'image': expected a MetaTensor.*got Tensor"):
        TwoViewsd([EnsureTyped("image", track_meta=False)], n_points=5)({"image": MetaTensor(torch.zeros(1, 4, 4, 4))})
