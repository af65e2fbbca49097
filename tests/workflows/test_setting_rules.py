"""Rules of plain settings: the bundle's own configs keep them, and each refuses what cannot be."""

import json

import pytest
from monai.bundle import ConfigParser
from tests.bundle.running import BUNDLE

from scripts.workflows.setting_rules import _RULES, setting_faults


def faults(config):
    return setting_faults(ConfigParser(config), lambda found: found())


@pytest.mark.parametrize("path", sorted((BUNDLE / "configs").glob("*.json")), ids=lambda path: path.stem)
def test_the_values_of_the_own_configs_are_allowed(path):
    config = json.loads(path.read_text())
    plain = {
        key: value for key, value in config.items() if key in _RULES and not str(value).startswith(("$", "@", "{"))
    }
    assert faults(plain) == []


def test_every_rule_is_of_a_key_that_a_config_has():
    known = {key for path in (BUNDLE / "configs").glob("*.json") for key in json.loads(path.read_text())}
    assert sorted(set(_RULES) - known) == []


@pytest.mark.parametrize("key", _RULES)
def test_every_rule_refuses_what_cannot_be(key):
    (fault,) = faults({key: {"no": "value"}})
    assert fault.startswith(f"{key} must be ")
    assert fault.endswith("; got {'no': 'value'}")


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("batch_size", [1, 65536], [0, -1, 1.5, True, None, 65537]),
        (
            "patch_size",
            [[16, 16], [16, 16, 16], [1, 512, 512], [1, 1, 2**16]],
            [[0, 1, 1], [1, 1, 2**16 + 1], [10**4] * 3, [16.0] * 3, 16, []],
        ),
        ("val_fraction", [0, 0.99], [1, -0.1, float("nan")]),
        ("temperature", [1e-5, 3], [0, -1, float("inf"), "x"]),
        ("learning_rate", [0, 1e-5, 3], [-1, float("inf"), "x"]),
        ("jitter", [None, 0, [0, 1, 2]], [-1, [-1, 0, 0], 0.5]),
        ("memory_limit", [None, 1], [0, -1, []]),
        ("random_seed", [0, 2**32 - 1], [-1, 2**32]),
        ("overlap", [0, 0.5, [0.1, 0.2, 0.3]], [1, 10**9, [1.0, 0, 0]]),
        ("split_method", ["block"], ["blok", None, 3]),
        ("ome_version", ["0.4", "0.5"], ["0.6", 0.5, None, ["0.5"]]),
        ("results_dir", ["results"], ["", None, 3]),
        ("base_weights", [None, "model.pt"], ["", 3, ["model.pt"]]),
        ("input_spacing", [None, [2, 1.5, 1]], [[1, 1], [1, 1, 0], 1, [1, 1, "x"]]),
    ],
)
def test_borders(key, good, bad):
    for value in good:
        assert faults({key: value}) == [], value
    for value in bad:
        assert len(faults({key: value})) == 1, value


def test_arguments_of_components_that_are_called_so():
    config = {"a": {"_target_": "scripts.x.Y", "batch_size": -1, "jitter": None, "fold": "@f"}, "f": 1}
    assert faults(config) == ["a#batch_size must be a whole number from 1 to 65536; got -1"]
    assert faults({"a": {"_target_": "other.Y", "batch_size": -1}}) == []
    assert faults({"a": {"_target_": "DataLoader", "num_workers": 10**9}}) == [
        "a#num_workers must be a whole number from 0 to 1024; got 1000000000"
    ]
