"""From a YAML file of LaNNU-Net to settings: every key of theirs has a place, or is named."""

import json
import re
import shlex

import pytest
from tests.bundle.running import BUNDLE
from tests.workflows.landmark_config_files import PATCHES, imported

from scripts.__main__ import VERBS
from scripts.workflows.import_landmark_config import import_landmark_config
from scripts.workflows.imports.landmark_keys import KEYS

PHDNET = {"MODEL.ARCHITECTURE": "PHD-Net"}

CHANGES = [
    ("DATASET.DATASET_CLASS", "aspire", {}),
    ("DATASET.ROOT", "/d/images", {}),
    ("DATASET.NAME", "ISBI", {}),
    ("DATASET.SRC_TARGETS", "/d/folds", {}),
    ("DATASET.IMAGE_MODALITY", "CEPH", {}),
    ("DATASET.LANDMARKS", [2, 0], {}),
    ("DATASET.TRAINSET_SIZE", 10, {}),
    ("SAMPLER.DEBUG", True, {}),
    ("SAMPLER.INPUT_SIZE", [640, 800], {}),
    ("SAMPLER.DATA_AUG", "payer19", {}),
    ("SAMPLER.DATA_AUG", None, {}),
    ("SAMPLER.DATA_AUG_PACKAGE", "albumentations", {}),
    ("SAMPLER.NUM_WORKERS", 4, {}),
    ("SAMPLER.SAMPLER_MODE", "patch_bias", {}),
    ("SAMPLER.PATCH.RESOLUTION_TO_SAMPLE_FROM", "input_size", PATCHES),
    ("SAMPLER.PATCH.SAMPLE_PATCH_SIZE", [128, 256], PATCHES),
    ("SAMPLER.PATCH.SAMPLER_BIAS", 0.5, PATCHES),
    ("SAMPLER.PATCH.SAMPLER_BIAS", 0.5, {}),
    ("SAMPLER.PATCH.INFERENCE_MODE", "patchify_and_stitch", PATCHES),
    ("SOLVER.SEED", 7, {}),
    ("SOLVER.BASE_LR", 0.001, {}),
    ("SOLVER.DECAY_POLICY", None, {}),
    ("SOLVER.MAX_EPOCHS", 10, {}),
    ("SOLVER.MINI_BATCH_SIZE", 20, {}),
    ("SOLVER.DATA_LOADER_BATCH_SIZE", 2, {}),
    ("SOLVER.DEEP_SUPERVISION", False, {}),
    ("SOLVER.NUM_RES_SUPERVISIONS", 3, {}),
    ("SOLVER.AUTO_MIXED_PRECISION", False, {}),
    ("SOLVER.LOSS_FUNCTION", "awl", {}),
    ("SOLVER.REGRESS_SIGMA", True, {}),
    ("SOLVER.REGRESS_SIGMA_LOSS_WEIGHT", 0.1, {"SOLVER.REGRESS_SIGMA": True}),
    ("TRAINER.PERFORM_VALIDATION", False, {}),
    ("TRAINER.SAVE_LATEST_ONLY", False, {}),
    ("TRAINER.CACHE_DATA", False, {}),
    ("TRAINER.FOLD", 3, {}),
    ("TRAINER.INFERENCE_ONLY", True, {}),
    ("MODEL.ARCHITECTURE", "PHD-Net", {}),
    ("MODEL.GAUSS_SIGMA", 8, {}),
    ("MODEL.GAUSS_SIGMA", 2, PHDNET),
    ("MODEL.HM_LAMBDA_SCALE", 1.0, {}),
    ("MODEL.CHECKPOINT", "/c/model.pt", {}),
    ("MODEL.UNET.MIN_FEATURE_RESOLUTION", 8, {}),
    ("MODEL.UNET.MAX_FEATURES", 256, {}),
    ("MODEL.UNET.INIT_FEATURES", 16, {}),
    ("MODEL.UNET.INIT_FEATURES", 16, PHDNET),
    ("MODEL.PHD-NET.BRANCH_SCHEME", "heatmap", PHDNET),
    ("MODEL.PHD-NET.BRANCH_SCHEME", "heatmap", {}),
    ("MODEL.PHD-NET.MAXPOOL_FACTOR", 2, PHDNET),
    ("MODEL.PHD-NET.CLASS_LABEL_SCHEME", "binary", PHDNET),
    ("MODEL.PHD-NET.WEIGHT_DISP_LOSS_BY_HEATMAP", False, PHDNET),
    ("MODEL.PHD-NET.LOG_TRANSFORM_DISPLACEMENTS", False, PHDNET),
    ("MODEL.PHD-NET.CLAMP_DIST", 48, PHDNET),
    ("INFERENCE.EVALUATION_MODE", "use_input_size", {}),
    ("INFERENCE.FIT_GAUSS", True, {}),
    ("INFERENCE.ENSEMBLE_INFERENCE", True, {"INFERENCE.ENSEMBLE_CHECKPOINTS": ["/c/a.pt"]}),
    ("INFERENCE.ENSEMBLE_CHECKPOINTS", ["/c/a.pt", "/c/b.pt"], {}),
    ("INFERENCE.ENSEMBLE_UNCERTAINTY_KEYS", ["ecpv"], {}),
    ("INFERENCE.UNCERTAINTY_SMHA_MODEL_IDX", 1, {}),
    ("INFERENCE.DEBUG", True, {}),
    ("OUTPUT.VERBOSE", False, {}),
    ("OUTPUT.OUTPUT_DIR", "/o", {}),
    ("OUTPUT.USE_COMETML_LOGGING", True, {}),
    ("OUTPUT.COMET_API_KEY", "abc", {}),
    ("OUTPUT.COMET_WORKSPACE", "me", {}),
    ("OUTPUT.COMET_PROJECT_NAME", "skulls", {}),
    ("OUTPUT.COMET_TAGS", ["a"], {}),
    ("OUTPUT.RESULTS_CSV_APPEND", "late", {}),
    # of other versions of their program
    ("DATASET.ORIGINAL_IMAGE_SIZE", [8, 8], {}),
    ("SAMPLER.EVALUATION_SAMPLE_MODE", "patch", {}),
    ("SAMPLER.PATCH.CENTRED_PATCH_COORDINATE_PATH", "/d/a.xlsx", {}),
    ("SAMPLER.PATCH.CENTRED_PATCH_COORDINATE_PATH_SHEET", "a", {}),
    ("SAMPLER.PATCH.CENTRED_PATCH_JITTER", 1.0, {}),
    ("SOLVER.EARLY_STOPPING_PATIENCE", 20, {}),
    ("SOLVER.DATA_LOADER_BATCH_SIZE_EVAL", 3, {}),
    ("TRAINER.VALIDATE_EVERY", 10, {}),
    ("TRAINER.SAVE_EVERY", 5, {}),
    ("TRAINER.MCDROP_RATE", 0.3, {}),
    ("INFERENCE.SPLIT", "validation", {}),
    ("INFERENCE.TTA_ENSEMBLE_INFERENCE", True, {}),
    ("INFERENCE.MCDROP_ENSEMBLE_INFERENCE", True, {}),
    ("SSH.AUTO_AMEND_PATHS", False, {}),
    ("SSH.LOCAL_PATH_TO_SSH_MOUNT", "/m", {}),
    ("SSH.MATCH_SSH_STRING_FOR_AMEND", "/s", {}),
]
"""A value other than the default for every key, with what else must be said for it to count."""

OWN_KEYS = {
    *("landmark_file", "fold", "image_root", "landmark_indices", "input_size", "patch_size", "sigma", "sigma_unit"),
    *("amplitude", "landmark_loss", "scheme", "sampler_bias", "min_feature_resolution", "init_features"),
    *("max_features", "dropout", "decoding", "evaluation_mode", "fit_gaussian", "deep_supervision"),
    *("deep_supervision_levels", "results_dir", "debug", "branch_scheme", "max_pool_factor", "class_scheme"),
    *("class_sigma", "weigh_by_class", "log_transform", "clamp_distance", "weights", "ensemble", "uncertainties"),
    *("smha_member", "inference_mode"),
}
"""Settings of the configs for landmarks; all others are in train.json or inference.json."""


@pytest.mark.parametrize(("place", "value", "others"), CHANGES, ids=lambda value: str(value)[:40])
def test_each_key_changes_what_is_written_or_is_named(tmp_path, place, value, others):
    base = {"DATASET.SRC_TARGETS": "/d", **others}
    _, *before = imported(tmp_path, base)
    said, *after = imported(tmp_path, base | {place: value})
    assert re.search(rf"^  {re.escape(place)} = ", said, re.MULTILINE)
    unfit = said[said.index("No counterpart:") :] if "No counterpart:" in said else ""
    is_named = re.search(rf"^  {re.escape(place)} = .*: \w", unfit, re.MULTILINE)
    assert before != after or is_named
    known = OWN_KEYS | {"_about_"}
    for settings, name in zip(after, ("train", "inference"), strict=True):
        known_there = known | set(json.loads((BUNDLE / "configs" / f"{name}.json").read_text()))
        assert set(settings) <= known_there


def test_the_list_above_has_every_key():
    assert {place for place, _, _ in CHANGES} == set(KEYS)


def test_a_file_that_says_little_gets_the_defaults_of_their_program(tmp_path):
    said, train, inference = imported(tmp_path, {"DATASET.SRC_TARGETS": "/d/folds"})
    expected = {
        "landmark_file": "/d/folds", "fold": 0, "landmark_indices": None, "input_size": [1, 512, 512], "sigma": 4.0,
        "sigma_unit": "voxels", "amplitude": 100.0, "landmark_loss": "mse", "scheme": "AffineComplex",
        "min_feature_resolution": 4, "init_features": 32, "max_features": 512, "decoding": "argmax",
        "evaluation_mode": "scale_heatmap_first", "fit_gaussian": False, "deep_supervision": True,
        "deep_supervision_levels": 5, "debug": False, "learning_rate": 0.01, "max_epochs": 1000,
        "max_steps_per_epoch": 150, "batch_size": 12, "early_stop": 150, "random_seed": 42, "num_workers": 0,
        "keep_best": 1, "keep_last": 1, "weight_decay": 3e-5, "clip_norm": 12,
    }  # fmt: skip
    assert {key: train[key] for key in expected} == expected
    assert {key: train["optimizer"][key] for key in ("_target_", "momentum", "nesterov", "lr")} == {
        "_target_": "torch.optim.SGD", "momentum": 0.99, "nesterov": True, "lr": "@learning_rate"
    }  # fmt: skip
    assert not {"patch_size", "lr_scheduler", "load_model", "roi_size"} & set(train)
    expected = {
        "landmark_file": "/d/folds", "fold": 0, "input_size": [1, 512, 512], "ensemble": False, "smha_member": 0,
        "weights": "$@ckpt_dir + '/model.pt'", "uncertainties": ["smha", "emha", "ecpv"], "debug": False,
        "evaluation_mode": "scale_heatmap_first", "fit_gaussian": False, "decoding": "argmax",
    }  # fmt: skip
    assert {key: inference[key] for key in expected} == expected
    assert "SOLVER.MAX_EPOCHS left out, 1000 in their program -> max_epochs = 1000" in said


def test_the_commands_to_run(tmp_path):
    said, *_ = imported(tmp_path, {**PHDNET, "OUTPUT.OUTPUT_DIR": "/o"})
    overlay = str(tmp_path / "config_overlay.json")
    training, folds, inference = (shlex.split(line) for line in said.splitlines() if line.startswith("  python -m "))
    stack = ["configs/train.json", "configs/landmarks.json", "configs/phdnet.json", overlay]
    assert training[2:] == ["monai.bundle", "run", "training", "--config_file", str(stack)]
    assert folds[2:6] == ["scripts", "folds", "--config_file", str(stack)]
    of_inference = str(tmp_path / "config_overlay_inference.json")
    stack = ["configs/inference.json", "configs/landmarks_inference.json", of_inference, "/o/network.json"]
    assert inference[4:] == ["inference", "--config_file", str(stack)]
    said, _, inference = imported(tmp_path, {"TRAINER.INFERENCE_ONLY": True})
    assert said.count("python -m ") == 1
    assert inference["weights"] == "@ckpt_dir"
    said, *_ = imported(tmp_path, {"TRAINER.FOLD": -1})
    assert "scripts folds" not in said
    assert VERBS["import-landmark-config"] is import_landmark_config


def test_files_are_not_replaced_unasked(tmp_path):
    imported(tmp_path, {})
    with pytest.raises(FileExistsError, match=r"config_overlay.json exists; .* --overwrite"):
        imported(tmp_path, {}, overwrite=False)
    (tmp_path / "config_overlay.json").unlink()
    with pytest.raises(FileExistsError, match=r"config_overlay_inference.json exists"):
        imported(tmp_path, {}, overwrite=False)
    for output, message in (("a.yaml", "ends in .json, got a.yaml"), (tmp_path / "own.json", "is the config itself")):
        (tmp_path / "own.json").write_text("{}")
        with pytest.raises(ValueError, match=message):
            import_landmark_config(tmp_path / "own.json", output=output)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"SAMPLER.INPUT_SIZE": 512}, r"SAMPLER.INPUT_SIZE: expected \[width, height\], .* got 512"),
        (
            {"SAMPLER.SAMPLER_MODE": "patch_centred"},
            "SAMPLER_MODE: expected one of full, patch_bias, patch; got 'patch_",
        ),
        ({"SAMPLER.DATA_AUG": "AffineComplx"}, "DATA_AUG: expected one of .* got 'AffineComplx'.*mean 'AffineComplex'"),
        ({"SOLVER.LOSS_FUNCTION": "l1"}, "LOSS_FUNCTION: expected one of mse, awl; got 'l1'"),
        ({"MODEL.ARCHITECTURE": "V-Net"}, "MODEL.ARCHITECTURE: expected one of U-Net, PHD-Net; got 'V-Net'"),
        ({"SOLVER.MAX_EPOCHS": 0}, "SOLVER.MAX_EPOCHS: expected a whole number of at least 1, got 0"),
        ({**PATCHES, "SAMPLER.INPUT_SIZE": [8, 8, 8]}, "SAMPLE_PATCH_SIZE .* and SAMPLER.INPUT_SIZE = .* as many"),
        ({"SOLVER.DECAY_POLICY": "cosine"}, "SOLVER.DECAY_POLICY: expected one of poly; got 'cosine'"),
    ],
)
def test_values_that_cannot_be_are_named_with_their_key(tmp_path, values, message):
    with pytest.raises(ValueError, match=message):
        imported(tmp_path, values)


def test_what_must_be_done_by_hand_is_said(tmp_path):
    said, *_ = imported(tmp_path, {"SOLVER.SEED": None})
    assert "SOLVER.SEED = null: counts as left out" in said
    assert "no DATASET.SRC_TARGETS: give --landmark_file PATH" in said
    assert "here there are none until pairs = [[0, 1], ...] swaps them" in said
    said, *_ = imported(tmp_path, {"SAMPLER.DATA_AUG": "None"})
    assert "pairs" not in said


def test_a_dry_run_says_the_same_and_writes_nothing(tmp_path):
    said, *_ = imported(tmp_path, {})
    (tmp_path / "config_overlay.json").unlink()
    (tmp_path / "config_overlay_inference.json").unlink()
    before = sorted(tmp_path.iterdir())
    dry = import_landmark_config(tmp_path / "config.yaml", dry_run=True)
    assert sorted(tmp_path.iterdir()) == before
    assert "Not written, this was a dry run:" in dry
    assert len(dry.splitlines()) == len(said.splitlines())
