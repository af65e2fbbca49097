"""How values are read, told from stores, names and metrics."""

import numpy as np
import pytest
from tests.workflows.evaluation_stores import PROBABILITY, store

from scripts.geometry import parse_targets
from scripts.inferers.outputs import output_format
from scripts.volumes import open_volume
from scripts.workflows.evaluation.kinds import check_values, checked_kind, kind_of
from scripts.workflows.evaluation.measures import parse_measures

IDS, FLOATS = np.ones((1, 2, 2, 2), np.uint32), np.ones((1, 2, 2, 2), np.float32)


@pytest.fixture
def volume(tmp_path):
    def make(array=IDS, **options):
        return open_volume(store(tmp_path / f"{len(list(tmp_path.iterdir()))}.zarr", array, **options))

    return make


def kind(truth, *predictions, label="thing", metrics=(), asked="auto"):
    return kind_of(asked, label, truth, predictions, parse_measures(metrics) if metrics else None)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"channels": 3, "kind": "normal"}, "normal"),
        ({"channels": 2, "kind": "vector"}, "vector"),
        ({"channels": 1, "kind": "scalar"}, "scalar"),
        ({"channels": 4}, "classes"),
        ({"channels": 1}, "semantic"),
    ],
)
def test_what_the_bundle_wrote_says_so_itself(volume, target, expected):
    form = output_format(parse_targets({"a": target})["a"])
    array = np.zeros((form.channels, 2, 2, 2), form.dtype)
    assert kind(volume(), None, volume(array, attributes=form.store_attributes())) == expected


def test_probabilities_of_several_classes_are_classes(volume):
    form = output_format(parse_targets({"a": {"channels": 3}})["a"], class_output="probabilities")
    array = np.zeros((3, 2, 2, 2), np.uint8)
    assert kind(volume(), volume(array, attributes=form.store_attributes())) == "classes"
    assert kind(volume(), volume(array.astype(np.float32))) == "classes"


def test_a_truth_of_floats_is_numbers(volume):
    assert kind(volume(FLOATS), volume(FLOATS)) == "scalar"
    assert kind(volume(FLOATS.repeat(3, 0)), volume(FLOATS.repeat(3, 0))) == "vector"
    assert kind(volume(FLOATS), volume(FLOATS), metrics=["dice"]) == "semantic"  # which is then an error


def test_names_of_classes_with_objects(volume):
    assert kind(volume(), volume(), label="mito") == "instance"
    assert kind(volume(), volume(FLOATS), label="mito") == "semantic"  # probabilities are no ids


@pytest.mark.parametrize(
    ("label", "metrics", "expected"),
    [
        ("thing", ["dice"], "semantic"), ("thing", ["dice", "voi"], "instance"), ("er", ["cellmap", "voi"], "semantic"),
        ("nuc", ["cellmap"], "instance"),
    ],
)  # fmt: skip
def test_metrics_tell_what_else_would_not(volume, label, metrics, expected):
    assert kind(volume(), volume(), label=label, metrics=metrics) == expected


def test_what_is_asked_for_comes_first(volume):
    assert kind(volume(), volume(FLOATS), label="mito", asked="classes") == "classes"
    with pytest.raises(ValueError, match=r"reads 'er' as kind semantic, but kind instance is asked for; .*nuc, vim"):
        kind(volume(), volume(), label="er", metrics=["cellmap"], asked="instance")


def test_where_nothing_tells_one_has_to_say(volume):
    with pytest.raises(ValueError, match=r"0.zarr: nothing says whether its values are ids of objects or a mask"):
        kind(volume(), volume())


def test_a_kind_that_does_not_exist():
    assert checked_kind(None) == "auto"
    with pytest.raises(ValueError, match=r"kind: expected auto, instance.*; got 'instances' \(did you mean 'instance'"):
        checked_kind("instances")


@pytest.mark.parametrize("asked", ["instance", "semantic", "classes"])
def test_a_truth_of_floats_is_no_label(volume, asked):
    with pytest.raises(TypeError, match=rf"0.zarr holds float32, but a truth of kind {asked} is whole numbers"):
        check_values(asked, volume(FLOATS), [volume()])


def test_objects_need_ids(volume):
    with pytest.raises(TypeError, match=r"1.zarr holds float32, but ids of objects are whole numbers; segment it"):
        check_values("instance", volume(), [None, volume(FLOATS)])
    with pytest.raises(TypeError, match=r"holds probabilities, but ids of objects"):
        check_values("instance", volume(), [volume(IDS.astype(np.uint8), encoding=PROBABILITY)])


def test_channels_must_fit(volume):
    with pytest.raises(ValueError, match=r"1.zarr has 2 channels; expected 1 for kind semantic"):
        check_values("semantic", volume(), [volume(FLOATS.repeat(2, 0))])
    with pytest.raises(ValueError, match=r"3.zarr has 2 channels; expected 3, as the truth .*2.zarr"):
        check_values("vector", volume(FLOATS.repeat(3, 0)), [volume(FLOATS.repeat(2, 0))])
    check_values("classes", volume(), [volume(FLOATS.repeat(4, 0))])
