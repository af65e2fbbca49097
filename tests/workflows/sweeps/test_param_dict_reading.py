"""Which lists of a `param_dict.json` are several values, and which keys there are."""

import itertools

import pytest
from tests.workflows.sweep_files import MODEL, PARAM_DICT, imported, param_dict

from scripts.workflows.sweeps.param_dict_reading import expand_table, key_faults, single


def values(table, name="seg"):
    return [{key: entry.value for key, entry in one.items()} for one in expand_table(name, table)]


def test_every_combination_the_last_key_fastest_as_contraband_numbers_them():
    table = {"lr": [1e-5, 1e-4, 1e-3], "num_points": [16, 32], "batch_size": [4]}
    expected = [
        {"lr": lr, "num_points": points, "batch_size": 4}
        for lr, points in itertools.product([1e-5, 1e-4, 1e-3], [16, 32])
    ]
    assert values(table) == expected


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("thresholds", [0.5, 0.75], [[0.5, 0.75]]),
        ("thresholds", [[0.5], [0.75, 1.0]], [[0.5], [0.75, 1.0]]),
        ("thresholds", 0.5, [0.5]),
        ("lr", 1e-5, [1e-5]),
        ("blur_params", {"sigma": [0, 1, 1]}, [{"sigma": [0, 1, 1]}]),
        ("blur_params", [{"sigma": [0, 1, 1]}, {"sigma": [1]}], [{"sigma": [0, 1, 1]}, {"sigma": [1]}]),
        ("blur_params", [{"sigma": [[0, 1, 1], [0, 2, 2]]}], [{"sigma": [0, 1, 1]}, {"sigma": [0, 2, 2]}]),
        ("noise_params", {"var": [0.1, 0.2]}, [{"var": 0.1}, {"var": 0.2}]),
        (
            "simple_params",
            {"mirror_only": [[1], [2]], "transpose_only": [[1, 2], [0, 1]]},
            [{"mirror_only": a, "transpose_only": b} for a in ([1], [2]) for b in ([1, 2], [0, 1])],
        ),
    ],
)
def test_a_list_is_a_value_where_the_key_has_lists(key, value, expected):
    assert [one[key] for one in values({key: value})] == expected


def test_datasets_of_a_pretraining_are_one_value():
    for given, expected in ((["a", "b"], [["a", "b"]]), ([["a", "b"], ["a"]], [["a", "b"], ["a"]])):
        assert [one["dataset"] for one in values({"dataset": given}, "contrastive")] == expected


def test_index_is_settings_times_number_of_models_plus_model():
    models = [{**MODEL, "h_channels": h} for h in (6, 12, 18)]
    experiment = imported(model=models, contrastive__lr=[1e-5, 1e-4], contrastive__temperature=[0.05, 0.1])
    settings = list(itertools.product([1e-5, 1e-4], [0.05, 0.1]))
    assert len(experiment.combinations) == 12
    for c, (lr, temperature) in enumerate(settings):
        for m, h in enumerate((6, 12, 18)):
            found = experiment.combinations[c * 3 + m].settings
            assert (found["learning_rate"], found["temperature"], found["h_channels"]) == (lr, temperature, h)


def test_models_are_not_expanded():
    with pytest.raises(ValueError, match=r"model\[0\].h_channels: expected one value, got 2: \[6, 12\]"):
        single("model", {"h_channels": [6, 12]}, "model[0]")


def test_the_documented_example_has_known_keys_alone():
    assert key_faults(PARAM_DICT) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seg__learn_rate": [1]}, "unknown key seg.learn_rate"),
        ({"seg__num_point": [1]}, "unknown key seg.num_point.*mean 'num_points'"),
        ({"contrastive__seg_head": ["Sparse"]}, r"unknown key contrastive.seg_head \(there is seg.seg_head\)"),
        ({"seg__blur_params": [{"sigmas": 1}]}, "unknown key seg.blur_params.sigmas.*mean 'sigma'"),
        ({"seg__noise_params": [3]}, "seg.noise_params: expected a table of var; got 3"),
        ({"modell": []}, "unknown key modell.*mean 'model'"),
        ({"model": [{**MODEL, "fmaps": 3}]}, r"unknown key model\[0\].fmaps"),
        ({"seg": [1]}, r"seg: expected a table of keys, got \[1\]"),
    ],
)
def test_unknown_keys_are_named_with_what_may_be_meant(changes, message):
    with pytest.raises(ValueError, match=message):
        imported(**changes)


def test_all_unknown_keys_are_named_at_once():
    assert len(key_faults(param_dict(seg__a=1, contrastive__b=2, c=3))) == 3
