"""Points through spatial transforms, against moving a whole label, and against an image of positions."""

import numpy as np
import pytest
import torch
from monai.data import DataLoader, MetaTensor
from monai.transforms import Affined, Compose, Flipd, Rotate90d, SpatialCropd, SpatialPadd

from scripts.patches import PatchDataset, SeededIndex, add_start_ranges, make_datalist, point_patches
from scripts.transforms import (
    ApplySpatiald,
    LoadPointsd,
    LoadZarrPatchd,
    PatchPoints,
    PointLabelsd,
    RandMirrord,
    RandPatchStartd,
    RandSpatialDraw,
    RandSpatialDrawd,
    RandTransposed,
    SpatialDraw,
    mark_points,
)
from scripts.volumes import Point, create_ome_zarr, write_points

SHAPE, SPACING, TRANSLATION = (24, 40, 36), (2.0, 1.0, 1.5), (100.0, -5.0, 7.0)
START, SIZE = (6, 10, 8), (10, 18, 16)
TARGETS = {"cell": {"channels": 3}, "depth": {"channels": 1, "kind": "scalar"}}
KEYS = ["image", "cell"]


@pytest.fixture(scope="module")
def points():
    """Some 60 voxels of the volume, and each corner of the patch."""
    rng = np.random.default_rng(0)
    places = [rng.integers(0, SHAPE).tolist() for _ in range(60)]
    places += [[START[0], START[1], START[2]], [START[0] + 9, START[1] + 17, START[2] + 15]]
    places = list(dict.fromkeys(map(tuple, places)))
    return [Point(*place, n % 3, 100 + n) for n, place in enumerate(places)]


@pytest.fixture(scope="module")
def volume(points, tmp_path_factory):
    """An image of three channels that hold z, y and x in voxels."""
    folder = tmp_path_factory.mktemp("volume")
    image = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij")).astype(np.float32)
    writer = create_ome_zarr(
        folder / "image.zarr", image.shape, "float32", spacing=SPACING, translation=TRANSLATION, unit="um",
        chunks=(8, 8, 8),
    )  # fmt: skip
    writer.write((0, 0, 0), image)
    write_points(folder / "points.csv", points)
    return {"image": str(folder / "image.zarr"), "points": str(folder / "points.csv")}


def datum(volume, **more):
    return {**volume, "start": list(START), "size": list(SIZE), "volume": 0, **more}


def dense(points, value="label"):
    """The label of the patch, by hand: 1 D H W."""
    label = np.full(SHAPE, -1)
    for point in points:
        label[point[:3]] = getattr(point, value)
    return label[tuple(slice(s, s + n) for s, n in zip(START, SIZE, strict=True))][None]


def chain(*transforms, before=(), value="label"):
    return Compose(
        [*before, LoadZarrPatchd(KEYS, TARGETS), LoadPointsd(), *transforms, PointLabelsd("cell", value=value)]
    )


@pytest.mark.parametrize("value", ["label", "instance"])
def test_a_patch_holds_its_points_and_is_unknown_elsewhere(volume, points, value):
    sample = chain(value=value)(datum(volume))
    assert sample["cell"].dtype == (torch.int32 if value == "label" else torch.int64)
    assert np.array_equal(sample["cell"].numpy(), dense(points, value))
    assert (sample["cell"] >= 0).sum() >= 4
    assert torch.equal(sample["cell"].affine, sample["image"].affine)
    assert "points" not in sample
    plain = LoadZarrPatchd(KEYS, TARGETS)({key: item for key, item in datum(volume).items() if key != "points"})
    assert set(sample) == set(plain)
    assert (plain["cell"] == -1).all()


def test_flips_rotations_and_crops_move_points_with_their_voxels(volume, points):
    moves = [
        Flipd(KEYS, spatial_axis=1),
        Rotate90d(KEYS, k=1, spatial_axes=(0, 2)),
        SpatialPadd(KEYS, spatial_size=[20, 20, 20]),
        SpatialCropd(KEYS, roi_start=[2, 3, 0], roi_end=[20, 18, 14]),
        Rotate90d(KEYS, k=3, spatial_axes=(1, 2)),
        Flipd(KEYS, spatial_axis=[0, 2]),
    ]
    expected = np.flip(dense(points), 2)
    expected = np.rot90(expected, 1, (1, 3))  # 16 18 10
    expected = np.pad(expected, [(0, 0), (2, 2), (1, 1), (5, 5)], constant_values=-1)[:, 2:20, 3:18, 0:14]
    expected = np.flip(np.rot90(expected, 3, (2, 3)), (1, 3))
    found = chain(*moves)(datum(volume))["cell"]
    assert np.array_equal(found.numpy(), expected)
    assert (found >= 0).sum() >= 2


@pytest.mark.parametrize("seed", range(4))
def test_the_bundles_own_mirroring_and_transposing_move_points(volume, points, seed):
    """The image says where each voxel was."""
    cube = {**datum(volume), "start": [4, 8, 8], "size": [16, 16, 16]}
    moved = chain(RandMirrord(KEYS, 0.7), RandTransposed(KEYS, 0.9)).set_random_state(seed)(cube)
    known = {point[:3]: point.label for point in points}
    where = moved["image"].as_tensor().reshape(3, -1).T.int().tolist()
    assert moved["cell"].flatten().tolist() == [known.get(tuple(place), -1) for place in where]


def check_places(sample, points):
    """Each point that is inside stands once, at the voxel nearest to it on the new grid; returns how many do.

    The image holds the old index of each new voxel, so that its derivative says how far a point lies from a voxel in
    steps of the new grid; a deformation bends these steps by some hundredths.
    """
    where = sample["image"].as_tensor().double().numpy()  # 3 D H W
    slope = np.moveaxis(np.stack(np.gradient(where, axis=(1, 2, 3)), axis=1), (0, 1), (3, 4))  # D H W 3 3
    steepness = np.abs(np.linalg.det(slope))
    is_sound = steepness > 0.2 * np.median(steepness)  # the border of the volume is continued
    slope[~is_sound] = np.eye(3)
    label = sample["cell"][0].numpy()
    instances, times = np.unique(label[label >= 0], return_counts=True)
    assert (times == 1).all()
    for point in points:
        offset = np.moveaxis(np.reshape(point[:3], (3, 1, 1, 1)) - where, 0, 3)  # D H W 3
        steps = np.abs(np.linalg.solve(slope, offset[..., None])[..., 0]).max(axis=3)
        steps[~is_sound] = np.inf
        if point.instance in instances:
            assert steps[label == point.instance].item() < 0.55, point
        else:
            assert steps[1:-1, 1:-1, 1:-1].min() > 0.45, point
    return len(instances)


@pytest.mark.parametrize("elastic", [0.0, 1.0], ids=["affine", "elastic"])
@pytest.mark.parametrize("seed", range(4))
def test_turned_stretched_and_deformed_patches_have_points_where_their_image_says(volume, points, elastic, seed):
    draw = RandSpatialDrawd(
        prob_rotation=1, prob_scaling=1, prob_elastic=elastic, scaling=[0.8, 1.1], elastic_spacing=8,
        elastic_displacement=[2, 2], spacing=SPACING, max_enlargement=3,
    )  # fmt: skip
    moves = [ApplySpatiald(KEYS, TARGETS), Flipd(KEYS, spatial_axis=2)]
    sample = chain(*moves, before=[draw], value="instance").set_random_state(seed)(datum(volume))
    assert sample["cell"].shape == (1, *SIZE)
    assert check_places(sample, points) >= 3


def test_a_draw_on_a_loaded_patch_moves_its_points(volume, points):
    """As `AugmentOnDevice` has it: the draw follows the loading."""
    draw = RandSpatialDrawd(prob_rotation=1, prob_elastic=1, elastic_spacing=8, elastic_displacement=[2, 2])
    load, apply = LoadZarrPatchd(KEYS, TARGETS), ApplySpatiald(KEYS, TARGETS)
    transform = Compose([load, draw, LoadPointsd(), apply, PointLabelsd("cell", value="instance")])
    assert check_places(transform.set_random_state(2)(datum(volume)), points) >= 3


def test_a_stock_affine_moves_points(volume, points):
    turn = Affined(KEYS, rotate_params=[0.3, 0.1, -0.2], scale_params=[0.9, 1.1, 1.0], mode=["bilinear", "nearest"])
    sample = chain(turn)(datum(volume))
    affine = np.linalg.inv(sample["image"].affine.numpy())
    expected = np.full((1, *SIZE), -1)
    for point in points:
        if not all(a <= n < a + size for n, a, size in zip(point, START, SIZE, strict=False)):
            continue
        position = np.multiply(point[:3], SPACING) + TRANSLATION
        at = np.rint(affine[:3, :3] @ position + affine[:3, 3]).astype(int)
        if (at >= 0).all() and (at < SIZE).all():
            expected[0, *at] = point.label
    assert np.array_equal(sample["cell"].numpy(), expected)
    assert (expected >= 0).sum() >= 3


def test_of_two_points_in_a_voxel_the_nearer_one_counts():
    array = MetaTensor(torch.zeros(2, 3, 3, 3), affine=torch.diag(torch.tensor([2.0, 2, 2, 1])))
    positions = torch.tensor(
        [[2.1, 2, 2], [2.9, 2, 2], [1.2, 2, 2], [0, 0, 4], [0, 0, 5.1], [-1.1, 0, 0], [torch.nan] * 3]
    )
    values = {"label": np.arange(5, 12), "instance": np.arange(7)}
    expected = np.full((1, 3, 3, 3), -1)
    expected[0, 1, 1, 1], expected[0, 0, 0, 2] = 5, 8
    for order in (np.arange(7), np.arange(7)[::-1]):
        points = PatchPoints(positions[order.copy()].double(), {key: item[order] for key, item in values.items()})
        assert np.array_equal(mark_points(array, points).numpy(), expected)
    with pytest.raises(TypeError, match="expected a MetaTensor"):
        mark_points(array.as_tensor(), points)


def test_labels_of_volumes_without_points_stay(volume):
    row = {key: item for key, item in datum(volume).items() if key != "points"}
    sample = chain(Flipd(KEYS, spatial_axis=0))(row)
    assert (sample["cell"] == -1).all()
    label = MetaTensor(torch.ones(1, 2, 2, 2))
    assert PointLabelsd("cell")({"cell": label})["cell"] is label
    assert LoadPointsd()({"cell": label}) == {"cell": label}


def test_patches_of_one_voxel_are_a_batch_of_points(volume, points):
    """What a head on saved embeddings is trained on: hundreds of voxels, each with its label."""
    data = add_start_ranges(make_datalist([volume], point_patches([volume], [1, 1, 1]), TARGETS), [volume])
    dataset = PatchDataset(data, Compose([RandPatchStartd(), chain()]))
    loader = DataLoader(dataset, batch_size=len(points), num_workers=0)
    (batch,) = list(loader)
    assert batch["cell"].shape == (len(points), 1, 1, 1, 1)
    found = {
        tuple(place): label
        for place, label in zip(batch["image"].flatten(1).int().tolist(), batch["cell"].flatten().tolist(), strict=True)
    }
    assert found == {point[:3]: point.label for point in points}


def test_moving_patches_of_points_never_come_without_one(volume, points):
    rows = [volume]
    patches = point_patches(rows, [8, 8, 8])
    assert len(patches) < len(points)
    data = add_start_ranges(make_datalist(rows, patches, TARGETS), rows, jitter=6)
    dataset = PatchDataset(data, Compose([RandPatchStartd(), chain()]))
    for seed in range(3):
        for n in range(len(data)):
            assert (dataset[SeededIndex(n, seed)]["cell"] >= 0).any()


def test_what_stands_at_the_wrong_place_is_named(volume):
    with pytest.raises(ValueError, match=r"'points' still is '.*points\.csv': place LoadPointsd after LoadZarrPatchd"):
        PointLabelsd("cell")(LoadZarrPatchd(KEYS, TARGETS)(datum(volume)))
    with pytest.raises(ValueError, match="place ApplySpatiald before PointLabelsd"):
        PointLabelsd("cell")({**LoadPointsd()(LoadZarrPatchd(KEYS, TARGETS)(datum(volume))), "spatial": SpatialDraw()})
    with pytest.raises(TypeError, match="key 'image': expected a MetaTensor"):
        LoadPointsd()({"image": torch.zeros(1, 2, 2, 2), "points": volume["points"]})
    with pytest.raises(ValueError, match="'points': expected the path of a CSV file; got list"):
        LoadPointsd()({"image": torch.zeros(1, 2, 2, 2), "points": [1, 2]})
    with pytest.raises(ValueError, match="value must be one of label, instance; got 'class'"):
        PointLabelsd("cell", value="class")
    loaded = {**LoadZarrPatchd(KEYS, TARGETS)(datum(volume)), "spatial": RandSpatialDraw()}
    with pytest.raises(ValueError, match="expected one draw, that of RandSpatialDrawd; got RandSpatialDraw, for two"):
        LoadPointsd()(loaded)
