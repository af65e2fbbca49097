"""Data of landmark trainings as they come: mouse skulls with markups, and tables with faults, by the check of a run."""

import json
import logging

import numpy as np
import pytest
from monai.bundle import ConfigParser
from PIL import Image
from skimage.filters import threshold_otsu
from tests.bundle.running import BUNDLE, folders

from scripts.patches import landmark_names, place_landmarks, row_landmarks
from scripts.volumes import open_volume, read_landmarks
from scripts.workflows import RunError, check_training
from scripts.workflows.landmark_results.case import LandmarkCase
from scripts.workflows.landmark_results.pictures import write_case_picture

SHAPE = (16, 24)  # of pictures: height, width
PLACES = [[3, 4], [20.5, 11]]  # x y


def config(root, **settings):
    parser = ConfigParser()
    parser.read_config([BUNDLE / "configs" / "train.json", BUNDLE / "configs" / "landmarks.json"])
    own = {"bundle_root": str(BUNDLE), **folders(root), "device": "cpu", "init_features": 4}
    parser.update({**own, **settings})
    parser.parse(True)
    return parser


def skulls(folder):
    """Rows of the skulls whose image is there."""
    return [
        {"image": str(path), "landmarks": str(path).replace(".nii.gz", ".mrk.json"), "id": path.name.split(".")[0]}
        for path in sorted(folder.glob("*_.nii.gz"))
    ]


@pytest.fixture(scope="module")
def original(real_data):
    return real_data / "landmarks3d" / "original"


@pytest.mark.real_data
def test_all_markups_hold_the_same_landmarks(original):
    files = sorted(original.glob("*_.mrk.json"))
    assert len(files) == 30
    found = [read_landmarks(file) for file in files]
    assert {len(one.names) for one in found} == {45}
    assert {one.names for one in found} == {tuple(landmark_names(skulls(original)))}
    assert not any(one.missing.any() for one in found)


@pytest.mark.real_data
def test_skulls_pass_the_check_and_their_landmarks_lie_on_bone(original, tmp_path, caplog):
    """Bone is above the image's Otsu threshold, or next to what is: landmarks are on its surface."""
    rows = skulls(original)
    assert len(rows) == 15
    with caplog.at_level(logging.WARNING):
        parser = config(tmp_path, volumes=rows, input_size=[32, 32, 32], val_fraction=0.2)
        check_training(parser)
    (told,) = {one.getMessage() for one in caplog.records if "beyond the outermost" in one.getMessage()}
    assert told.startswith("C57L_J_: landmarks lie beyond")
    values, at_bone = [], []
    for row in rows:
        volume = open_volume(row["image"])
        image = np.pad(volume.read((0, 0, 0), volume.spatial_shape)[0], 1)
        bone = image > threshold_otsu(image)
        places = np.rint(place_landmarks(row, row_landmarks(row), volume)).astype(int)
        for place in np.clip(places, 0, np.array(volume.spatial_shape) - 1):
            values.append(image[tuple(place + 1)])
            at_bone.append(bone[tuple(slice(n, n + 3) for n in place)].any())
    assert len(values) == 15 * 45
    print(f"above background {np.mean(np.array(values) > 0):.3f}, at bone {np.mean(at_bone):.3f}")
    assert np.mean(np.array(values) > 0) >= 0.95  # the background is 0
    assert np.mean(at_bone) >= 0.95


@pytest.mark.real_data
def test_a_skull_is_drawn_with_its_landmarks(original, tmp_path):
    row = skulls(original)[0]
    volume = open_volume(row["image"])
    landmarks = row_landmarks(row)
    truth = place_landmarks(row, landmarks, volume)
    case = LandmarkCase(
        name=row["id"], path=row["image"], shape=volume.spatial_shape, grid_shape=volume.spatial_shape,
        input_shape=volume.spatial_shape, spacing=volume.spacing, unit=volume.unit, landmarks=landmarks.names,
        truth=truth, found={"smha": (truth + np.array([0, 3, 0]), np.ones(len(truth)))},
    )  # fmt: skip
    write_case_picture(tmp_path / "skull.png", case, volume.read((0, 0, 0), volume.spatial_shape)[0])
    assert np.asarray(Image.open(tmp_path / "skull.png")).std() > 10
    assert case.errors(in_unit=True) == pytest.approx(3 * volume.spacing[1])


@pytest.mark.real_data
def test_aligned_skulls_are_turned_to_z_y_x_with_their_landmarks(real_data):
    """The files' i, j, k are x, y, z, and the table's header says so."""
    for path in sorted((real_data / "landmarks3d" / "aligned").glob("*.nii.gz")):
        row = {"image": str(path), "landmarks": str(path).replace(".nii.gz", ".csv")}
        volume = open_volume(path)
        assert (volume.spatial_shape, volume.unit) == ((64, 64, 96), "mm")
        assert volume.spacing == pytest.approx((0.3, 0.3, 0.3))
        written = np.loadtxt(row["landmarks"], delimiter=",")
        assert np.allclose(place_landmarks(row, row_landmarks(row), volume), written[:, ::-1])


def sample(name, coordinates=PLACES, **more):
    return {"id": name, "image": f"{name}.png", "coordinates": coordinates, **more}


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(0)
    for name in "abc":
        Image.fromarray(rng.integers(0, 255, SHAPE, np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path


def listing(folder, *training, **lists):
    path = folder / "fold0.json"
    path.write_text(json.dumps({"training": list(training), "validation": [sample("c")], **lists}))
    return {"landmark_file": str(path), "input_size": [1, *SHAPE]}


def said(root, **settings):
    with pytest.raises(RunError) as caught:
        check_training(config(root, **settings))
    return str(caught.value)


def test_a_good_listing_passes(pictures, caplog):
    with caplog.at_level(logging.WARNING):
        check_training(config(pictures, **listing(pictures, sample("a"), sample("b", [None, PLACES[1]]))))
    assert not caplog.records


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ([sample("a"), sample("a")], "id 'a' occurs twice, in train and in train; ids must be unique"),
        ([sample("a"), sample("gone")], "volumes[1] (id 'gone'): image: "),
        ([sample("a"), sample("b", PLACES[:1])], "'a' has 2 landmarks, 'b' has 1 landmarks"),
        ([sample("a"), sample("b", None)], "training[1] (id 'b'): has no annotation"),
        ([sample("a"), sample("b", has_annotation=False)], "training[1] (id 'b'): has no annotation"),
        ([sample("a"), sample("b", [[1, 2, 0], [3, 4, 0]])], "'a' has landmarks in 2D, 'b' has landmarks in 3D"),
    ],
)
def test_a_fault_of_the_listing_stops_the_run_and_names_the_sample(pictures, training, message):
    assert message in said(pictures, **listing(pictures, *training))
    assert not (pictures / "output").exists()


def test_a_fold_file_that_is_missing_stops_the_run(pictures):
    settings = listing(pictures, sample("a")) | {"landmark_file": str(pictures), "fold": 3}
    message = said(pictures, **settings)
    assert "fold3.json is no file; JSON files in" in message
    assert "fold0.json" in message


def test_coordinates_outside_of_the_image_are_a_warning(pictures, caplog):
    with caplog.at_level(logging.WARNING):
        check_training(config(pictures, **listing(pictures, sample("a"), sample("b", [[3, 4], [40, 11]]))))
    assert (
        "b: landmarks lie beyond the outermost voxel centres of the image of [1, 16, 24] voxels: '2' at" in caplog.text
    )


@pytest.mark.parametrize(
    ("settings", "flips", "warns"),
    [
        ({}, False, False),
        ({"flip": True}, True, True),
        ({"pairs": [["eye_left", "eye_right"]]}, True, False),
        ({"flip": True, "pairs": []}, True, False),
    ],
    ids=["by default", "without pairs", "with pairs", "none is paired"],
)
def test_flips_without_pairs_of_what_is_left_and_right_are_a_warning(pictures, caplog, settings, flips, warns):
    tables = []
    for name in "ab":
        tables.append(pictures / f"{name}.csv")
        tables[-1].write_text("name,y,x\neye_left,4,3\neye_right,11,20.5\n")
    rows = [{"image": str(table.with_suffix(".png")), "landmarks": str(table), "split": "train"} for table in tables]
    parser = config(
        pictures, volumes=rows, input_size=[1, *SHAPE], val_fraction=0, scheme="AffineSimple", jitter=0, **settings
    )
    transform = parser.get_parsed_content("train#preprocessing").set_random_state(0)
    (datum, *_) = parser.get_parsed_content("train#data")
    with caplog.at_level(logging.WARNING):
        mirrored = {bool(transform(datum)["image"].affine[:3, :3].det() < 0) for _ in range(8)}
    assert mirrored == ({True, False} if flips else {False})
    assert ("but no 'pairs' are given" in caplog.text) == warns
