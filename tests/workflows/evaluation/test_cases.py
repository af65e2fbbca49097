"""Pairs of prediction and truth, from volumes, groups, trees, patterns and submissions."""

import shutil

import numpy as np
import pytest
import zarr
from tests.cellmap_tree import write_tree
from tests.workflows.evaluation_stores import store

from scripts.workflows.evaluation.cases import find_cases
from scripts.workflows.pack import pack

TRUTH = "recon-1/labels/groundtruth"
EVERY = ["jrc_coarse/crop10/cell", "jrc_fine/crop1/cell", "jrc_fine/crop1/nuc", "jrc_fine/crop2/ecs"] + [
    f"jrc_fine/crop2/{name}" for name in ("nuc", "nucleolus")
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def predicted(tree, tmp_path_factory):
    """Predictions as `<dataset>.zarr/<crop>/<class>`, without the nucleolus; they are copies of the truth."""
    folder = tmp_path_factory.mktemp("predicted")
    for crop in tree.glob(f"*.zarr/{TRUTH}/*"):
        for label in crop.iterdir():
            if label.is_dir() and label.name != "nucleolus":
                dataset = crop.relative_to(tree).parts[0]
                shutil.copytree(label, folder / dataset / crop.name / label.name)
    return folder


def group(path, *names):
    """A group with an image per class."""
    zarr.create_group(str(path))
    for name in names:
        store(path / name, np.ones((2, 2, 2), np.uint8))
    return str(path)


def titles(cases):
    return sorted(case.title for case in cases)


def test_a_volume_is_one_case_named_like_its_store(tmp_path):
    paths = [store(tmp_path / f"{name}.zarr", np.ones((2, 2, 2), np.uint8)) for name in ("cells", "a", "b")]
    (case,) = find_cases(paths[1:], paths[0])
    assert (case.label, case.truth, case.predictions, case.title) == ("cells", paths[0], tuple(paths[1:]), "cells")


def test_a_group_is_a_case_per_class_and_a_class_may_be_missing(tmp_path):
    truth, full = group(tmp_path / "t.zarr", "mito", "nuc"), group(tmp_path / "p.zarr", "mito", "nuc", "more")
    part = group(tmp_path / "q.zarr", "nuc")
    mito, nuc = find_cases([full, part], truth)
    assert (mito.label, mito.truth, mito.predictions) == ("mito", f"{truth}/mito", (f"{full}/mito", None))
    assert (nuc.label, nuc.predictions) == ("nuc", (f"{full}/nuc", f"{part}/nuc"))


def test_a_tree_has_a_case_per_crop_and_class(tree, predicted):
    cases = find_cases([str(predicted)], str(tree))
    assert titles(cases) == EVERY
    paths = {case.title: case.predictions[0] for case in cases}
    assert paths["jrc_fine/crop1/nuc"] == f"{predicted}/jrc_fine.zarr/crop1/nuc"
    assert paths["jrc_fine/crop2/nucleolus"] is None
    nuc = next(case for case in cases if case.title == "jrc_fine/crop1/nuc")
    assert nuc.truth == f"{tree}/jrc_fine.zarr/{TRUTH}/crop1/nuc"


def test_datasets_may_lie_one_folder_further_down(tmp_path):
    nested = write_tree(tmp_path, nested=True)
    assert titles(find_cases([str(nested)], str(nested))) == EVERY


def test_patterns_say_where_things_are(tree, predicted):
    cases = find_cases(
        [str(predicted / "{dataset}.zarr/{crop}/{label}"), str(predicted / "{dataset}.zarr/crop1/cell")],
        str(tree / "{dataset}.zarr" / TRUTH / "{crop}/{label}"),
        image=str(tree / "{dataset}.zarr/recon-1/em/fibsem-uint8"),
        mask="masks/{crop}/{label}",
    )
    assert titles(cases) == EVERY
    found = {case.title: case for case in cases}
    assert found["jrc_fine/crop2/nuc"].predictions == (
        f"{predicted}/jrc_fine.zarr/crop2/nuc", f"{predicted}/jrc_fine.zarr/crop1/cell",
    )  # fmt: skip
    assert found["jrc_coarse/crop10/cell"].predictions[1] is None
    assert found["jrc_fine/crop2/nuc"].image == f"{tree}/jrc_fine.zarr/recon-1/em/fibsem-uint8"
    assert found["jrc_fine/crop2/nuc"].mask == "masks/crop2/nuc"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"classes": ["nuc*"]}, [EVERY[2], *EVERY[4:]]),
        ({"crops": ["crop2", "10"]}, [EVERY[0], *EVERY[3:]]),
        ({"datasets": ["*coarse"]}, EVERY[:1]),
    ],
)
def test_parts_of_a_tree(tree, predicted, options, expected):
    assert titles(find_cases([str(predicted)], str(tree), **options)) == expected


def test_a_submission_is_read_from_its_zip_file(tree, predicted, tmp_path):
    pack(str(predicted / "{dataset}.zarr/{crop}/{label}"), tmp_path / "a.zip")
    cases = find_cases([str(tmp_path / "a.zip")], str(tree))
    volumes = {case.title: case.predictions[0] for case in cases}
    assert volumes["jrc_fine/crop1/cell"].spatial_shape == (24, 24, 24)
    assert volumes["jrc_fine/crop2/nucleolus"] is None


def test_a_class_that_the_truth_lacks_is_named(tree, predicted):
    with pytest.raises(ValueError, match=r"has no class 'nucc' \(did you mean 'nuc'\?\); classes there: cell, ecs"):
        find_cases([str(predicted)], str(tree), classes=["nucc", "cell"])


def test_no_crop_that_fits_is_said(tree, predicted):
    with pytest.raises(FileNotFoundError, match=r"found no labels of crops crop7 and datasets \*"):
        find_cases([str(predicted)], str(tree), crops=["7"])


def test_a_prediction_of_nothing_that_the_truth_has_is_an_error(tree, predicted, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty, as in jrc_coarse/crop10/cell: found none of the 6 labels that"):
        find_cases([str(predicted), str(tmp_path / "empty")], str(tree))
    with pytest.raises(ValueError, match=r"nowhere/\{crop\}: found none of the 6 labels"):
        find_cases(["nowhere/{crop}"], str(tree))


def test_paths_that_are_not_there(tree, tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing does not exist"):
        find_cases([str(tree)], str(tmp_path / "nothing"))
    with pytest.raises(FileNotFoundError, match="nothing does not exist"):
        find_cases([str(tmp_path / "nothing")], str(tree))


def test_a_folder_without_volumes_says_what_it_is(tmp_path):
    (tmp_path / "some" / "thing").mkdir(parents=True)
    with pytest.raises(ValueError, match="some is a folder without zarr array or group"):
        find_cases(["x"], str(tmp_path / "some"))
