"""Crops that are found are those that were written, locally and in a bucket."""

import logging
import shutil
from collections import Counter

import pytest
from tests.cellmap_tree import COARSE, FINE, write_multiscale, write_tree
from tests.volumes import servers

from scripts.patches import find_crops, find_images, keep_fine


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp("tree"))


def names(crops):
    return [(crop.dataset, crop.name, tuple(crop.classes)) for crop in crops]


EVERYTHING = [
    ("jrc_coarse", "crop10", ("cell",)),
    ("jrc_fine", "crop1", ("cell", "nuc")),
    ("jrc_fine", "crop2", ("ecs", "nuc", "nucleolus")),
]


def test_a_crop_is_described_as_it_is_stored(tree):
    crop = find_crops(str(tree), crops=[1])[0]
    assert crop.raw == f"{tree}/jrc_fine.zarr/recon-1/em/fibsem-uint8"
    assert crop.path == f"{tree}/jrc_fine.zarr/recon-1/labels/groundtruth/crop1"
    label = crop.classes["nuc"]
    assert label.path == f"{crop.path}/nuc"
    assert label.spacings == ((4, 4, 4), (8, 8, 8))
    assert (label.translation, label.shape, label.unit) == ((78, 78, 78), (24, 24, 24), "nm")


@pytest.mark.parametrize(
    ("where", "options", "expected"),
    [
        ("{tree}", {}, EVERYTHING),
        ("{tree}/", {"datasets": ["*"], "crops": ["*"]}, EVERYTHING),
        ("{tree}/*.zarr", {}, EVERYTHING),
        ("{tree}/jrc_f*.zarr", {}, EVERYTHING[1:]),
        ("{tree}/{dataset}.zarr/recon-1/{name}", {}, EVERYTHING),
        ("{tree}/{dataset}.zarr/recon-?/{name}", {"datasets": ["jrc_coarse"]}, EVERYTHING[:1]),
        ("{tree}", {"crops": ["crop1*"]}, EVERYTHING[:2]),
        ("{tree}", {"crops": [2, "crop10"]}, [EVERYTHING[0], EVERYTHING[2]]),
        ("{tree}", {"classes": ["nuc"]}, [("jrc_fine", "crop1", ("nuc",)), ("jrc_fine", "crop2", ("nuc",))]),
    ],
)
def test_what_is_looked_for(tree, where, options, expected):
    assert names(find_crops(where.replace("{tree}", str(tree)), **options)) == expected


def test_datasets_may_lie_in_folders_of_their_own(tmp_path, monkeypatch):
    write_tree(tmp_path / "data", nested=True)
    assert names(find_crops(str(tmp_path / "data"))) == EVERYTHING
    monkeypatch.chdir(tmp_path)
    assert names(find_crops()) == EVERYTHING  # the default


def test_other_names_of_image_and_labels(tmp_path):
    store = write_tree(tmp_path, [FINE]) / "jrc_fine.zarr/recon-1"
    (store / "em/fibsem-uint8").rename(store / "em/other")
    (store / "labels/groundtruth").rename(store / "truth")
    crops = find_crops(str(tmp_path), raw_name="em/other", crop_name="truth/{crop}/{label}")
    assert names(crops) == EVERYTHING[1:]
    assert crops[0].raw.endswith("em/other")


def test_a_crop_without_image_is_left_out_and_named(tmp_path, caplog):
    write_tree(tmp_path)
    shutil.rmtree(tmp_path / "jrc_fine.zarr/recon-1/em")
    with caplog.at_level(logging.WARNING):
        assert names(find_crops(str(tmp_path))) == EVERYTHING[:1]
    assert "crop1 is left out: there is no raw image at" in caplog.text
    with pytest.raises(FileNotFoundError, match=r"none of 2 crops has its raw image; expected it at .*fibsem-uint8"):
        find_crops(str(tmp_path), datasets=["jrc_fine"])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"classes": ["nucc", "cell"]},
            ValueError,
            r"no crop has the class 'nucc' \(did you mean 'nuc'\?\); classes there",
        ),
        (
            {"crops": [77]},
            FileNotFoundError,
            r"no crops of datasets \* and names crop77; expected .*\{dataset\}\.zarr/rec",
        ),
        (
            {"crop_name": "labels/{crop}"},
            ValueError,
            r"crop_name: expected .* ends with /\{label\}; got 'labels/\{crop\}'",
        ),
    ],
)
def test_faults(tree, options, error, message):
    with pytest.raises(error, match=message):
        find_crops(str(tree), **options)


def test_a_pattern_needs_its_fields(tree):
    with pytest.raises(ValueError, match=r"search_path: expected a folder, or a pattern .* got data/\{name\}"):
        find_crops("data/{name}")


def test_metadata_that_cannot_be_read_are_named(tmp_path):
    store = write_tree(tmp_path, [COARSE]) / "jrc_coarse.zarr/recon-1/labels/groundtruth/crop10/cell"
    attributes = store / ".zattrs"
    good = attributes.read_text()
    attributes.write_text(good.replace('"scale"', '"zoom"'))
    with pytest.raises(ValueError, match=r"crop10/cell: .*"):
        find_crops(str(tmp_path))
    attributes.write_text(good[:50])
    with pytest.raises(ValueError, match=r"crop10/cell/.zattrs: the metadata there are no JSON"):
        find_crops(str(tmp_path))
    attributes.unlink()
    with pytest.raises(ValueError, match=r"crop10/cell is a zarr group without OME-Zarr image"):
        find_crops(str(tmp_path))


def test_a_label_without_position_is_an_error(tmp_path):
    import zarr

    write_tree(tmp_path, [COARSE])
    path = tmp_path / "jrc_coarse.zarr/recon-1/labels/groundtruth/crop10/plain"
    zarr.create_array(str(path), shape=(4, 4, 4), dtype="u1", zarr_format=2)
    with pytest.raises(ValueError, match=r"crop10/plain states no voxel size and position"):
        find_crops(str(tmp_path))
    assert names(find_crops(str(tmp_path), classes=["cell"])) == EVERYTHING[:1]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ((16, 16, 16), EVERYTHING),
        ((8, 8, 8), EVERYTHING[1:]),
        ((4, 8, 8), EVERYTHING[1:2]),
        ((1, 1, 1), []),
    ],
)
def test_only_what_is_fine_enough_is_kept(tree, limit, expected):
    assert names(keep_fine(find_crops(str(tree)), limit)) == expected


def test_one_coarse_class_leaves_the_others(tmp_path):
    write_tree(tmp_path, [FINE])
    path = tmp_path / "jrc_fine.zarr/recon-1/labels/groundtruth/crop1/cell"
    write_multiscale(path, lambda z, y, x: z > 0, (32, 4, 4), (80, 78, 78), (3, 24, 24))
    assert names(keep_fine(find_crops(str(tmp_path), crops=[1]), (8, 8, 8))) == [("jrc_fine", "crop1", ("nuc",))]


def test_a_bucket_is_searched_like_a_folder(tree, monkeypatch):
    for name, value in servers.ACCESS.items():
        monkeypatch.setenv(name, value)
    with servers.s3_server() as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        servers.upload(address, tree, "some/where")
        crops = find_crops("s3://bucket/some/where")
        assert names(crops) == EVERYTHING
        assert crops[1].classes["nuc"].path == f"{crops[1].path}/nuc"
        assert crops[1].raw == "s3://bucket/some/where/jrc_fine.zarr/recon-1/em/fibsem-uint8"
        assert names(find_crops("s3://bucket/some/*/{dataset}.zarr/recon-1/{name}", crops=[2])) == EVERYTHING[2:]
        assert Counter(crop.dataset for crop in find_crops("s3://bucket/some/where/jrc_c*.zarr")) == {"jrc_coarse": 1}
        with pytest.raises(FileNotFoundError, match="s3://bucket/else: found no crops"):
            find_crops("s3://bucket/else")


def test_images_are_found_without_crops(tmp_path):
    write_tree(tmp_path, nested=True)
    shutil.rmtree(tmp_path / "jrc_fine" / "jrc_fine.zarr" / "recon-1" / "labels")
    coarse, fine = (f"{tmp_path}/{name}/{name}.zarr/recon-1/em/fibsem-uint8" for name in ("jrc_coarse", "jrc_fine"))
    assert find_images(str(tmp_path)) == {"jrc_coarse": coarse, "jrc_fine": fine}
    assert find_images(str(tmp_path), datasets=["*fine"], raw_name="em/{dataset}") == {
        "jrc_fine": fine.replace("fibsem-uint8", "jrc_fine")
    }
    with pytest.raises(FileNotFoundError, match=r"found no datasets other; expected .*\{dataset\}"):
        find_images(str(tmp_path), datasets=["other"])
