"""Reading a YAML file of LaNNU-Net: sections, other names for the same, and unknown keys."""

import json

import pytest

from scripts.workflows.imports.landmark_file import read_landmark_config


def read(folder, text, name="config.yaml", **options):
    path = folder / name
    path.write_text(text)
    return read_landmark_config(path, **options)


def test_sections_within_sections_and_defaults(tmp_path):
    config, unknown = read(tmp_path, "SAMPLER:\n  PATCH:\n    SAMPLER_BIAS: 1\n  NUM_WORKERS: 3\nSOLVER:\n")
    assert unknown == []
    assert config.get("SAMPLER.PATCH.SAMPLER_BIAS").value == 1
    assert config.get("SAMPLER.PATCH.SAMPLER_BIAS").is_given
    assert config.get("SOLVER.MAX_EPOCHS").value == 1000
    assert not config.get("SOLVER.MAX_EPOCHS").is_given
    assert config.find("MODEL.CHECKPOINT") is None
    assert config.architecture == "U-Net"


@pytest.mark.parametrize(
    ("text", "place", "value"),
    [
        ("MODEL: {PHDNET: {CLAMP_DIST: 10}}", "MODEL.PHD-NET.CLAMP_DIST", 10),
        ("MODEL: {PHD_NET: {CLAMP_DIST: 10}}", "MODEL.PHD-NET.CLAMP_DIST", 10),
        ("MODEL: {MAX_FEATURES: 64}", "MODEL.UNET.MAX_FEATURES", 64),
        ("SAMPLER: {SAMPLE_MODE: patch}", "SAMPLER.SAMPLER_MODE", "patch"),
        ("SOLVER: {DATA_LOADER_BATCH_SIZE_TRAIN: 3}", "SOLVER.DATA_LOADER_BATCH_SIZE", 3),
        ("DATASET: {INPUT_SIZE: [8, 9]}", "SAMPLER.INPUT_SIZE", [8, 9]),
    ],
)
def test_names_of_other_versions_stand_for_the_same(tmp_path, text, place, value):
    config, _ = read(tmp_path, text)
    assert config.get(place).value == value


def test_none_as_text_is_none(tmp_path):
    config, _ = read(tmp_path, "SAMPLER: {DATA_AUG: None}\nSOLVER: {SEED: None, DECAY_POLICY: null}")
    assert config.get("SAMPLER.DATA_AUG").value is None
    assert config.get("SOLVER.DECAY_POLICY").value is None
    assert config.empty == ("SOLVER.SEED",)
    assert config.get("SOLVER.SEED").value == 42


def test_json_is_read_as_well(tmp_path):
    config, _ = read(tmp_path, json.dumps({"TRAINER": {"FOLD": 2}}), "config.json")
    assert config.get("TRAINER.FOLD").value == 2


def test_unknown_keys_are_named_all_at_once_and_can_be_left_out(tmp_path):
    text = "SOLVER: {MAX_EPOCH: 1, FOLD: 0}\nMODEL: {PHD-NET: {CLAMP: 1}}\nOTHER: {A: 1}"
    with pytest.raises(
        ValueError,
        match=r"unknown keys: SOLVER.MAX_EPOCH \(did you mean 'MAX_EPOCHS'\?\), SOLVER.FOLD \(it belongs to TRAINER\), "
        r"MODEL.PHD-NET.CLAMP.*, OTHER; correct them, or pass --skip_unknown",
    ):
        read(tmp_path, text)
    _, unknown = read(tmp_path, text, skip_unknown=True)
    assert len(unknown) == 4


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("a: [", "config.yaml", r"config.yaml cannot be read"),
        ("- 1", "config.yaml", r"no config of LaNNU-Net; expected sections .*; found list"),
        ("model: 1", "config.yaml", r"no config of LaNNU-Net; .*; found model"),
        ("", "config.txt", r"config.txt: expected a file that ends in .json, .yaml, .yml"),
        (
            "SAMPLER: {SAMPLER_MODE: full, SAMPLE_MODE: patch}",
            "config.yaml",
            r"SAMPLER.SAMPLER_MODE = full, but SAMPLER.SAMPLE_MODE = patch; give it once",
        ),
    ],
)
def test_what_is_no_config_is_refused(tmp_path, text, name, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, text, name)


def test_a_file_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config .*nothing.yaml does not exist"):
        read_landmark_config(tmp_path / "nothing.yaml")
