"""Keys of LaNNU-Net that are read together, and the settings that they become."""

import math

import pytest
from monai.bundle import ConfigParser
from tests.bundle.running import BUNDLE
from tests.workflows.landmark_config_files import PATCHES, imported

from scripts.losses import landmark_loss, loss_faults


def test_a_learnt_sigma_begins_as_high_and_wide_as_the_fixed_one(tmp_path):
    values = {"SOLVER.REGRESS_SIGMA": True, "MODEL.GAUSS_SIGMA": 3, "MODEL.HM_LAMBDA_SCALE": 50}
    _, train, _ = imported(tmp_path, values)
    loss = train["landmark_loss"]
    assert loss.pop("gamma") / (2 * math.pi * 3 * 3) == pytest.approx(50, abs=1e-4)
    assert loss == {"name": "sigma_regression", "penalty": "norm", "penalty_weight": 0.005, "initial": 3.0}
    filled = landmark_loss(train["landmark_loss"], sigma=3.0, amplitude=50.0, sigma_unit="voxels", spatial_dims=2)
    assert loss_faults({"heatmaps": {"channels": 4, "kind": "points", "loss": filled}}) == []
    _, train, _ = imported(tmp_path, values | {"SAMPLER.INPUT_SIZE": [64, 64, 96]})
    assert train["landmark_loss"]["gamma"] / ((2 * math.pi) ** 1.5 * 27) == pytest.approx(50, abs=1e-4)
    assert train["input_size"] == [96, 64, 64]


@pytest.mark.parametrize(
    ("resolution", "mode", "sizes"),
    [
        ("full", "fully_convolutional", (None, None)),
        ("full", "patchify_and_stitch", (None, [1, 256, 128])),
        ("input_size", "fully_convolutional", ([1, 300, 400], None)),
        ("input_size", "patchify_and_stitch", ([1, 300, 400], [1, 256, 128])),
    ],
)
def test_patches_of_images_as_stored_or_resized(tmp_path, resolution, mode, sizes):
    values = {
        **PATCHES, "SAMPLER.INPUT_SIZE": [400, 300], "SAMPLER.PATCH.SAMPLE_PATCH_SIZE": [128, 256],
        "SAMPLER.PATCH.RESOLUTION_TO_SAMPLE_FROM": resolution, "SAMPLER.PATCH.INFERENCE_MODE": mode,
    }  # fmt: skip
    _, train, inference = imported(tmp_path, values)
    assert train["patch_size"] == [1, 256, 128]
    assert train["sampler_bias"] == 0.66
    assert (train["input_size"], inference.get("roi_size")) == sizes
    assert inference["input_size"] == sizes[0]
    assert train["inference_mode"] == inference["inference_mode"] == mode
    assert inference.get("overlap") == (0.5 if mode == "patchify_and_stitch" else None)


def test_precision_and_decay_bind_beside_the_shipped_config(tmp_path):
    imported(tmp_path, {"SOLVER.DECAY_POLICY": "None", "SOLVER.BASE_LR": 0.25})
    parser = ConfigParser()
    parser.read_config([str(BUNDLE / "configs/train.json"), str(tmp_path / "config_overlay.json")])
    parser.update({"device": "$torch.device('cuda')"})
    assert parser.get_parsed_content("precision") == "fp16"
    parser.update({"device": "cpu", "optimizer": "$torch.optim.SGD([torch.zeros(1)], lr=@learning_rate)"})
    parser.update({"device": "$torch.device('cpu')"})
    parser.parse(reset=True)
    assert parser.get_parsed_content("precision") == "fp32"
    scheduler = parser.get_parsed_content("lr_scheduler")
    for _ in range(20):
        scheduler.optimizer.step()
        scheduler.step()
        assert scheduler.get_last_lr() == [0.25]


def test_relative_paths_count_from_the_folder_that_is_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = {"DATASET.ROOT": "images", "DATASET.SRC_TARGETS": "s3://b/folds", "OUTPUT.OUTPUT_DIR": "out"}
    _, train, inference = imported(tmp_path, values)
    for settings in (train, inference):
        assert settings["image_root"] == str(tmp_path / "images")
        assert settings["landmark_file"] == "s3://b/folds"
        assert settings["output_dir"] == str(tmp_path / "out")
        assert settings["ckpt_dir"] == str(tmp_path / "out" / "models")
    _, train, _ = imported(tmp_path, {"DATASET.ROOT": "images"}, dataset_dir="/data")
    assert train["image_root"] == "/data/images"


def test_an_ensemble_needs_checkpoints(tmp_path):
    _, _, inference = imported(
        tmp_path, {"INFERENCE.ENSEMBLE_INFERENCE": True, "INFERENCE.ENSEMBLE_CHECKPOINTS": ["/c/a.pt", "/c/b.pt"]}
    )
    assert inference["weights"] == ["/c/a.pt", "/c/b.pt"]
    assert inference["ensemble"] is True
    with pytest.raises(ValueError, match=r"ENSEMBLE_CHECKPOINTS: an ensemble needs a list of checkpoints, got \[\]"):
        imported(tmp_path, {"INFERENCE.ENSEMBLE_INFERENCE": True})


def test_validation_and_checkpoints(tmp_path):
    _, train, _ = imported(tmp_path, {"TRAINER.VALIDATE_EVERY": 10, "TRAINER.SAVE_LATEST_ONLY": False})
    assert (train["val_interval"], train["keep_last"], train["keep_best"]) == (10, "@max_epochs", 1)
    said, train, _ = imported(tmp_path, {"TRAINER.VALIDATE_EVERY": 10, "TRAINER.PERFORM_VALIDATION": False})
    assert train["val_interval"] == "@max_epochs"
    assert "TRAINER.VALIDATE_EVERY = 10: PERFORM_VALIDATION is false" in said


def test_pictures_of_samples_are_of_the_training_alone(tmp_path):
    for place, expected in (("SAMPLER.DEBUG", (True, False)), ("INFERENCE.DEBUG", (True, True))):
        _, train, inference = imported(tmp_path, {place: True})
        assert (train["debug"], inference["debug"]) == expected


def test_phdnet_has_its_own_settings(tmp_path):
    said, train, _ = imported(
        tmp_path, {"MODEL.ARCHITECTURE": "PHD-Net", "MODEL.GAUSS_SIGMA": 2, "SOLVER.DEEP_SUPERVISION": True}
    )
    expected = {
        "class_sigma": 2.0, "branch_scheme": "multi", "max_pool_factor": 3, "class_scheme": "gaussian",
        "weigh_by_class": True, "log_transform": True, "clamp_distance": None, "early_stop": 250, "amplitude": 100.0,
    }  # fmt: skip
    assert {key: train[key] for key in expected} == expected
    of_unet = {"sigma", "landmark_loss", "init_features", "optimizer", "weight_decay", "deep_supervision"}
    assert not of_unet & set(train)
    assert "SOLVER.DEEP_SUPERVISION = true: it belongs to U-Net, and MODEL.ARCHITECTURE is PHD-Net" in said
