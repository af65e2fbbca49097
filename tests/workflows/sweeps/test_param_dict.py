"""Contraband's `param_dict.json`: which config each head follows, and that no key is lost."""

import re

import pytest
from tests.bundle.running import BUNDLE
from tests.workflows.sweep_files import PARAM_DICT, imported, param_dict

from scripts.workflows.sweeps.param_dict import import_param_dict, is_param_dict
from scripts.workflows.sweeps.param_dict_keys import all_keys

PAGE = (BUNDLE / "docs" / "embeddings.md").read_text()


def test_heads_of_the_documented_example():
    heads = imported().heads
    assert [(head.config, head.num_points, head.is_baseline) for head in heads] == [
        ("sparse_head", 16, False), ("sparse_head", 32, False)
    ]  # fmt: skip
    assert heads[0].thresholds == [0.5, 0.75]
    assert not heads[0].has_background
    assert "augment" not in heads[0].settings


@pytest.mark.parametrize(
    ("pipeline", "changes", "config", "is_baseline"),
    [
        ("standard", {}, "seg_head", False),
        ("segmentation", {"baseline": [True]}, "seg_head", True),
        ("sparse_sh", {}, "sparse_head", False),
        ("baseline_sparse_sh", {}, "sparse_baseline", True),
        ("standard", {"seg_head": ["Sparse"]}, "sparse_head", False),
        ("sparse_sh", {"seg_head": ["SimpleSegHead"]}, "seg_head", False),
        ("sparse_sh", {"basline": [True]}, "sparse_baseline", True),
        ("sparse_sh", {"basline": [True], "baseline": [True]}, "sparse_baseline", True),
    ],
)
def test_seg_head_and_baseline_say_the_config_and_the_pipeline_what_they_leave_open(
    pipeline, changes, config, is_baseline
):
    content = param_dict(pipeline=pipeline)
    for key in ("seg_head", "basline", "seg_out_channels"):
        del content["seg"][key]
    content["seg"] |= changes
    head = import_param_dict(content).heads[0]
    assert (head.config, head.is_baseline) == (config, is_baseline)


def test_a_dense_head_of_slices_predicts_affinities_within_them():
    head = imported(seg__seg_head=["Simple"], seg__freeze_base=[False, True]).heads[0]
    assert head.num_points is None
    assert head.has_background
    assert head.settings["targets#affinities#channels"] == 2
    assert head.settings["derive"][0]["offsets"] == [[0, 1, 0], [0, 0, 1]]
    assert head.settings["freeze_base"] is False
    assert head.settings["augment"][0]["_target_"] == "scripts.transforms.ApplySpatiald"
    assert any("seg.num_points = 16: a dense head is trained on all voxels" in line for line in head.notes.dropped)


def test_the_base_of_a_baseline_is_trained_whatever_the_file_says():
    head = imported(seg__seg_head=["Simple"], seg__basline=[True]).heads[0]
    assert head.settings["freeze_base"] is False
    assert any(line.startswith("seg.freeze_base = true: a base from scratch") for line in head.notes.dropped)


def test_a_pipeline_that_pretrains_alone_has_no_heads():
    assert imported(pipeline="contrastive").heads == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pipeline": "sparse"}, "pipeline: expected one of standard"),
        ({"seg__seg_out_channels": [3]}, "seg.seg_out_channels = 3: expected 2, .*background and foreground"),
        (
            {"seg__seg_head": ["Simple"], "seg__seg_out_channels": [3]},
            "seg.seg_out_channels = 3: expected 2, one for each of affinities along y, x",
        ),
        ({"seg__baseline": [True]}, "seg.basline = false, but seg.baseline = true; give it once"),
        ({"save_embs": {"datasets": ["a"]}}, "save_embs: expected"),
        (
            {"save_embs": {"datasets": ["validate/raw"], "data_file": ["b", "c"]}},
            "save_embs.data_file: expected one zarr",
        ),
        ({"model": []}, "expected the tables model"),
    ],
)
def test_faults_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        imported(**changes)


def test_a_sparse_head_needs_points():
    content = param_dict()
    del content["seg"]["num_points"]
    with pytest.raises(ValueError, match=r"needs num_points, such as \[16, 32\]"):
        import_param_dict(content)


def test_every_entry_is_mapped_or_named_with_a_reason():
    said = ""
    for changes in ({}, {"seg__seg_head": ["Simple"]}, {"seg__basline": [True]}):
        experiment = imported(**changes)
        notes = [one.notes for one in (*experiment.models, *experiment.contrastive, *experiment.heads)]
        said += "\n".join(line for one in notes for line in (*one.mapped, *one.dropped))
        for table in ("contrastive", "seg"):
            for key in PARAM_DICT[table]:
                assert f"{table}.{key} = " in "\n".join(
                    line for one in notes for line in (*one.mapped, *one.dropped)
                ), key
    assert all(f"model[0].{key} = " in said for key in PARAM_DICT["model"][0])


def test_the_form_of_the_file_is_seen_from_its_tables():
    assert is_param_dict(PARAM_DICT)
    assert is_param_dict({"contrastive": {"num_iterations": [1]}})
    assert not is_param_dict({"contrastive": {"volumes": []}, "heads": []})


def table_rows():
    section = re.search(r"^## Sweeps\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]
    rows = re.findall(r"^\| `([\w.]+)` \| (.*?) \| (.*?) ?\|$", section.split("| To be known |")[1], re.MULTILINE)
    return {place: (became, why) for place, became, why in rows}


def test_the_page_lists_every_key_and_where_it_went():
    rows = table_rows()
    keys = all_keys()
    assert list(rows) == list(keys)
    for place, (became, why) in rows.items():
        assert re.findall(r"`([^`]+)`", became) == list(keys[place].became), place
        assert why == keys[place].why, place
