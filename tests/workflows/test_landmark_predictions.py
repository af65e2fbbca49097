"""Landmarks of a list of images: one network, each of several, an ensemble; bins from validation to test."""

import csv
import json
import logging

import numpy as np
import pytest
import torch
from PIL import Image
from tests.inferers.landmark_networks import Bright, Centroids, blobs, distances, write_image
from torch import nn

from scripts.inferers import LandmarkInferer
from scripts.volumes import open_volume
from scripts.workflows import checkpoint_files, landmark_evaluator, predict_after_training, predict_landmarks
from scripts.workflows.landmark_images import LandmarkImages
from scripts.workflows.landmark_predictions import landmark_case

SHAPE = (12, 20, 24)
INPUT = (12, 10, 32)
SPACING, ORIGIN = (2.0, 1.0, 0.5), (10.0, 20.0, 30.0)
CPU = torch.device("cpu")


def points(n):
    """Two landmarks of image n."""
    return np.array([[5.0, 8.0 + n, 6.0], [6.0 - n / 2, 11.0, 17.0 + n / 2]])


@pytest.fixture
def rows(tmp_path):
    """Two annotated images; of the second the first landmark is missing."""
    found = []
    for n in range(2):
        image = blobs(SHAPE, points(n), 1.8).sum(axis=0, keepdims=True).astype(np.float32)
        path = write_image(tmp_path / f"mouse{n}.zarr", image, SPACING, ORIGIN)
        landmarks = points(n).tolist()
        found.append({"image": path, "id": f"m/{n}", "landmarks": [None, landmarks[1]] if n else landmarks})
    found[0]["extra"] = {"age": 7}
    return found


def weights(folder, name, offset):
    """A file of weights of a network that is so many voxels of its input wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(Centroids(offset).state_dict(), folder / f"{name}.pt")
    return folder / f"{name}.pt"


def evaluator(rows, names=None, network=None, **options):
    options = {"roi_size": SHAPE, "inference_mode": "fully_convolutional"} | options
    return landmark_evaluator(rows, network or Centroids(), LandmarkInferer(**options), CPU, names)


def predictions(folder):
    return json.loads((folder / "predictions.json").read_text())


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_file(rows, tmp_path):
    out = tmp_path / "out"
    summaries = predict_landmarks(evaluator(rows), weights(tmp_path, "model", (0, 3, 0)), out, radii=[2.5, 3.5])
    assert list(summaries) == [""]
    summary = summaries[""]
    assert summary["smha_mre"] == pytest.approx(3, abs=0.02)
    assert summary["smha_mre_mm"] == pytest.approx(3, abs=0.02)
    assert (summary["smha_sdr@2.5"], summary["smha_sdr@3.5"]) == (0, 1)
    content = predictions(out)
    for n in range(2):
        image = content["images"][f"m/{n}"]
        assert distances(image["found"]["smha"]["points"], np.add(points(n), [0, 3, 0])).max() < 0.02
        assert image["members"] == {}
    assert content["images"]["m/0"]["extra"] == {"age": 7}
    assert content["images"]["m/1"]["truth"][0] is None
    assert (out / "report.html").is_file()
    assert len(list((out / "pictures").glob("*.png"))) == 2


def test_each_of_a_list_or_folder_by_itself(rows, tmp_path):
    files = [weights(tmp_path / "ckpt", name, (0, 0, x)) for name, x in (("best", 0), ("last", 2))]
    for given, folder in ((files, "list"), (tmp_path / "ckpt", "folder"), (str(tmp_path / "ckpt"), "text")):
        network_inferer = evaluator(rows)
        summaries = predict_landmarks(network_inferer, given, tmp_path / folder, n_pictures=0)
        assert list(summaries) == ["best", "last"]
        for name, error in (("best", 0), ("last", 2)):
            assert summaries[name]["smha_mre"] == pytest.approx(error, abs=0.02)
            found = predictions(tmp_path / folder / name)["images"]["m/0"]["found"]["smha"]["points"]
            assert distances(found, np.add(points(0), [0, 0, error])).max() < 0.02
        assert network_inferer.inferer.members is None
    assert sorted(path.name for path in (tmp_path / "list").iterdir()) == ["best", "last"]


def test_an_ensemble(rows, tmp_path):
    """Members that are 2 voxels to either side of their mean, which is 1 voxel wrong."""
    files = [weights(tmp_path / f"fold{n}" / "models", "model", (0, y, 0)) for n, y in enumerate((-1, 3))]
    summaries = predict_landmarks(evaluator(rows), files, tmp_path / "out", ensemble=True)
    assert list(summaries) == [""]
    assert summaries[""]["ecpv_mre"] == pytest.approx(1, abs=0.02)
    content = predictions(tmp_path / "out")["images"]["m/0"]
    assert list(content["found"]) == ["ecpv", "smha", "emha"]
    assert content["found"]["ecpv"]["uncertainty"] == pytest.approx([2, 2], abs=0.02)
    assert list(content["members"]) == ["fold0_models_model", "fold1_models_model"]
    for member, y in (("fold0_models_model", -1), ("fold1_models_model", 3)):
        assert distances(content["members"][member], np.add(points(0), [0, y, 0])).max() < 0.02
    (row,) = [row for row in table(tmp_path / "out" / "summary.csv") if row["landmark"] == "all"]
    assert float(row["ecpv_mre"]) == pytest.approx(1, abs=0.02)


def test_results_may_be_in_the_grid_that_the_network_gets(rows, tmp_path):
    options = {"input_size": INPUT, "evaluation_mode": "use_input_size"}
    predict_landmarks(evaluator(rows, **options), weights(tmp_path, "model", (0, 1, 0)), tmp_path / "out")
    image = predictions(tmp_path / "out")["images"]["m/0"]
    scale = np.divide(INPUT, SHAPE)
    assert image["shape"] == list(SHAPE)
    assert image["grid_shape"] == image["input_shape"] == list(INPUT)
    assert np.allclose(image["truth"], (points(0) + 0.5) * scale - 0.5)
    assert distances(image["found"]["smha"]["points"], image["truth"]).max() == pytest.approx(1, abs=0.05)
    assert image["spacing"] == pytest.approx(SPACING / scale)
    # the same places in space
    physical = np.multiply(image["truth"], image["spacing"]) + image["translation"]
    assert np.allclose(physical, points(0) * SPACING + ORIGIN)


@pytest.mark.parametrize("mode", ["scale_heatmap_first", "scale_pred_coords"])
def test_results_are_in_the_grid_of_the_image(rows, tmp_path, mode):
    options = {"input_size": INPUT, "evaluation_mode": mode}
    predict_landmarks(evaluator(rows, **options), weights(tmp_path, "model", (0, 1, 0)), tmp_path / "out")
    image = predictions(tmp_path / "out")["images"]["m/0"]
    assert image["grid_shape"] == list(SHAPE)
    assert image["input_shape"] == list(INPUT)
    assert np.allclose(image["truth"], points(0))
    # a voxel of the network's are two
    assert distances(image["found"]["smha"]["points"], np.add(points(0), [0, 2, 0])).max() < 0.1
    assert image["spacing"] == list(SPACING)
    assert image["unit"] == "mm"


def test_pictures_have_no_physical_lengths(tmp_path):
    at = np.array([[0, 12.0, 9.0], [0, 15.0, 31.0]])
    values = blobs((1, 30, 44), at, 2.5)[:, 0].sum(axis=0)
    Image.fromarray(np.round(255 * values).astype(np.uint8)).save(tmp_path / "a.png")
    row = {"image": str(tmp_path / "a.png"), "landmarks": at[:, 1:].tolist()}
    file = weights(tmp_path, "model", (0, 1, 0))
    summary = predict_landmarks(evaluator([row], input_size=(1, 30, 22)), file, tmp_path / "out", debug=True)[""]
    assert summary["smha_mre"] == pytest.approx(1, abs=0.05)
    assert not [key for key in summary if key.endswith("mm")]
    image = predictions(tmp_path / "out")["images"]["a"]
    assert image["unit"] is None
    assert distances(image["found"]["smha"]["points"], np.add(at, [0, 1, 0])).max() < 0.1


def test_debug_draws_heatmaps_of_the_network(rows, tmp_path):
    file = weights(tmp_path, "model", (0, 0, 0))
    options = {"input_size": INPUT}
    predict_landmarks(evaluator(rows, **options), file, tmp_path / "out", debug=True)
    pictures = sorted((tmp_path / "out" / "heatmaps").rglob("*.png"))
    assert [path.name for path in pictures] == ["m_0.png", "m_1.png"]
    with Image.open(pictures[0]) as picture:
        assert np.asarray(picture).std() > 0
    predict_landmarks(evaluator(rows, **options), file, tmp_path / "plain")
    assert not (tmp_path / "plain" / "heatmaps").exists()


def test_images_without_annotation_stand_beside_others(rows, tmp_path):
    unknown = {"image": rows[0]["image"], "id": "unknown"}
    named = [{**rows[0], "landmarks": str(tmp_path / "a.csv")}, unknown]
    (tmp_path / "a.csv").write_text("name,z,y,x\nnose,5,8,6\near,6,11,17\n")
    file = weights(tmp_path, "model", (0, 3, 0))
    summary = predict_landmarks(evaluator(named), file, tmp_path / "out")[""]
    assert summary["annotated"] == 2
    assert summary["smha_mre"] == pytest.approx(3, abs=0.02)
    content = predictions(tmp_path / "out")
    assert content["landmarks"] == ["nose", "ear"]
    assert content["images"]["unknown"]["truth"] is None
    alone = predict_landmarks(evaluator([unknown]), file, tmp_path / "alone")
    assert np.isnan(alone[""].get("smha_mre", np.nan))
    assert predictions(tmp_path / "alone")["landmarks"] == ["1", "2"]


def test_a_landmark_outside_of_the_image_is_missed(rows, tmp_path, caplog):
    rows[0]["landmarks"] = [points(0)[0].tolist(), [6, 11, 40]]
    with caplog.at_level(logging.WARNING):
        predict_landmarks(evaluator(rows[:1]), weights(tmp_path, "model", (0, 0, 0)), tmp_path / "out")
    assert "m/0: 1 of 2 landmarks lie beyond the image" in caplog.text
    second = table(tmp_path / "out" / "landmarks.csv")[1]
    assert float(second["truth_x"]) == 40
    assert float(second["error"]) == pytest.approx(23, abs=0.02)


def test_another_number_of_landmarks_than_the_network_finds_names_the_image(rows):
    datum = LandmarkImages([{**rows[0], "landmarks": [[1, 2, 3]]}])[0]
    prediction = LandmarkInferer(SHAPE)(datum["image"], Centroids())
    with pytest.raises(ValueError, match="m/0: has 1 landmarks; the network finds 2"):
        landmark_case(datum, prediction)
    with pytest.raises(ValueError, match="m/0: has 2 landmarks; expected 3: a, b, c"):
        LandmarkImages(rows, ["a", "b", "c"])[0]


def test_several_arrays_are_one_image(tmp_path):
    paths = [
        write_image(tmp_path / f"{n}.zarr", blobs(SHAPE, points(0)[n : n + 1], 2.0).astype(np.float32))
        for n in range(2)
    ]
    network = Bright()
    landmarks = evaluator([{"image": paths, "landmarks": points(0).tolist()}], network=network)
    torch.save(network.state_dict(), tmp_path / "model.pt")
    summary = predict_landmarks(landmarks, tmp_path / "model.pt", tmp_path / "out")[""]
    assert summary["smha_mre"] < 0.02


def test_missing_weights_are_named(rows, tmp_path):
    file = weights(tmp_path / "ckpt", "model", (0, 0, 0))
    assert checkpoint_files(file) == checkpoint_files(str(file)) == checkpoint_files(file.parent) == [file]
    with pytest.raises(FileNotFoundError, match=r"no weights: .*gone\.pt, .*lost\.pt do not exist"):
        checkpoint_files([file, tmp_path / "gone.pt", tmp_path / "lost.pt"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no weights: .*empty has no \.pt files"):
        predict_landmarks(evaluator(rows), tmp_path / "empty", tmp_path / "out")
    with pytest.raises(FileNotFoundError, match=r"no weights: \[\] has no \.pt files"):
        checkpoint_files([])
    with pytest.raises(ValueError, match=r"weights: a file is named twice in .*model\.pt, .*model\.pt"):
        predict_landmarks(evaluator(rows), [file, file], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_weights_of_another_network_are_refused(rows, tmp_path):
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "other.pt")
    landmarks = evaluator(rows)
    with pytest.raises(ValueError, match=r"other\.pt does not hold this network's weights"):
        predict_landmarks(landmarks, tmp_path / "other.pt", tmp_path / "out")
    assert landmarks.inferer.members is None


def test_bins_are_fitted_on_validation_and_applied_to_test(rows, tmp_path):
    validation = [
        {**row, "id": f"{row['id']} {copy}", "landmarks": points(n).tolist()}
        for n, row in enumerate(rows)
        for copy in range(2)
    ]
    file = weights(tmp_path, "model", (0, 3, 0))
    out = tmp_path / "out"
    predict_after_training(evaluator(validation), evaluator(rows), file, out, radii=[2.0])
    bins = json.loads((out / "validation" / "bins.json").read_text())
    assert bins["unit"] == "mm"
    assert np.allclose(bins["methods"]["smha"]["error_bounds"], 3, atol=0.02)
    assert not (out / "test" / "bins.json").exists()
    binned = table(out / "test" / "landmarks.csv")
    bounds = [*bins["methods"]["smha"]["error_bounds"], np.inf]
    for row in binned:
        assert float(row["smha_bin_high"]) == bounds[int(float(row["smha_bin"]))]
    assert list(predictions(out / "validation")["images"]) == [row["id"] for row in validation]
    assert list(predictions(out / "test")["images"]) == ["m/0", "m/1"]


def test_without_rows_to_test_or_validate_there_are_no_results(rows, tmp_path):
    file = weights(tmp_path, "model", (0, 0, 0))
    predict_after_training(evaluator(rows), evaluator([]), file, tmp_path / "a")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["validation"]
    predict_after_training(evaluator([]), evaluator([]), file, tmp_path / "b")
    assert not (tmp_path / "b").exists()
    stale = tmp_path / "a" / "validation" / "bins.json"
    stale.write_text("{}")
    predict_after_training(evaluator([]), evaluator(rows), file, tmp_path / "a")  # bins of an earlier run do not count
    assert not stale.exists()
    assert list(predictions(tmp_path / "a" / "test")["images"]) == ["m/0", "m/1"]
    assert "smha_bin" not in table(tmp_path / "a" / "test" / "landmarks.csv")[0]


def test_a_network_in_training_stays_so(rows, tmp_path):
    network = Centroids().train()
    predict_landmarks(evaluator(rows, network=network), weights(tmp_path, "model", (0, 0, 0)), tmp_path / "out")
    assert network.offset.tolist() == [0, 0, 0]
    assert open_volume(rows[0]["image"]).unit == "mm"
