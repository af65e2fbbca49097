"""The `targets` table: defaults, every fault in its own words, and what follows from the table."""

import re

import pytest

from scripts.geometry import (
    UNKNOWN_LABEL,
    Activation,
    Kind,
    Target,
    did_you_mean,
    interpolation_modes,
    parse_targets,
    stored_keys,
    stored_kinds,
    target_faults,
)
from scripts.geometry.targets import require_truths

TABLE = {
    "sheet": {"channels": 1, "mask": "inside"},
    "normals": {"channels": 3, "kind": "normal"},
    "flow": {"channels": 3, "kind": "vector", "mask": "inside"},
    "distance": {"channels": 1, "kind": "scalar", "source": "cells"},
    "border": {"channels": 1, "source": "cells"},
    "tips": {"channels": 2, "kind": "points"},
}
OPTIONS = (
    "channels, kind, activation, weight, loss, metric, decoder, deep_supervision, ignore_label, mask, source, "
    "label_smoothing, class_weights, loss_only_on_label"
)


def test_only_channels_must_be_given():
    (target,) = parse_targets({"sheet": {"channels": 1}}).values()
    assert target == Target(
        name="sheet",
        channels=1,
        kind=Kind.LABEL,
        activation=Activation.NONE,
        weight=1.0,
        loss=None,
        metric=None,
        decoder=None,
        deep_supervision=None,
        ignore_label=None,
        mask=None,
        source=None,
        label_smoothing=0.0,
        class_weights=None,
        loss_only_on_label=False,
    )
    assert target.stored_key == "sheet"
    assert UNKNOWN_LABEL == -1


def test_every_option_is_kept_and_lists_become_tuples():
    row = {
        "channels": 3,
        "kind": "label",
        "activation": "softmax",
        "weight": 2,
        "loss": "dice_ce",
        "metric": ["dice", "surface_distance"],
        "decoder": "shared",
        "deep_supervision": False,
        "ignore_label": 255,
        "mask": "inside",
        "source": "cells",
        "label_smoothing": 0.25,
        "class_weights": [1, 2, 0.5],
    }
    target = parse_targets({"organ": row})["organ"]
    expected = row | {"metric": ("dice", "surface_distance"), "class_weights": (1, 2, 0.5)}
    assert {key: getattr(target, key) for key in row} == expected
    assert target.name == "organ"
    assert target.stored_key == "cells"


def test_one_metric_may_be_given_as_a_word():
    assert parse_targets({"sheet": {"channels": 1, "metric": "dice"}})["sheet"].metric == ("dice",)


def test_parsed_targets_pass_through_in_order():
    parsed = parse_targets(TABLE)
    assert list(parsed) == list(TABLE)
    assert parse_targets(parsed) == parsed


ROW_FAULTS = [
    ({}, "'channels' must be given as a whole number of at least 1, got None"),
    ({"channels": 0}, "'channels' must be given as a whole number of at least 1, got 0"),
    ({"channels": 1.0}, "'channels' must be given as a whole number of at least 1, got 1.0"),
    ({"channels": True}, "'channels' must be given as a whole number of at least 1, got True"),
    ({"channels": 1, "wieght": 2}, f"unknown option 'wieght' (did you mean 'weight'?); known options: {OPTIONS}"),
    ({"channels": 1, "name": "x"}, f"unknown option 'name'; known options: {OPTIONS}"),
    (
        {"channels": 1, "kind": "lable"},
        "'kind' must be one of label, scalar, vector, normal, points, embedding; got 'lable' (did you mean 'label'?)",
    ),
    ({"channels": 1, "activation": "relu"}, "'activation' must be one of none, sigmoid, softmax; got 'relu'"),
    (
        {"channels": 1, "decoder": "share"},
        "'decoder' must be one of separate, shared; got 'share' (did you mean 'shared'?)",
    ),
    ({"channels": 1, "weight": -1}, "'weight' must be a number >= 0, got -1"),
    ({"channels": 1, "weight": "1"}, "'weight' must be a number >= 0, got '1'"),
    ({"channels": 1, "label_smoothing": 1}, "'label_smoothing' must be a number >= 0 and < 1, got 1"),
    ({"channels": 1, "label_smoothing": None}, "'label_smoothing' must be a number >= 0 and < 1, got None"),
    ({"channels": 1, "ignore_label": 2.5}, "'ignore_label' must be a whole number or null, got 2.5"),
    ({"channels": 1, "deep_supervision": "yes"}, "'deep_supervision' must be true, false or null, got 'yes'"),
    ({"channels": 1, "mask": 3}, "'mask' must be the name of a key, got 3"),
    ({"channels": 1, "source": ["a"]}, "'source' must be the name of a key, got ['a']"),
    ("label", "expected a dictionary of options such as {\"channels\": 1}, got 'label'"),
    # between options that are valid each by itself
    ({"channels": 1, "kind": "normal"}, "a normal has 3 channels (z, y, x), or 2 in 2D; got channels = 1"),
    *(
        (
            {"channels": 3, "kind": "normal", "activation": activation},
            f"'activation' has no effect on kind 'normal', whose prediction gets unit length; got '{activation}'",
        )
        for activation in ("sigmoid", "softmax")
    ),
    (
        {"channels": 3, "kind": "vector", "class_weights": [1, 1, 1]},
        "'class_weights' belong to kind 'label', not 'vector'",
    ),
    (
        {"channels": 1, "class_weights": "balanced", "source": "other"},
        "'class_weights' can be 'balanced' for stored labels alone, this one has a 'source'",
    ),
    (
        {"channels": 1, "loss_only_on_label": True},
        (
            "'loss_only_on_label' would leave a label with 1 channel nothing but its foreground; give the voxels that "
            "count in a 'mask'"
        ),
    ),
    ({"channels": 1, "loss_only_on_label": 3}, "'loss_only_on_label' must be true or false, got 3"),
    (
        {"channels": 3, "class_weights": [1, 1]},
        "'class_weights' must hold one number per channel (3), or be 'balanced'; got [1, 1]",
    ),
    (
        {"channels": 2, "class_weights": [1, "a"]},
        "'class_weights' must hold one number per channel (2), or be 'balanced'; got [1, 'a']",
    ),
    (
        {"channels": 1, "kind": "scalar", "label_smoothing": 0.1},
        "'label_smoothing' belongs to kind 'label', not 'scalar'",
    ),
    ({"channels": 1, "kind": "scalar", "ignore_label": 0}, "'ignore_label' belongs to kind 'label', not 'scalar'"),
    (
        {"channels": 1, "activation": "softmax"},
        "softmax over one channel is always 1; use 'sigmoid', or give the background its own channel",
    ),
]


@pytest.mark.parametrize(("row", "said"), ROW_FAULTS, ids=[said[:40] for _, said in ROW_FAULTS])
def test_each_fault_of_a_row(row, said):
    assert target_faults({"sheet": row}) == [f"targets: sheet: {said}"]
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_targets({"sheet": row})


@pytest.mark.parametrize("table", [{}, None, [], ["sheet"], "sheet"])
def test_the_table_must_be_a_dictionary_with_entries(table):
    assert target_faults(table) == [
        f"targets: expected a dictionary name -> options with at least one entry, got {table!r}"
    ]


@pytest.mark.parametrize("name", ["my sheet", "2d", "a-b", "", 3])
def test_a_name_must_be_a_word(name):
    assert target_faults({name: {"channels": 1}}) == [
        f"targets: {name}: expected a name of letters, digits and '_', got {name!r}"
    ]


@pytest.mark.parametrize("name", ["image", "seed", "patch", "points", "start", "size", "volume", "spatial", "bounds"])
def test_keys_of_every_sample_are_no_names(name):
    assert target_faults({name: {"channels": 1}}) == [
        f"targets: {name}: '{name}' is a key of every sample and cannot be a target; choose another name"
    ]


def test_all_faults_at_once():
    table = {"a": {"channels": 0, "weight": -2}, "b": {"channels": 1, "kid": 1}, "c": {"channels": 1}}
    faults = target_faults(table)
    assert [fault[:11] for fault in faults] == ["targets: a:", "targets: a:", "targets: b:"]
    with pytest.raises(ValueError) as caught:
        parse_targets(table)
    assert str(caught.value) == "\n".join(faults)


def test_stored_keys_are_sources_then_masks_once_each():
    assert stored_keys(TABLE) == ["sheet", "normals", "flow", "cells", "tips", "inside"]
    assert stored_keys({"a": {"channels": 1, "source": "b"}, "b": {"channels": 1}}) == ["b"]


def test_a_source_that_is_no_target_and_a_mask_are_labels():
    assert stored_kinds(TABLE) == {
        "sheet": Kind.LABEL,
        "normals": Kind.NORMAL,
        "flow": Kind.VECTOR,
        "cells": Kind.LABEL,
        "tips": Kind.POINTS,
        "inside": Kind.LABEL,
    }
    derived = {
        "depth": {"channels": 1, "kind": "scalar"},
        "slope": {"channels": 3, "kind": "vector", "source": "depth"},
    }
    assert stored_kinds(derived) == {"depth": Kind.SCALAR}


def test_interpolation_modes():
    keys = ["image", "sheet", "normals", "flow", "cells", "tips", "inside", "distance", "border"]
    assert interpolation_modes(keys, TABLE) == [
        "bilinear", "nearest", "bilinear", "bilinear", "nearest", "nearest", "nearest", "bilinear", "nearest",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "mode", "directional"),
    [
        ("label", "nearest", False),
        ("scalar", "bilinear", False),
        ("vector", "bilinear", True),
        ("normal", "bilinear", True),
        ("points", "nearest", False),
    ],
)
def test_what_a_kind_says_of_its_values(kind, mode, directional):
    assert (Kind(kind).interpolation, Kind(kind).is_directional) == (mode, directional)


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("sheat", ["sheet", "normals"], " (did you mean 'sheet'?)"),
        ("xyz", ["sheet", "normals"], ""),
        ("1", [1, 20], " (did you mean '1'?)"),
        ("lable", [Kind.LABEL, Kind.SCALAR], " (did you mean 'label'?)"),
    ],
)
def test_did_you_mean(word, known, hint):
    assert did_you_mean(word, known) == hint


def test_an_embedding_is_carried_by_no_volume():
    table = {"embedding": {"channels": 12, "kind": "embedding"}, "cell": {"channels": 1}}
    assert stored_keys(table) == ["cell"]
    assert stored_kinds(table) == {"cell": Kind.LABEL}
    assert not Kind.EMBEDDING.is_directional
    with pytest.raises(ValueError, match="targets: embedding: kind 'embedding' has no truth to compare with"):
        require_truths(parse_targets(table))
    with pytest.raises(ValueError, match="'loss' and 'source' compare with a truth, which kind 'embedding' has not"):
        parse_targets({"embedding": {"channels": 12, "kind": "embedding", "loss": "mse", "source": "cell"}})
