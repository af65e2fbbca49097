"""Normalisation schemes against MONAI's transforms and formulas by hand; NaN, infinity and constant images."""

import numpy as np
import pytest
import torch
import zarr
from monai.data import MetaTensor
from monai.transforms import NormalizeIntensity, ScaleIntensityRange

from scripts.patches import image_statistics
from scripts.transforms import NormalizeImage, NormalizeImaged
from scripts.volumes import open_volume, volume_statistics

VOLUME_SCHEMES = ["zscore_volume", "percentile", "min_max", "dtype_range"]


def write(path, array, chunks=(8, 8, 8)):
    stored = zarr.create_array(
        str(path), shape=array.shape, chunks=(*[1] * (array.ndim - 3), *chunks), dtype=array.dtype
    )
    stored[...] = array
    return str(path)


@pytest.fixture
def image():
    return np.random.default_rng(0).normal(1000, 300, (20, 20, 20)).clip(0, 65535).astype(np.uint16)


@pytest.fixture
def row(image, tmp_path):
    label = np.zeros(image.shape, np.uint8)
    label[5:15, 5:15] = 1
    return {"image": write(tmp_path / "image.zarr", image), "label": write(tmp_path / "label.zarr", label)}


def patch_of(image):
    return torch.from_numpy(image[None, 3:11, 4:12, 5:13].astype(np.float32))  # D H W -> 1 D H W


def normalized(scheme, row, image, **arguments):
    return NormalizeImage(scheme, image_statistics([row], scheme), **arguments)(patch_of(image))


def test_zscore_is_that_of_monai(row, image):
    expected = NormalizeIntensity(channel_wise=True)(patch_of(image))
    torch.testing.assert_close(normalized("zscore", row, image), expected, atol=1e-5, rtol=1e-5)


def test_zscore_volume(row, image):
    expected = (patch_of(image) - image.mean()) / image.std()
    torch.testing.assert_close(normalized("zscore_volume", row, image), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("scheme", "limits"), [("percentile", (0.5, 99.5)), ("min_max", (0, 100))])
def test_ranges_of_the_volume_are_those_of_monai(row, image, scheme, limits):
    low, high = np.percentile(image, limits)
    expected = ScaleIntensityRange(low, high, 0, 1, clip=True)(patch_of(image))
    torch.testing.assert_close(normalized(scheme, row, image), torch.as_tensor(expected), atol=1e-5, rtol=1e-5)


def test_ct_clips_and_normalises_by_the_labelled_voxels(row, image):
    """Formula of nnU-Net: percentiles 0.5 and 99.5, mean and deviation of the foreground's values, not clipped ones."""
    inside = image[5:15, 5:15].astype(np.float64)
    low, high = np.percentile(inside, (0.5, 99.5))
    expected = (np.clip(patch_of(image).numpy(), low, high) - inside.mean()) / inside.std()
    np.testing.assert_allclose(normalized("ct", row, image), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "stored", "expected"),
    [
        ("uint8", [0, 51, 255], [0, 0.2, 1]),
        ("int8", [-128, -1, 127], [0, 127 / 255, 1]),
        ("bool", [0, 1, 1], [0, 1, 1]),
    ],
)
def test_dtype_range(tmp_path, dtype, stored, expected):
    array = np.array(stored).astype(dtype).reshape(1, 1, 3)
    path = write(tmp_path / "typed.zarr", array, (1, 1, 3))
    found = NormalizeImage("dtype_range", image_statistics([{"image": path}], "dtype_range"))(
        torch.from_numpy(array[None].astype(np.float32))
    )
    np.testing.assert_allclose(found.ravel(), expected, atol=1e-6)


def test_dtype_range_of_floats_is_an_error(tmp_path):
    path = write(tmp_path / "float.zarr", np.zeros((1, 1, 3), np.float32), (1, 1, 3))
    with pytest.raises(ValueError, match="stored as float32, which has no range; use 'percentile'"):
        NormalizeImage("dtype_range", image_statistics([{"image": path}], "dtype_range"))(torch.zeros(1, 1, 1, 3))


def test_none_leaves_the_values_and_the_original_alone(row, image):
    patch = patch_of(image)
    patch[0, 0, 0, 0] = torch.nan
    found = NormalizeImage("none", nonfinite=7)(patch)
    assert found[0, 0, 0, 0] == 7
    assert torch.isnan(patch[0, 0, 0, 0])
    torch.testing.assert_close(found.ravel()[1:], patch.ravel()[1:])


@pytest.mark.parametrize("scheme", ["zscore", "zscore_volume", "ct", "percentile", "min_max"])
def test_nan_and_infinity_become_what_is_said_and_count_nowhere(tmp_path, scheme):
    rng = np.random.default_rng(0)
    clean = rng.normal(5, 2, (8, 8, 8)).astype(np.float32)
    broken, is_bad = clean.copy(), rng.random(clean.shape) < 0.1
    broken[is_bad] = rng.choice([np.nan, np.inf, -np.inf], is_bad.sum())
    label = write(tmp_path / "label.zarr", np.ones(clean.shape, np.uint8))
    row = {"image": write(tmp_path / "image.zarr", broken), "label": label}
    statistics = image_statistics([row], scheme)
    found = NormalizeImage(scheme, statistics, nonfinite=-3)(torch.from_numpy(broken[None])).numpy()[0]
    assert (found[is_bad] == -3).all()
    good = clean[~is_bad]
    low, high = np.percentile(good, (0.5, 99.5))
    expected = {
        "zscore": (good - good.mean()) / good.std(),
        "zscore_volume": (good - good.mean()) / good.std(),
        "ct": (good.clip(low, high) - good.mean()) / good.std(),
        "percentile": (good.clip(low, high) - low) / (high - low),
        "min_max": (good - good.min()) / (good.max() - good.min()),
    }[scheme]
    np.testing.assert_allclose(found[~is_bad], expected, atol=1e-4)
    with pytest.raises(ValueError, match=f"{is_bad.sum()} voxels are NaN or infinite"):
        NormalizeImage(scheme, statistics, nonfinite="error")(torch.from_numpy(broken[None]))


@pytest.mark.parametrize("scheme", ["zscore", "zscore_volume", "ct", "percentile", "min_max"])
def test_constant_images_become_zero(tmp_path, scheme):
    path = write(tmp_path / "constant.zarr", np.full((8, 8, 8), 9, np.uint8))
    statistics = image_statistics([{"image": path, "label": path}], scheme)
    assert (NormalizeImage(scheme, statistics)(torch.full((1, 8, 8, 8), 9.0)) == 0).all()
    if scheme == "zscore":
        assert (NormalizeImage(scheme)(torch.full((1, 2, 2, 2), torch.nan)) == 0).all()


def test_each_volume_by_its_own_numbers_and_channels_apart(tmp_path):
    """Two volumes of two stacked channels; the sample says which volume it is from."""
    arrays = [np.random.default_rng(i).normal(100 * i, 10 * i + 1, (8, 8, 8)).astype(np.float32) for i in range(4)]
    paths = [write(tmp_path / f"{i}.zarr", array) for i, array in enumerate(arrays)]
    volumes = [{"image": paths[:2]}, {"image": paths[2:]}]
    transform = NormalizeImaged("image", "zscore_volume", image_statistics(volumes, "zscore_volume"))
    for v in range(2):
        image = MetaTensor(torch.from_numpy(np.stack(arrays[2 * v : 2 * v + 2])), meta={"filename_or_obj": "x"})
        found = transform({"image": image, "patch": {"volume": v, "start": [0, 0, 0]}})["image"]
        assert isinstance(found, MetaTensor)
        assert found.meta["filename_or_obj"] == "x"
        np.testing.assert_allclose(found.mean(dim=(1, 2, 3)), 0, atol=1e-4)
        np.testing.assert_allclose(found.std(dim=(1, 2, 3), correction=0), 1, atol=1e-4)


@pytest.mark.parametrize("scheme", [*VOLUME_SCHEMES, "zscore"])
def test_binding_to_a_volume_gives_what_training_gave(row, image, scheme):
    bound = NormalizeImage(scheme).bind(open_volume(row["image"]))
    torch.testing.assert_close(bound(patch_of(image)), normalized(scheme, row, image))
    if scheme != "dtype_range":
        whole = NormalizeImage(scheme).bind(torch.from_numpy(image[None].astype(np.float32)))
        torch.testing.assert_close(whole(patch_of(image)), normalized(scheme, row, image), atol=1e-4, rtol=1e-4)


def test_large_volumes_are_sampled_and_absent_chunks_do_not_count(tmp_path, monkeypatch):
    monkeypatch.setattr("scripts.volumes.statistics._MOST_VOXELS", 2**15)
    array = np.random.default_rng(0).normal(50, 10, (64, 64, 64)).astype(np.float32)
    array[32:] = 0  # not stored
    volume = open_volume(write(tmp_path / "large.zarr", array))
    found = volume_statistics(volume)
    assert found["mean"][0] == pytest.approx(50, abs=0.5)
    assert found["std"][0] == pytest.approx(10, abs=0.5)
    assert found == volume_statistics(volume)
    assert found != volume_statistics(volume, seed=1)


def test_statistics_are_kept_until_the_image_changes(row, tmp_path, monkeypatch):
    cache = tmp_path / "statistics.json"
    first = image_statistics([row], "zscore_volume", cache_file=cache)
    with monkeypatch.context() as patched:
        patched.setattr("scripts.patches.intensities.volume_statistics", lambda *_: pytest.fail("computed again"))
        assert image_statistics([row], "zscore_volume", cache_file=cache) == first
    zarr.open_array(row["image"], mode="r+")[:10] = 0
    assert image_statistics([row], "zscore_volume", cache_file=cache)["volumes"] != first["volumes"]
    kept = cache.read_text()
    assert image_statistics([row], "ct", cache_file=cache, use_cache=False)["foreground"]["mean"][0] > 0
    assert cache.read_text() == kept


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scheme": "z-score"}, "normalization must be one of zscore, .*; got 'z-score'"),
        ({"nonfinite": "zero"}, "nonfinite must be a number or 'error'; got 'zero'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        NormalizeImage(**arguments)


def test_missing_statistics_are_named(row, image):
    with pytest.raises(ValueError, match="'ct' needs the statistics of the labelled voxels"):
        NormalizeImage("ct").bind(patch_of(image))
    with pytest.raises(ValueError, match="'percentile' needs statistics of volume 0; there are 0"):
        NormalizeImage("percentile")(patch_of(image))
    with pytest.raises(ValueError, match="the image has 2 channels, its statistics are of 1"):
        NormalizeImage("min_max", image_statistics([row], "min_max"))(torch.zeros(2, 4, 4, 4))
    broken = MetaTensor(torch.full((1, 2, 2, 2), torch.nan), meta={"filename_or_obj": "scan.zarr"})
    with pytest.raises(ValueError, match=r"scan.zarr, patch at \[1, 2, 3\]: 8 voxels are NaN or infinite"):
        NormalizeImaged("image", nonfinite="error")({"image": broken, "patch": {"volume": 0, "start": [1, 2, 3]}})


def test_ct_without_labels_is_an_error(row):
    zarr.open_array(row["label"], mode="r+")[:] = 0
    with pytest.raises(ValueError, match="none is labelled in any volume"):
        image_statistics([row], "ct")


@pytest.mark.parametrize("value", [0.1, 1000.1, -3.3e6, 1e-20])
@pytest.mark.parametrize("scheme", ["zscore", "zscore_volume", "ct", "percentile", "min_max"])
@pytest.mark.parametrize("with_nan", [False, True])
def test_rounding_is_no_contrast(tmp_path, scheme, value, with_nan):
    """Constants that float32 does not hold exactly, whose deviation may come out a little above zero."""
    array = np.full((8, 8, 8), value, np.float32)
    array[0, 0, 0] = np.nan if with_nan else value
    label = write(tmp_path / "label.zarr", np.ones(array.shape, np.uint8))
    statistics = image_statistics([{"image": write(tmp_path / "image.zarr", array), "label": label}], scheme)
    if statistics is not None:
        rows = statistics["volumes"] or [statistics["foreground"]]
        rows[0]["std"] = [abs(value) * 1e-8]  # as if it had been computed in another order
    found = NormalizeImage(scheme, statistics)(torch.from_numpy(array[None]))
    assert found.abs().max() <= 1e-6 * max(abs(value), 1)


def test_a_little_contrast_is_kept():
    """Values 1000 +- 0.5: a deviation of 5e-4 of the mean."""
    patch = torch.tensor([999.5, 1000.5]).reshape(1, 1, 1, 2)
    torch.testing.assert_close(NormalizeImage("zscore")(patch).ravel(), torch.tensor([-1.0, 1.0]))


def test_the_first_voxel_that_is_not_finite_is_named_by_its_place_in_the_volume():
    image = torch.zeros(2, 3, 4, 5)
    image[1, 2, 0, 4], image[1, 2, 3, 1] = torch.inf, torch.nan
    sample = {"image": MetaTensor(image, meta={"filename_or_obj": "scan.zarr"}), "patch": {"start": [10, 20, 30]}}
    said = r"scan\.zarr, patch at \[10, 20, 30\]: 2 voxels are NaN or infinite, the first at \[12, 20, 34\] \(z y x\)"
    with pytest.raises(ValueError, match=said):
        NormalizeImaged("image", nonfinite="error")(sample)
