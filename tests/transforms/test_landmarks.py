"""Landmarks through spatial transforms, against blobs in the image that move with its voxels."""

import json
import logging

import numpy as np
import pytest
import torch
from monai.data import DataLoader, MetaTensor
from monai.transforms import (
    Affined,
    CenterSpatialCropd,
    Compose,
    Flipd,
    RandAffined,
    Resized,
    Rotate90d,
    Rotated,
    SpatialCropd,
    SpatialPadd,
    Zoomd,
)
from PIL import Image

from scripts.engines import AugmentOnDevice
from scripts.patches import PatchDataset, SeededIndex, make_datalist, read_landmark_folds, volume_faults
from scripts.transforms import (
    ApplySpatiald,
    LandmarksToPointsd,
    LoadLandmarksd,
    LoadZarrPatchd,
    RandMirrord,
    RandSpatialDraw,
    RandSpatialDrawd,
    RandTransposed,
    SpatialDraw,
)
from scripts.volumes import create_ome_zarr

SHAPE, SPACING, TRANSLATION = (36, 44, 40), (1.5, 1.0, 1.25), (100.0, -5.0, 7.0)
START, SIZE = [4, 6, 5], [26, 32, 28]
POINTS = [[12.3, 16.7, 13.2], [22.4, 27.1, 24.8], [17.0, 29.5, 14.4], None]
TARGETS = {"heatmaps": {"channels": 4, "kind": "points"}}
WIDTH = 2.5


@pytest.fixture(scope="module")
def volume(tmp_path_factory):
    """An image with one blob in each channel, at the landmark of that channel."""
    path = tmp_path_factory.mktemp("volume") / "image.zarr"
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    blobs = [np.exp(-((index - point) ** 2).sum(axis=-1) / (2 * WIDTH**2)) for point in POINTS[:3]]
    writer = create_ome_zarr(
        path, (3, *SHAPE), "float32", spacing=SPACING, translation=TRANSLATION, unit="um", chunks=(16, 16, 16)
    )
    writer.write((0, 0, 0), np.stack(blobs).astype(np.float32))
    return {"image": str(path), "landmarks": POINTS}


def datum(volume, start=START, size=SIZE):
    return make_datalist([volume], [{"volume": 0, "start": start, "size": size}], TARGETS)[0]


def chain(*transforms, before=(), **options):
    made = LandmarksToPointsd("places", **options)
    return Compose([*before, LoadZarrPatchd("image", TARGETS), LoadLandmarksd(), *transforms, made])


def blob_centre(image):
    """Maximum of the quadratic function that fits the logarithm of a blob best: 3, voxels.

    It averages over what linear interpolation does to a single voxel.
    """
    values = np.asarray(image, np.float64)
    index = np.argwhere(values > 0.3 * values.max())
    weights = values[tuple(index.T)]
    middle = index.mean(axis=0)
    z, y, x = away = (index - middle).T
    terms = np.stack([np.ones_like(z), *away, z * z, y * y, x * x, z * y, z * x, y * x], axis=1)
    fitted = np.linalg.lstsq(terms * weights[:, None], np.log(weights) * weights, rcond=None)[0]
    zz, yy, xx, zy, zx, yx = fitted[4:]
    return middle - np.linalg.solve([[2 * zz, zy, zx], [zy, 2 * yy, yx], [zx, yx, 2 * xx]], fitted[1:4])


def check(sample, tolerance=0.1, least=2):
    """Each landmark that is well inside lies at its blob; returns which."""
    places, image = sample["places"].numpy(), sample["image"].numpy()
    size = np.array(image.shape[1:])
    inside = [n for n in range(3) if (places[n] > 2).all() and (places[n] < size - 3).all()]
    for n in inside:
        assert np.abs(blob_centre(image[n]) - places[n]).max() < tolerance
    assert np.isnan(places[3]).all()
    assert len(inside) >= least
    return inside


MOVES = {
    "none": [],
    "flip": [Flipd("image", spatial_axis=[1])],
    "turn": [Rotate90d("image", k=1, spatial_axes=(0, 2)), Rotate90d("image", k=3, spatial_axes=(1, 2))],
    "crop and pad": [
        SpatialCropd("image", roi_start=[2, 3, 0], roi_end=[26, 30, 28]), SpatialPadd("image", [30, 31, 33]),
        CenterSpatialCropd("image", [29, 29, 29]),
    ],
    "zoom": [Zoomd("image", zoom=[1.2, 0.9, 1.1], keep_size=False, mode="trilinear", align_corners=False)],
    "resize": [Resized("image", spatial_size=[30, 24, 40], mode="trilinear", align_corners=False)],
    "rotate": [Rotated("image", angle=[0.2, -0.3, 0.1], keep_size=False, mode="bilinear")],
    "affine": [Affined("image", rotate_params=[0.2, 0.1, -0.2], scale_params=[0.9, 1.1, 1.0], shear_params=[0.1] * 6)],
    "random affine": [RandAffined("image", prob=1, rotate_range=0.4, scale_range=0.1, translate_range=2)],
    "several": [
        Flipd("image", spatial_axis=0), Zoomd("image", zoom=1.1, mode="trilinear", align_corners=False),
        Rotate90d("image", k=2, spatial_axes=(1, 2)), Affined("image", rotate_params=[0.1, 0.2, 0.0]),
    ],
    "the bundle's mirroring and transposing": [RandMirrord("image", 1.0, axes=[0, 2])],
}  # fmt: skip


@pytest.mark.parametrize("moves", MOVES.values(), ids=MOVES)
def test_stock_transforms_take_landmarks_along(volume, moves):
    check(chain(*moves).set_random_state(1)(datum(volume)))


def test_lazy_transforms_take_landmarks_along(volume):
    moves = [Flipd("image", spatial_axis=0), *MOVES["rotate"], *MOVES["zoom"]]
    lazy = chain(*moves)
    lazy.lazy = True
    sample = lazy(datum(volume))
    check(sample)


@pytest.mark.parametrize("seed", range(3))
def test_transposed_cubes_take_landmarks_along(volume, seed):
    moves = RandMirrord("image", 0.5), RandTransposed("image", 0.9)
    check(chain(*moves).set_random_state(seed)(datum(volume, [4, 6, 5], [28, 28, 28])))


@pytest.mark.parametrize("elastic", [0.0, 1.0], ids=["affine", "elastic"])
@pytest.mark.parametrize("seed", range(3))
def test_drawn_turns_scalings_and_deformations_take_landmarks_along(volume, elastic, seed):
    """A deformation bends blobs, too, whose highest place still is where the landmark is read."""
    draw = RandSpatialDrawd(
        prob_rotation=1, prob_scaling=1, prob_elastic=elastic, scaling=[0.8, 1.1], elastic_spacing=12,
        elastic_displacement=[2, 2], spacing=SPACING, max_enlargement=3,
    )  # fmt: skip
    sample = chain(
        ApplySpatiald("image", image_mode="cubic"), Flipd("image", spatial_axis=2), before=[draw]
    ).set_random_state(seed)(datum(volume))
    assert list(sample["image"].shape[1:]) == SIZE
    check(sample)


def test_a_draw_on_a_loaded_patch_takes_landmarks_along(volume):
    draw = RandSpatialDrawd(prob_rotation=1, prob_elastic=1, elastic_spacing=12, elastic_displacement=[2, 2])
    moves = [LoadZarrPatchd("image"), draw, LoadLandmarksd(), ApplySpatiald("image")]
    sample = Compose([*moves, LandmarksToPointsd("places")]).set_random_state(2)(datum(volume))
    check(sample)


def test_points_are_indices_in_the_patch(volume):
    sample = chain()(datum(volume))
    expected = np.array([*(np.subtract(point, START) for point in POINTS[:3]), [np.nan] * 3])
    assert np.allclose(sample["places"], expected, atol=1e-4, equal_nan=True)
    assert type(sample["places"]) is torch.Tensor
    assert sample["places"].dtype == torch.float32
    assert "landmarks" not in sample


def test_landmarks_beyond_the_patch_keep_their_place(volume):
    sample = chain()(datum(volume, [0, 0, 0], [15, 20, 20]))
    assert np.allclose(sample["places"][:3], POINTS[:3], atol=1e-4)
    assert torch.isnan(sample["places"][3]).all()


MIRRORS = {
    "one flip": ([Flipd("image", spatial_axis=0)], True),
    "two flips": ([Flipd("image", spatial_axis=[0, 1])], False),
    "three flips": ([Flipd("image", spatial_axis=[0, 1, 2])], True),
    "turn": ([Rotate90d("image", k=1, spatial_axes=(0, 1))], False),
    "an affine": ([Affined("image", scale_params=[1, -1, 1])], True),
    "a flip undone": ([Flipd("image", spatial_axis=2), Flipd("image", spatial_axis=1)], False),
}


@pytest.mark.parametrize(("moves", "swaps"), MIRRORS.values(), ids=MIRRORS)
@pytest.mark.parametrize("pairs", [[[0, 2]], [["eye_right", "eye_left"]]], ids=["positions", "names"])
def test_pairs_change_places_where_the_sample_is_mirrored(volume, moves, swaps, pairs):
    names = ["eye_left", "nose", "eye_right", "ear"]
    plain = chain(*moves)(datum(volume))
    paired = chain(*moves, pairs=pairs, names=names)(datum(volume))
    order = [2, 1, 0, 3] if swaps else [0, 1, 2, 3]
    assert torch.equal(paired["places"][:3], plain["places"][order][:3])


def test_an_image_that_is_stored_mirrored_is_not_mirrored_by_that():
    image = MetaTensor(torch.zeros(1, 4, 5, 6), affine=torch.diag(torch.tensor([1.0, -1, 1, 1])))
    image.meta["original_affine"] = image.affine.clone()
    sample = {"image": image, "landmarks": [[1, 2, 3], [2, 3, 4]]}
    move = Compose([LoadLandmarksd(), LandmarksToPointsd("places", pairs=[[0, 1]])])
    assert move(sample)["places"].tolist() == [[1, 2, 3], [2, 3, 4]]


def test_mirroring_a_paired_set_without_pairs_is_told_once(volume, caplog):
    names = ["eye_left", "nose", "eye_right", "ear"]
    flip = chain(Flipd("image", spatial_axis=0), names=names)
    with caplog.at_level(logging.WARNING):
        chain(names=names)(datum(volume))
        chain(Flipd("image", spatial_axis=0), names=names, pairs=[])(datum(volume))
        chain(Flipd("image", spatial_axis=0), names=["1", "2", "3", "4"])(datum(volume))
        assert not caplog.records
        flip(datum(volume))
        flip(datum(volume))
    assert len(caplog.records) == 1
    assert (
        "2 landmarks are left and right by name ('eye_left' and 'eye_right'), but no 'pairs' are given" in caplog.text
    )


def test_two_dimensional_images_work_as_monai_loads_them():
    index = np.stack(np.meshgrid(np.arange(20), np.arange(30), indexing="ij"), axis=-1)
    blob = np.exp(-((index - np.array([8.3, 17.6])) ** 2).sum(axis=-1) / 8)
    image = MetaTensor(torch.from_numpy(blob[None]), affine=torch.diag(torch.tensor([0.5, 2, 1.0])))
    image.meta["original_affine"] = image.affine.clone()
    moves = [LoadLandmarksd(), Rotate90d("image", k=1), Resized("image", [45, 30], mode="bilinear")]
    sample = Compose([*moves, LandmarksToPointsd("places")])({"image": image, "landmarks": [[8.3, 17.6], None]})
    assert sample["image"].shape == (1, 45, 30)
    # by hand: row 29 - 17.6 of 30, column 8.3 of 20; 1.5 times as many voxels
    assert np.allclose(sample["places"][0], [(29 - 17.6 + 0.5) * 1.5 - 0.5, (8.3 + 0.5) * 1.5 - 0.5], atol=1e-4)
    assert torch.isnan(sample["places"][1]).all()


def test_landmarks_in_2d_lie_on_an_image_of_one_slice():
    image = MetaTensor(torch.zeros(1, 1, 8, 9), meta={"original_affine": torch.eye(4)})
    sample = Compose([LoadLandmarksd(), LandmarksToPointsd("places")])(
        {"image": image, "landmarks": np.array([[2, 3.5]])}
    )
    assert sample["places"].tolist() == [[0, 2, 3.5]]


def test_a_png_listed_in_json_becomes_points(tmp_path):
    """One bright pixel at row 12, column 31, which the file calls [31, 12]."""
    picture = np.zeros((40, 50), np.uint8)
    picture[12, 31] = 255
    Image.fromarray(picture).save(tmp_path / "a.png")
    sample = {"id": "a", "image": "a.png", "coordinates": [[31, 12], None]}
    (tmp_path / "fold0.json").write_text(json.dumps({"training": [sample]}))
    targets = {"heatmaps": {"channels": 2, "kind": "points"}}
    rows = read_landmark_folds(tmp_path, 0)
    assert volume_faults(rows, targets, 1) == []
    (row,) = make_datalist(rows, [{"volume": 0, "start": [0, 5, 20], "size": [1, 16, 24]}], targets)
    moves = [LoadZarrPatchd("image"), LoadLandmarksd(), Flipd("image", spatial_axis=2)]
    found = Compose([*moves, LandmarksToPointsd("places")])(row)
    assert found["image"].shape == (1, 1, 16, 24)
    place = tuple(found["places"][0].int().tolist())
    assert place == np.unravel_index(found["image"][0].argmax(), (1, 16, 24)) == (0, 12 - 5, 23 - (31 - 20))


def test_workers_and_the_device_give_the_same_batches(volume):
    """Augmented where patches are loaded, or after the batch has moved: the same draws, the same points."""
    data = [datum(volume, [n, 6, 5], [24, 24, 24]) for n in (2, 4)]
    moves = [
        RandSpatialDrawd(prob_rotation=1, prob_elastic=1, elastic_spacing=12, elastic_displacement=[1, 1]),
        LoadLandmarksd(), ApplySpatiald("image"), RandMirrord("image", 0.5),
        LandmarksToPointsd(["places"], pairs=[[0, 1]]),
    ]  # fmt: skip
    load = LoadZarrPatchd("image")
    seeded = [SeededIndex(n, 5 + n) for n in range(2)]
    workers = DataLoader(
        PatchDataset(data, Compose([load, *moves])), batch_size=2, sampler=seeded, num_workers=1
    )  # fmt: skip
    (there,) = list(workers)
    (loaded,) = list(DataLoader(PatchDataset(data, load), batch_size=2, sampler=seeded))
    here = AugmentOnDevice(moves, lambda batch, *_: batch)(loaded, "cpu")
    assert there["places"].shape == (2, 4, 3)
    for key in ("image", "places"):
        assert torch.allclose(torch.as_tensor(there[key]), torch.as_tensor(here[key]), atol=1e-5, equal_nan=True), key


def test_samples_without_landmarks_stay(volume):
    row = {key: value for key, value in datum(volume).items() if key != "landmarks"}
    sample = chain()(row)
    assert "places" not in sample


def test_what_stands_at_the_wrong_place_is_named(volume):
    loaded = LoadZarrPatchd("image")(datum(volume))
    with pytest.raises(ValueError, match="'landmarks' still is ndarray: place LoadLandmarksd after LoadZarrPatchd"):
        LandmarksToPointsd("places")(loaded)
    with pytest.raises(ValueError, match="place ApplySpatiald before LandmarksToPointsd"):
        LandmarksToPointsd("places")({**LoadLandmarksd()(loaded), "spatial": SpatialDraw()})
    with pytest.raises(ValueError, match="expected one draw, that of RandSpatialDrawd; got RandSpatialDraw, for two"):
        LoadLandmarksd()({**loaded, "spatial": RandSpatialDraw()})
    with pytest.raises(TypeError, match="key 'image': expected a MetaTensor"):
        LoadLandmarksd()({"image": torch.zeros(1, 2, 2, 2), "landmarks": [[1, 1, 1]]})
    with pytest.raises(ValueError, match=r"expected voxels N 3, as make_datalist puts them .*; got 'mouse\.csv'"):
        LoadLandmarksd()({**loaded, "landmarks": "mouse.csv"})
    with pytest.raises(ValueError, match=r"expected voxels N 3 for an image of shape \[3, 26, 32, 28\]; got \[1, 2\]"):
        LoadLandmarksd()({**loaded, "landmarks": [[1, 2]]})
    mirrored = Flipd("image", spatial_axis=0)(LoadLandmarksd()(loaded))
    with pytest.raises(ValueError, match="there is no landmark 4: there are 4, counted from 0"):
        LandmarksToPointsd("places", pairs=[[0, 4]])(mirrored)
