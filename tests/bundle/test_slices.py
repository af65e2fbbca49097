"""Networks of slices: training on slices along several axes, prediction as the mean of their passes."""

import json

import numpy as np
import pytest
import tifffile
import torch
import zarr
from monai.bundle import ConfigParser
from scipy.stats import mannwhitneyu
from tests.bundle.running import BUNDLE, folders, options, read_history, run, write_overlay
from tests.cellmap_tree import is_inside, write_tree

from scripts.volumes import create_ome_zarr, open_volume
from scripts.workflows import RunError, check_inference, check_training
from scripts.workflows.datasplit import datasplit

AXES = ["z", "y", "x"]
ORDERS = {"z": (0, 1, 2), "y": (1, 0, 2), "x": (2, 0, 1)}
SHAPE = (36, 32, 40)
SMALL = {
    "targets": {"sheet": {"channels": 1}},
    "patch_size": [1, 16, 16],
    "slice_axes": AXES,
    "features_per_stage": [4, 8],
    "n_blocks_per_stage": [1, 1],
    "stride": [3, 8, 8],
    "min_bbox_percent": 0.5,
    "device": "cpu",
}


def configured(config, root, **changes):
    parser = ConfigParser()
    parser.read_config(str(BUNDLE / "configs" / f"{config}.json"))
    for key, value in {**SMALL, **folders(root), "bundle_root": str(BUNDLE), **changes}.items():
        parser[key] = value
    return parser


@pytest.fixture(scope="module")
def plates(tmp_path_factory):
    """Plates across z, told apart by their brightness: in a slice along z they are areas, in the others lines."""
    root = tmp_path_factory.mktemp("plates")
    depth, y, x = np.indices(SHAPE)
    sheet = (depth % 6 < 2).astype(np.uint8)
    image = (sheet * 100 + depth + 2 * y + x % 3).astype(np.uint8)
    for name, array in (("image", image), ("sheet", sheet)):
        zarr.create_array(str(root / f"{name}.zarr"), shape=SHAPE, chunks=(8, 16, 16), dtype="uint8")[...] = array
    return root, {"image": image, "sheet": sheet}


def volumes(root):
    return [{"image": f"{root}/image.zarr", "sheet": f"{root}/sheet.zarr"}]


def stored_box(datum):
    """The part of the stored arrays that a patch shows, by its axes."""
    axes = datum.get("axes") or "zyx"
    along = {axis: slice(s, s + n) for axis, s, n in zip(axes, datum["start"], datum["size"], strict=True)}
    return tuple(along[axis] for axis in "zyx")


def test_patches_are_slices_along_all_axes_and_share_no_voxel(plates):
    root, arrays = plates
    parser = configured("train", root, volumes=volumes(root), normalization="none", augment=[], random_space=None,
                        jitter=0, max_val_steps_per_epoch=1000, val_fraction=0.5)  # fmt: skip
    check_training(parser)
    taken = {}
    for part in ("train", "validate"):
        data = parser.get_parsed_content(f"{part}#data")
        dataset = parser.get_parsed_content(f"{part}#dataset")
        taken[part] = np.zeros(SHAPE, bool)
        for n, datum in enumerate(data):
            taken[part][stored_box(datum)] = True
            if n % 5:
                continue
            sample = dataset[n]
            order = ["zyx".index(axis) for axis in datum.get("axes") or "zyx"]
            for key, array in arrays.items():
                np.testing.assert_array_equal(sample[key].numpy()[0], array[stored_box(datum)].transpose(order))
        assert {datum.get("axes") for datum in data} == {None, "yzx", "xzy"}
    assert taken["validate"].any()
    assert not (taken["train"] & taken["validate"]).any()
    lines = next(n for n, d in enumerate(parser.get_parsed_content("train#data")) if d.get("axes") == "yzx")
    sheet = parser.get_parsed_content("train#dataset")[lines]["sheet"].numpy()[0, 0]
    assert set(np.unique(sheet)) == {0, 1}
    assert (sheet == sheet[:, :1]).all()  # along x nothing changes


def test_z_alone_is_what_there_was_without_the_key(plates):
    root, _ = plates
    parser = configured("train", root, volumes=volumes(root), slice_axes=["z"])
    assert parser.get_parsed_content("sliced_volumes") == volumes(root)
    assert all("axes" not in datum for datum in parser.get_parsed_content("train#data"))


def test_plan_and_statistics_do_not_depend_on_how_a_volume_is_seen(plates, tmp_path):
    root, _ = plates
    settings = {"volumes": [{**volumes(root)[0], "spacing": [4.0, 1.0, 1.0]}], "output_dir": str(tmp_path)}
    one, three = (configured("train", root, **settings, slice_axes=axes) for axes in (["z"], AXES))
    assert one.get_parsed_content("spacing") == three.get_parsed_content("spacing") == [4.0, 1.0, 1.0]
    assert one.get_parsed_content("network_def").plan == three.get_parsed_content("network_def").plan
    (row,) = one.get_parsed_content("image_statistics")["volumes"]
    assert three.get_parsed_content("image_statistics")["volumes"] == [row] * 3


@pytest.mark.long
def test_a_whole_run_trains_and_predicts(plates, tmp_path):
    """With augmentation and workers; then the mean of three passes, which is computed by hand from the weights."""
    root, arrays = plates
    overlay = write_overlay(
        tmp_path / "slices.json", **SMALL, **folders(tmp_path), volumes=volumes(root), num_workers=1, max_epochs=1,
        max_steps_per_epoch=2, max_val_steps_per_epoch=2, normalization="none", **{"random_space#in_plane": True},
    )  # fmt: skip
    run("training", configs=["configs/train.json", overlay])
    assert len(read_history(tmp_path)) == 1
    settings = json.loads((tmp_path / "output" / "network.json").read_text())
    assert settings["patch_size"] == [1, 16, 16]
    output = tmp_path / "prediction.zarr"
    changes = options(
        input=f"{root}/image.zarr", output=output, weights=tmp_path / "models" / "model.pt", device="cpu",
        overlap=0, skip_empty=False, slice_axes="['z','y','x']",
    )  # fmt: skip
    run("inference", *changes, configs=["configs/inference.json", tmp_path / "output" / "network.json"])
    written = open_volume(output / "sheet").read((0, 0, 0), SHAPE)[0]
    parser = configured("inference", tmp_path, weights=None)
    network = parser.get_parsed_content("network_def").eval()
    network.load_state_dict(torch.load(tmp_path / "models" / "model.pt", weights_only=True))
    window = arrays["image"][:16, 16:32, :16].astype(np.float32)
    expected = 255 / (1 + np.exp(-mean_of_passes(network, window, AXES, "sheet")[0]))
    assert np.abs(written[:16, 16:32, :16] - expected).max() <= 0.51
    assert np.ptp(expected) > 2


def mean_of_passes(network, window, axes, target):
    """Raw outputs K D H W, slice by slice."""
    passes = []
    for axis in axes:
        slices = np.ascontiguousarray(window.transpose(ORDERS[axis]))
        with torch.no_grad():
            found = [network(torch.from_numpy(s[None, None, None]))[target][0, :, 0].numpy() for s in slices]
        back = np.argsort(ORDERS[axis])
        passes.append(np.stack(found, axis=1).transpose(0, *(back + 1)))
    return np.mean(passes, axis=0)


@pytest.fixture(scope="module")
def cube(tmp_path_factory):
    root = tmp_path_factory.mktemp("cube")
    data = np.random.default_rng(0).normal(size=(1, 16, 16, 16)).astype(np.float32)
    create_ome_zarr(root / "in.zarr", data.shape, "float32", spacing=(1, 1, 1)).write((0, 0, 0), data)
    return root, data[0]


def predictor(root, output, **changes):
    settings = {"input": f"{root}/in.zarr", "output": str(output), "weights": None, "normalization": "none"}
    settings["targets"] = {"depth": {"channels": 1, "kind": "scalar"}}
    torch.manual_seed(0)
    return configured("inference", root, **settings, **changes)


@pytest.mark.parametrize("axes", [AXES, ["y"], ["x", "z"]])
def test_windows_are_cubes_and_passes_those_asked_for(cube, tmp_path, axes):
    root, data = cube
    parser = predictor(root, tmp_path / "out.zarr", slice_axes=axes)
    assert parser.get_parsed_content("roi_size") == [16, 16, 16]
    parser.get_parsed_content("initialize")
    parser.get_parsed_content("run")
    network = parser.get_parsed_content("network").eval()
    expected = mean_of_passes(network, data, axes, "depth")
    np.testing.assert_allclose(
        open_volume(tmp_path / "out.zarr" / "depth").read((0, 0, 0), (16,) * 3), expected, atol=1e-5
    )


def test_without_passes_windows_are_the_patches_of_training(cube, tmp_path):
    root, _ = cube
    assert predictor(root, tmp_path / "out.zarr", slice_axes=None).get_parsed_content("roi_size") == [1, 16, 16]


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        ({"slice_axes": ["w"]}, ["slice_axes must be a list of names out of z, y, x; got 'w'"]),
        ({"slice_axes": ["z", "z"]}, ["each at most once; got ['z', 'z']"]),
        (
            {"patch_size": [16, 16, 16]},
            ["['z', 'y', 'x'] is for networks that were trained on slices", "got patch_size = [16, 16, 16]"],
        ),
        (
            {"roi_size": [15, 32, 32]},
            [f"slices along {axis} of windows with roi_size = [15, 32, 32]: patch size [1, 15, 32] does not fit"
             for axis in "yx"],
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_before_the_start(cube, tmp_path, changes, messages):
    with pytest.raises(RunError) as raised:
        check_inference(predictor(cube[0], tmp_path / "out.zarr", **changes))
    assert [message for message in messages if message not in str(raised.value)] == []
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch_size": [16, 16, 16], "stride": None}, "slice_axes = ['z', 'y', 'x'] needs patches of one slice"),
        ({"split_method": "random"}, "method 'random' cannot divide a volume that is seen along several axes"),
        ({"slice_axes": ["t"]}, "slice_axes must be a list of names out of z, y, x; got 't'"),
    ],
)
def test_a_training_that_cannot_be_is_refused(plates, tmp_path, changes, message):
    parser = configured("train", plates[0], volumes=volumes(plates[0]), output_dir=str(tmp_path), **changes)
    with pytest.raises(RunError) as raised:
        check_training(parser)
    assert message in str(raised.value)


def test_an_order_of_axes_of_its_own_is_a_fault_where_there_is_none(plates, tmp_path):
    rows = [{**volumes(plates[0])[0], "axes": "zyz"}]
    with pytest.raises(RunError, match=r"volumes\[0\]: image: axes must name z, y and x once each, .*; got 'zyz'"):
        check_training(configured("train", plates[0], volumes=rows, output_dir=str(tmp_path)))


def test_crops_of_cellmap_train_on_slices_along_all_axes(tmp_path):
    """Labels of another voxel size than the image, placed by where they are: what a position in nm belongs to."""
    tree = write_tree(tmp_path / "data")
    datasplit(["nuc", "cell"], search_path=str(tree), csv_path=tmp_path / "datasplit.csv", validation_prob=0.34)
    parser = ConfigParser()
    parser.read_config([BUNDLE / "configs" / f"{name}.json" for name in ("train", "cellmap")])
    changes = {key: SMALL[key] for key in ("slice_axes", "features_per_stage", "n_blocks_per_stage", "device")}
    changes |= {"classes": ["nuc", "cell"], "datasplit_path": str(tmp_path / "datasplit.csv"), "random_space": None}
    changes |= {"input_array_info": {"shape": [1, 8, 8], "scale": [8.0] * 3}, "augment": [], "jitter": 0}
    for key, value in {**changes, "output_dir": str(tmp_path)}.items():
        parser[key] = value
    check_training(parser)
    assert parser.get_parsed_content("spacing") == [8.0] * 3
    dataset = parser.get_parsed_content("train#dataset")
    seen = {}
    for n, datum in enumerate(dataset.data):
        axes = datum.get("axes", "zyx")
        if "cell" not in datum or seen.get(axes, 0) == 20:
            continue
        seen[axes] = seen.get(axes, 0) + 1
        known = dataset[n]["cell"].numpy()[0]
        index = np.meshgrid(
            *(range(s, s + m) for s, m in zip(datum["start"], datum["size"], strict=True)), indexing="ij"
        )
        positions = [8.0 * index[axes.index(axis)] for axis in "zyx"]
        # labels lie between the image's voxels, so that those within a voxel of the border may differ
        sure = (known >= 0) & (is_inside("cell", *positions) == is_inside("cell", *(p + 4 for p in positions)))
        np.testing.assert_array_equal(known[sure] > 0, is_inside("cell", *positions)[sure])
        assert sure.any()
    assert seen == {"zyx": 20, "yzx": 20, "xzy": 20}


@pytest.mark.real_data
@pytest.mark.long
def test_membranes_of_neurons_by_three_passes(real_data, tmp_path):
    """FIB-SEM with equal edges: trained on slices of one half along all axes, scored on the other half."""
    raw, bodies = (tifffile.imread(real_data / "em_fibsem" / f"medulla250_{name}.tif") for name in ("raw", "bodies"))
    raw, bodies = raw[:64, :64, :160], bodies[:64, :64, :160].astype(np.int64)
    membrane = np.zeros(bodies.shape, np.uint8)
    for axis in range(3):
        differs = np.diff(bodies, axis=axis) != 0
        for side in (slice(1, None), slice(None, -1)):
            membrane[(*[slice(None)] * axis, side)] |= differs
    for name, array in (("image", raw), ("sheet", membrane)):
        zarr.create_array(str(tmp_path / f"{name}.zarr"), shape=raw.shape, chunks=(48,) * 3, dtype="uint8")[...] = array
    rows = [{**volumes(tmp_path)[0], "region": [[0, 0, 0], [64, 64, 96]]}]
    parser = configured(
        "train", tmp_path, volumes=rows, patch_size=[1, 32, 32], stride=[4, 16, 16], min_labeled_ratio=0.01,
        features_per_stage=[16, 32], batch_size=8, max_epochs=1, max_steps_per_epoch=40, max_val_steps_per_epoch=2,
        learning_rate=0.01, **{"random_space#in_plane": True},
    )  # fmt: skip
    parser.get_parsed_content("initialize")
    parser.get_parsed_content("run")
    truth = membrane[:, :, 96:] > 0
    areas = {}
    for axes in ("z", "y", "x", "zyx"):
        predict = configured(
            "inference", tmp_path, input=f"{tmp_path}/image.zarr", output=f"{tmp_path}/{axes}.zarr",
            weights=str(tmp_path / "models" / "model.pt"), patch_size=[1, 32, 32], features_per_stage=[16, 32],
            spacing=[1.0] * 3, slice_axes=list(axes), sw_batch_size=16, region=[[0, 0, 96], [64, 64, 160]],
        )  # fmt: skip
        predict.get_parsed_content("initialize")
        predict.get_parsed_content("run")
        found = open_volume(tmp_path / f"{axes}.zarr" / "sheet").read((0, 0, 0), truth.shape)[0]
        # how often a voxel of a membrane ranks above another one: the area under the ROC curve
        areas[axes] = mannwhitneyu(found[truth], found[~truth]).statistic / (truth.sum() * (~truth).sum())
    print(", ".join(f"{axes}: area {value:.3f}" for axes, value in areas.items()))
    assert areas["zyx"] > max(areas[axes] for axes in AXES)
    assert areas["zyx"] > 0.85
