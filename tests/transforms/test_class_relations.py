"""Unknown classes of samples and crops, where another class tells."""

import numpy as np
import pytest
import torch
from monai.transforms import Compose
from tests.cellmap_tree import N_CLASSES, write_tree

from scripts.patches import cellmap_volumes, crop_patches, make_datalist
from scripts.transforms import ClassHierarchy, FillUnknownClasses, FillUnknownClassesd, LoadZarrPatchd, fill_crop

CLASSES = ClassHierarchy(
    {name: frozenset(ids) for name, ids in {"ecs": {1}, "nuc": {2, 3}, "cell": {2, 3, 4}, "nucpl": {3}}.items()}
)


def label(*values, dtype=torch.int32):
    return torch.tensor([[values]], dtype=dtype)  # 1 H W


def test_a_sample_by_hand():
    sample = {
        "nuc": label(0, 7, -1, -1), "cell": label(-1, -1, -1, 0, dtype=torch.int64), "ecs": label(1, -1, 1, -1),
        "image": torch.zeros(1, 1, 4),
    }  # fmt: skip
    keys = ["nuc", "cell", "ecs"]
    overlap = FillUnknownClassesd(keys, CLASSES)(sample)
    assert overlap["nuc"].tolist() == [[[0, 7, -1, 0]]]
    assert overlap["cell"].tolist() == [[[-1, 1, -1, 0]]]
    assert overlap["ecs"].tolist() == [[[1, -1, 1, -1]]]
    exclusive = FillUnknownClassesd(keys, CLASSES, use_mutual_exclusion=True)(sample)
    assert exclusive["nuc"].tolist() == [[[0, 7, 0, 0]]]
    assert exclusive["cell"].tolist() == [[[0, 1, 0, 0]]]
    assert exclusive["ecs"].tolist() == [[[1, 0, 1, -1]]]
    assert [exclusive[key].dtype for key in keys] == [torch.int32, torch.int64, torch.int32]
    assert sample["cell"].tolist() == [[[-1, -1, -1, 0]]]


def test_ignored_values_are_unknown_and_may_be_decided():
    sample = {"nuc": label(1, 255, 255), "cell": label(255, 0, 1)}
    targets = {"nuc": {"channels": 1, "ignore_label": 255}, "cell": {"channels": 1, "ignore_label": 255}}
    filled = FillUnknownClassesd(["nuc", "cell"], CLASSES, targets=targets)(sample)
    assert filled["nuc"].tolist() == [[[1, 0, 255]]]
    assert filled["cell"].tolist() == [[[1, 0, 1]]]
    assert FillUnknownClassesd(["nuc", "cell"], CLASSES)(sample)["cell"].tolist() == [[[255, 0, 1]]]


def test_missing_keys_count_as_unknown():
    transform = FillUnknownClassesd(["nuc", "cell"], CLASSES, allow_missing_keys=True)
    assert transform({"cell": label(0)}) == {"cell": label(0)}
    assert transform({}) == {}
    with pytest.raises(KeyError, match="nuc"):
        FillUnknownClassesd(["nuc", "cell"], CLASSES)({"cell": label(0)})


def test_the_array_form_and_a_file(tmp_path):
    (tmp_path / "classes.csv").write_text('ecs,1,\nnucpl,3,\nnuc,5,"2,3"\n')
    states = torch.tensor([[[-1]], [[1]]])  # K H W
    assert FillUnknownClasses(["nuc", "nucpl"], tmp_path / "classes.csv")(states).tolist() == [[[1]], [[1]]]
    assert FillUnknownClasses(["ecs", "nucpl"], tmp_path / "classes.csv")(states).tolist() == [[[-1]], [[1]]]
    exclusive = FillUnknownClasses(["ecs", "nucpl"], str(tmp_path / "classes.csv"), use_mutual_exclusion=True)
    assert exclusive(states).tolist() == [[[0]], [[1]]]


def test_faults():
    with pytest.raises(ValueError, match=r"the class hierarchy has no 'nux' \(did you mean 'nuc'\?\)"):
        FillUnknownClassesd(["nux"], CLASSES)
    with pytest.raises(ValueError, match="keys: cell must be labels with 1 channel, one class each"):
        FillUnknownClassesd(["nuc", "cell"], CLASSES, targets={"cell": {"channels": 3}})
    with pytest.raises(ValueError, match=r"labels must share one shape; got \{'nuc': \(2,\), 'cell': \(3,\)\}"):
        fill_crop({"nuc": np.zeros(2), "cell": np.zeros(3)}, ["nuc"], CLASSES)


def test_a_whole_crop():
    nuc = np.array([[[0, 300, 0]]], np.uint16)
    cell = np.array([[[1, -1, -1]]], np.int16)
    for exclusion, ecs in ((False, [-1, -1, -1]), (True, [0, 0, -1])):
        filled = fill_crop({"nuc": nuc, "cell": cell}, ["ecs", "cell", "nucpl", "nuc"], CLASSES, exclusion)
        assert list(filled) == ["ecs", "cell", "nucpl", "nuc"]
        assert filled["nuc"].tolist() == [[[0, 300, 0]]]
        assert filled["cell"].tolist() == [[[1, 1, -1]]]
        assert filled["nucpl"].tolist() == [[[0, -1, 0]]]
        assert filled["ecs"].tolist() == [[ecs]]
        assert [filled[name].dtype for name in filled] == ["int8", "int16", "int8", "uint16"]


def test_classes_that_a_crop_lacks_are_filled_as_it_is_loaded(tmp_path):
    """crop1 has nuc and cell, crop2 nuc, nucleolus and ecs: the rest follows where it can."""
    tree = write_tree(tmp_path)
    (tmp_path / "classes.csv").write_text(N_CLASSES)
    names = ["ecs", "nucleolus", "cyto", "nuc", "cell"]
    targets = {name: {"channels": 1} for name in names}
    rows = cellmap_volumes(["ecs", "nucleolus", "nuc", "cell"], str(tree), spacing=(8, 8, 8), crops=[1, 2])
    rows.sort(key=lambda row: row["nuc"])
    data = make_datalist(rows, crop_patches(rows, (12, 12, 12)), targets)
    load = LoadZarrPatchd(["image", *names], targets)
    fill = FillUnknownClassesd(names, tmp_path / "classes.csv", use_mutual_exclusion=True, targets=targets)
    for datum, missing in zip(data, (["ecs", "nucleolus", "cyto"], ["cyto", "cell"]), strict=True):
        before, after = load(datum), Compose([load, fill])(datum)
        found = {name: after[name].as_tensor() for name in names}
        for name in names:
            known = before[name].as_tensor() >= 0
            assert bool(known.any()) == (name not in missing)
            assert torch.equal(found[name][known], before[name].as_tensor()[known])
            assert torch.equal(after[name].affine, before[name].affine)
            assert after[name].meta["filename_or_obj"] == before[name].meta["filename_or_obj"]
        nuc, cell = found["nuc"] > 0, found["cell"] > 0
        if "ecs" in missing:  # nuc and cell tell cyto; ecs is 0 in the cell; nucleolus is 0 outside of the nucleus
            assert torch.equal(found["cyto"], (cell & ~nuc).int() - (~cell & ~nuc & (found["cyto"] < 0)).int())
            assert (found["ecs"][cell] == 0).all()
            assert (found["ecs"][~cell] == -1).all()
            assert (found["nucleolus"][~nuc] == 0).all()
            assert (found["nucleolus"][nuc] == -1).all()
        else:  # nuc tells that there is a cell, ecs that there is none; what is neither may be cyto or nothing
            ecs = found["ecs"] > 0
            assert ecs.any()
            assert torch.equal(found["cell"], nuc.int() - (~nuc & ~ecs).int())
            assert torch.equal(found["cyto"], -(~nuc & ~ecs).int())
