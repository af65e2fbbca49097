"""Which slices of the worst cases are shown, and what their colours say."""

import numpy as np
import pytest
from tests.workflows.evaluation_stores import PROBABILITY, blocky, opened, store

from scripts.workflows.evaluation import pictures
from scripts.workflows.evaluation.job import ScoreJob, run_job
from scripts.workflows.evaluation.measures import default_measures
from scripts.workflows.evaluation.pictures import worst_pictures

RIGHT, MISSED, FALSE, OTHER, UNKNOWN = (120, 160, 120), (230, 159, 0), (86, 180, 233), (214, 40, 140), (44, 44, 52)
SHAPE = (8, 9, 10)


@pytest.fixture
def write(tmp_path):
    def write_one(name, array, **options):
        return store(tmp_path / f"{name}.zarr", array, overwrite=True, **options)

    return write_one


def sections(cases, count=6, names=("a",), block_voxels=64):
    job = ScoreJob(cases, default_measures(case.kind for case in cases), block_voxels=block_voxels)
    return worst_pictures(cases, run_job(job), names, count, block_voxels)


def test_the_slice_with_most_errors_is_shown_in_colours_of_what_is_wrong(write):
    truth, prediction = np.zeros((2, *SHAPE), np.int16)
    truth[5, 2, :4], prediction[5, 2, 2:6] = 1, 1
    truth[5, 8, 9] = -1
    truth[1, 0, 0] = 1
    section, other = sections([opened(write("t", truth), write("p", prediction))])
    assert section.heading == "thing"
    assert section.caption == "Slice z = 5, y from 0, x from 0. In its block, wrong voxels: 2."
    assert other.caption.startswith("Slice z = 1, y from 0, x from 0.")  # not the block beside it
    pictures = dict(section.pictures)
    assert list(pictures) == ["truth", "prediction", "disagreement"]
    found = pictures["disagreement"]
    assert found[2, :7].tolist() == [list(c) for c in (MISSED, MISSED, RIGHT, RIGHT, FALSE, FALSE, (0, 0, 0))]
    assert found[8, 9].tolist() == list(UNKNOWN)
    assert (pictures["truth"].any(-1) == (truth[5] > 0)).all()
    assert (pictures["prediction"].any(-1) == (prediction[5] > 0)).all()


def test_objects_that_belong_together_have_one_colour(write):
    truth, prediction = np.zeros((2, *SHAPE), np.uint64)
    truth[0, :4, :4], truth[0, 5:, :4] = 3, 2**63
    prediction[0, :4, :4], prediction[0, 5:, :3], prediction[0, 5:, 3:5] = 9, 7, 2**40
    (section, *_) = sections([opened(write("t", truth), write("p", prediction), metrics="voi")], block_voxels=2**20)
    pictures = dict(section.pictures)
    same = (pictures["truth"] == pictures["prediction"]).all(-1)
    assert same[:4, :4].all()
    assert same[5:, :3].all()
    assert not same[5:, 3].any()
    assert pictures["disagreement"][6, :5].tolist() == [list(c) for c in (RIGHT, RIGHT, RIGHT, OTHER, FALSE)]


def test_the_image_is_placed_below(write):
    image = np.zeros(SHAPE, np.float32)
    image[3, 4] = 100
    truth = np.zeros(SHAPE, np.uint8)
    truth[3, 4, 5] = 1
    case = opened(write("t", truth), write("p", np.zeros_like(truth)), image=write("i", image))
    (section,) = sections([case])
    assert section.columns == 4
    pictures = dict(section.pictures)
    assert pictures["image"][:, 0, 0].tolist() == [0] * 4 + [255] + [0] * 4
    assert (pictures["prediction"] == pictures["image"]).all()
    assert (pictures["truth"] != pictures["image"]).any(-1).sum() == 1


def test_the_worst_case_comes_first_and_missing_ones_are_not_shown(write):
    truth = np.zeros(SHAPE, np.uint8)
    truth[0, 0] = 1
    half, none = truth.copy(), np.zeros_like(truth)
    half[0, 0, :5] = 0
    cases = [
        opened(write("t", truth), *paths, label=label)
        for label, paths in (("x", (write("h", half), None)), ("y", (write("n", none), write("same", truth))))
    ]
    found = sections(cases, names=("a", "b"), block_voxels=2**20)
    assert [section.heading for section in found] == ["y, a", "x, a"]
    assert [bool(section.legend) for section in found] == [True, False]
    assert len(sections(cases, 1, ("a", "b"))) == 1
    assert sections(cases, 0, ("a", "b")) == []


def test_the_worst_of_each_class_comes_before_the_second_worst_of_another(write):
    truth = np.zeros(SHAPE, np.uint8)
    truth[0, 0] = 1
    cases = []
    for n, (label, missed) in enumerate((("x", 10), ("x", 9), ("y", 1))):
        prediction = truth.copy()
        prediction[0, 0, :missed] = 0
        cases.append(opened(write("t", truth), write(f"p{n}", prediction), label=label))
    found = sections(cases, block_voxels=2**20)
    assert [section.heading for section in found] == ["x", "y", "x"]
    assert [section.caption.rpartition(" ")[2] for section in found] == [
        "10.", "1.", "9.",
    ]  # fmt: skip


def test_a_window_of_a_large_slice_lies_around_the_errors(write, monkeypatch):
    monkeypatch.setattr(pictures, "WINDOW", 4)
    truth = np.zeros(SHAPE, np.uint8)
    truth[2, 8, 3:5] = 1
    (section, *_) = sections([opened(write("t", truth), write("p", np.zeros_like(truth)))], block_voxels=2**20)
    assert section.caption.startswith("Slice z = 2, y from 5, x from 1.")
    assert dict(section.pictures)["disagreement"].shape == (4, 4, 3)
    assert dict(section.pictures)["disagreement"].any(-1).sum() == 2


def test_a_region_bounds_the_window(write):
    truth = blocky(0, SHAPE)
    case = opened(write("t", truth), write("p", np.zeros_like(truth)), metrics="voi", region=((2, 3, 4), (4, 8, 9)))
    for section in sections([case]):
        assert section.caption.startswith(("Slice z = 2, y from 3, x from 4", "Slice z = 3, y from 3, x from 4"))
        assert dict(section.pictures)["truth"].shape == (5, 5, 3)


def test_classes_and_probabilities_are_shown(write):
    truth = blocky(2, SHAPE, largest=2, dtype=np.uint8)
    shares = np.zeros((3, *SHAPE), np.uint8)
    shares[0] = 255
    (section, *_) = sections(
        [opened(write("t", truth), write("p", shares, encoding=PROBABILITY), kind="classes")], block_voxels=2**20
    )
    colours = dict(section.pictures)["truth"].reshape(-1, 3)
    assert len(np.unique(colours, axis=0)) == 3
    assert not dict(section.pictures)["prediction"].any()


def test_numbers_are_shown_with_their_error(write):
    truth = np.zeros((3, *SHAPE), np.float32)
    truth[0] = 1
    prediction = truth.copy()
    prediction[:, 4, 2, 3] = (0, 1, 0)
    (section,) = sections(
        [opened(write("t", truth), write("p", prediction), kind="vector", metrics="epe")], block_voxels=2**20
    )
    assert section.caption.startswith("Slice z = 4, y from 0, x from 0. In its block, errors add up to 1.414")
    pictures = dict(section.pictures)
    assert list(pictures) == ["truth", "prediction", "error"]
    different = (pictures["error"] != pictures["error"][0, 0]).any(-1)
    assert np.argwhere(different).tolist() == [[2, 3]]
    assert not section.legend
