"""Files of the bundle's own keys: what is a grid, and which keys there are."""

import copy
import inspect
import itertools
import json
import re

import pytest
from tests.bundle.running import BUNDLE
from tests.workflows.sweep_files import OWN, PARAM_DICT

from scripts.workflows.sweep import sweep
from scripts.workflows.sweeps.file import merged, read_experiment


def read(tmp_path, content):
    path = tmp_path / "param_dict.json"
    path.write_text(json.dumps(content))
    return read_experiment(path)


def own(**changes):
    content = copy.deepcopy(OWN)
    for name, value in changes.items():
        table, _, key = name.partition("__")
        if not key:
            content[table] = value
        elif table == "heads":
            content[table][0][key] = value
        else:
            content[table][key] = value
    return content


def test_grids_are_expanded_and_other_lists_are_values(tmp_path):
    experiment = read(tmp_path, OWN)
    assert [one.settings["learning_rate"] for one in experiment.combinations] == [0.001, 0.001, 0.01, 0.01]
    assert [one.settings["features_per_stage"] for one in experiment.combinations] == [[4, 8], [8, 16]] * 2
    expected = list(itertools.product(["sparse_head", "sparse_baseline"], [8, 16]))
    assert [(head.config, head.num_points) for head in experiment.heads] == expected
    assert [head.is_baseline for head in experiment.heads] == [False, False, True, True]
    assert experiment.heads[0].settings == {"max_epochs": 3, "max_steps_per_epoch": 4, "keep_last": 2}
    assert experiment.heads[0].thresholds == [0.3, 0.6]


def test_models_are_expanded_too(tmp_path):
    experiment = read(tmp_path, own(model={"h_channels": {"grid": [3, 6]}, "features_per_stage": [4, 8]}))
    assert [one.settings for one in experiment.models] == [
        {"h_channels": h, "features_per_stage": [4, 8]} for h in (3, 6)
    ]


def test_several_tables_of_heads_are_numbered_one_after_the_other(tmp_path):
    rows = OWN["heads"][0]["volumes"]
    dense = {"volumes": rows, "has_background": True, "baseline": {"grid": [False, True]}}
    heads = read(tmp_path, own(heads=[*OWN["heads"], dense])).heads
    assert [head.config for head in heads[4:]] == ["seg_head", "seg_head"]
    assert [(head.has_background, head.is_baseline, head.num_points) for head in heads[4:]] == [
        (True, False, None), (True, True, None)
    ]  # fmt: skip


def test_contrabands_form_is_read_by_the_same_function(tmp_path):
    assert read(tmp_path, PARAM_DICT).heads[1].num_points == 32


def test_settings_follow_the_configs():
    content = merged(["train", "contrastive"], {"max_epochs": 7})
    assert (content["max_epochs"], content["max_steps_per_epoch"], content["h_channels"]) == (7, 60, 12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head": []}, "unknown key head.*mean 'heads'"),
        ({"contrastive__learning_rat": 1}, "unknown key contrastive.learning_rat.*mean 'learning_rate'"),
        ({"heads__num_point": 1}, r"unknown key heads\[0\].num_point.*mean 'num_points'"),
        ({"heads__targts#x#weight": 1}, r"unknown key heads\[0\].targts#x#weight.*mean 'targets'"),
        ({"heads__config": "sparse"}, r"heads\[0\].config: expected one of seg_head, .*; got 'sparse'"),
        ({"heads__num_points": None}, r"heads\[0\].num_points: sparse_head needs a whole number of points, got None"),
        ({"heads__config": "seg_head"}, r"heads\[0\].num_points = 8, but seg_head is trained on all voxels"),
        ({"heads__thresholds": 0.5}, r"heads\[0\].thresholds: expected a list of numbers, got 0.5"),
        ({"heads__volumes": [{"image": "a"}]}, "expected rows with image, labels, split"),
        ({"heads__volumes": OWN["heads"][0]["volumes"][:1]}, "rows of both splits, train and val; val lacks"),
        ({"contrastive__learning_rate": {"grid": 3}}, "learning_rate: expected .* with at least one value"),
        ({"contrastive": [{}, {}]}, 'expected one table "contrastive"'),
        ({"model": [3]}, "model: expected a table of keys, got 3"),
    ],
)
def test_faults_are_named(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, own(**changes))


def test_comments_and_parts_of_settings_are_no_faults(tmp_path):
    content = own(**{"contrastive___note_": "x", "contrastive__optimizer#lr": 1, "heads__+augment": []})
    assert read(tmp_path, content).combinations[0].settings["optimizer#lr"] == 1


def test_no_file_and_no_json_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.json does not exist; expected a param_dict.json"):
        read_experiment(tmp_path / "nothing.json")
    (tmp_path / "bad.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"bad\.json: expected a table, got list"):
        read_experiment(tmp_path / "bad.json")


def test_the_example_of_the_page(tmp_path):
    page = (BUNDLE / "docs" / "embeddings.md").read_text().split("\n## Sweeps\n")[1]
    experiment = read(tmp_path, json.loads(re.search(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[1]))
    assert len(experiment.combinations) == 4
    heads = itertools.product(["sparse_head", "sparse_baseline"], [16, 64, 256])
    assert [(head.config, head.num_points) for head in experiment.heads] == list(heads)
    options = re.findall(
        r"--(\w+)", " ".join(re.findall(r"^python -m scripts sweep .*$|^\| `--.*? \|", page, re.MULTILINE))
    )
    assert set(options) <= set(inspect.signature(sweep).parameters)
