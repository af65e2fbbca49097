"""The keys of LaNNU-Net's YAML files: what each one is called here, or why it is called nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...geometry import did_you_mean
from ...landmarks import CLASS_SCHEMES, EVALUATION_MODES
from ...transforms import LANDMARK_SCHEMES
from .task_keys import choice, flag, number, share, whole

UNET, PHDNET = "U-Net", "PHD-Net"

TRAIN, INFER, BOTH = ("train",), ("inference",), ("train", "inference")
"""Overlays in which a key is written."""


def one_of(*words: str) -> Callable[[Any], Any]:
    """Reader of a word, whatever its case."""
    return lambda value: choice(value, {word: word for word in words})


def or_nothing(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Reader that lets null through."""
    return lambda value: None if value is None else read(value)


def sizes_xy(value: Any) -> list[int]:
    """Voxels z, y, x of a width and height, or of three numbers x, y, z."""
    if not isinstance(value, (list, tuple)) or len(value) not in (2, 3):
        raise ValueError(f"expected [width, height], or three numbers x, y, z, got {value!r}")
    return [*([1] if len(value) == 2 else []), *(whole(1)(size) for size in value[::-1])]


def _indices(value: Any) -> list[int] | None:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"expected a list of numbers from 0, got {value!r}")
    return [whole(0)(index) for index in value] or None


def _uncertainties(value: Any) -> list[str]:
    words = [value] if isinstance(value, str) else list(value)
    return [one_of("smha", "emha", "ecpv")(word) for word in words]


def _class_scheme(value: Any) -> str:
    return str(choice(value, {**{name: name for name in CLASS_SCHEMES}, "binary_weighted": "binary"}))


@dataclass(frozen=True)
class LandmarkKey:
    """What becomes of a key.

    Args:
        default: what their program took where the file left it out; `...`: nothing is written then.
        new: the key here; `None`: there is none, and `why` says the reason, or a function of its own reads it.
        read: from the old value to the new one.
        why: the reason, or what else is to be known.
        files: overlays in which it is written.
        architecture: the network that it belongs to; `None`: to each.
        may_be_null: whether null is a value, and not an entry that counts as left out.
    """

    default: Any = ...
    new: str | None = None
    read: Callable[[Any], Any] = str
    why: str = ""
    files: Sequence[str] = TRAIN
    architecture: str | None = None
    may_be_null: bool = False


def _own(default: Any = ..., may_be_null: bool = False, architecture: str | None = None) -> LandmarkKey:
    """A key that is read together with others."""
    return LandmarkKey(default, may_be_null=may_be_null, architecture=architecture)


def _none(why: str) -> LandmarkKey:
    return LandmarkKey(why=why, may_be_null=True)


_COMET = _none("Comet is chosen on the command line: --tracking configs/comet.json --comet_project NAME and so on")
_MOUNT = _none("paths are taken as they are; --dataset_dir says where relative ones count from")
_CENTRED = _none("patches are drawn around landmarks by sampler_bias, not around given places")

KEYS: Mapping[str, LandmarkKey] = {
    "DATASET.DATASET_CLASS": _none(
        "their JSON files are read as they are; other data are rows of 'volumes', or a transform by '_target_'"
    ),
    "DATASET.ROOT": _own(""),
    "DATASET.NAME": _none("a word for the data that nothing depends on; model_name names checkpoints"),
    "DATASET.SRC_TARGETS": _own(),
    "DATASET.IMAGE_MODALITY": _none("the format is seen from each image; 'normalization' says what is done to it"),
    "DATASET.LANDMARKS": LandmarkKey([], "landmark_indices", _indices, "null is all of them", BOTH),
    "DATASET.TRAINSET_SIZE": _own(-1),
    "DATASET.ORIGINAL_IMAGE_SIZE": _none("seen from each image"),
    "SAMPLER.DEBUG": _own(False),
    "SAMPLER.INPUT_SIZE": _own([512, 512]),
    "SAMPLER.DATA_AUG": LandmarkKey("AffineComplex", "scheme", or_nothing(one_of(*LANDMARK_SCHEMES)), may_be_null=True),
    "SAMPLER.DATA_AUG_PACKAGE": _none("all schemes are made of MONAI's transforms and the bundle's"),
    "SAMPLER.NUM_WORKERS": LandmarkKey(0, "num_workers", whole(0)),
    "SAMPLER.SAMPLER_MODE": _own("full"),
    "SAMPLER.EVALUATION_SAMPLE_MODE": _none("images are validated as they are predicted; see INFERENCE_MODE"),
    "SAMPLER.PATCH.RESOLUTION_TO_SAMPLE_FROM": _own("full"),
    "SAMPLER.PATCH.SAMPLE_PATCH_SIZE": _own([512, 512]),
    "SAMPLER.PATCH.SAMPLER_BIAS": _own(0.66),
    "SAMPLER.PATCH.INFERENCE_MODE": _own("fully_convolutional"),
    "SAMPLER.PATCH.CENTRED_PATCH_COORDINATE_PATH": _CENTRED,
    "SAMPLER.PATCH.CENTRED_PATCH_COORDINATE_PATH_SHEET": _CENTRED,
    "SAMPLER.PATCH.CENTRED_PATCH_JITTER": _CENTRED,
    "SOLVER.SEED": LandmarkKey(42, "random_seed", whole(0)),
    "SOLVER.BASE_LR": LandmarkKey(0.01, "learning_rate", number),
    "SOLVER.DECAY_POLICY": _own("poly", may_be_null=True),
    "SOLVER.MAX_EPOCHS": LandmarkKey(1000, "max_epochs", whole(1)),
    "SOLVER.EARLY_STOPPING_PATIENCE": _own(),
    "SOLVER.MINI_BATCH_SIZE": LandmarkKey(150, "max_steps_per_epoch", whole(1)),
    "SOLVER.DATA_LOADER_BATCH_SIZE": LandmarkKey(12, "batch_size", whole(1)),
    "SOLVER.DATA_LOADER_BATCH_SIZE_EVAL": LandmarkKey(new="sw_batch_size", read=whole(1), files=INFER),
    "SOLVER.DEEP_SUPERVISION": LandmarkKey(True, "deep_supervision", flag, architecture=UNET),
    "SOLVER.NUM_RES_SUPERVISIONS": LandmarkKey(5, "deep_supervision_levels", whole(1), architecture=UNET),
    "SOLVER.AUTO_MIXED_PRECISION": _own(True),
    "SOLVER.LOSS_FUNCTION": _own("mse", architecture=UNET),
    "SOLVER.REGRESS_SIGMA": _own(False, architecture=UNET),
    "SOLVER.REGRESS_SIGMA_LOSS_WEIGHT": _own(0.005, architecture=UNET),
    "TRAINER.PERFORM_VALIDATION": _own(True),
    "TRAINER.VALIDATE_EVERY": _own(),
    "TRAINER.SAVE_LATEST_ONLY": _own(True),
    "TRAINER.SAVE_EVERY": _none("a checkpoint is written after each epoch; keep_last says how many stay"),
    "TRAINER.CACHE_DATA": _none("chunk_cache = bytes keeps what is decoded of zarr; other formats stay in memory"),
    "TRAINER.FOLD": LandmarkKey(0, "fold", whole(-1), files=BOTH),
    "TRAINER.INFERENCE_ONLY": _own(False),
    "TRAINER.MCDROP_RATE": LandmarkKey(new="dropout", read=share),
    "MODEL.ARCHITECTURE": _own(UNET),
    "MODEL.GAUSS_SIGMA": _own(4),
    "MODEL.HM_LAMBDA_SCALE": LandmarkKey(100.0, "amplitude", number),
    "MODEL.CHECKPOINT": _own(),
    "MODEL.UNET.MIN_FEATURE_RESOLUTION": LandmarkKey(4, "min_feature_resolution", whole(1), architecture=UNET),
    "MODEL.UNET.MAX_FEATURES": LandmarkKey(512, "max_features", whole(1), architecture=UNET),
    "MODEL.UNET.INIT_FEATURES": LandmarkKey(32, "init_features", whole(1), architecture=UNET),
    "MODEL.PHD-NET.BRANCH_SCHEME": LandmarkKey(
        "multi", "branch_scheme", one_of("multi", "heatmap", "displacement"), architecture=PHDNET
    ),
    "MODEL.PHD-NET.MAXPOOL_FACTOR": LandmarkKey(3, "max_pool_factor", whole(0), architecture=PHDNET),
    "MODEL.PHD-NET.CLASS_LABEL_SCHEME": LandmarkKey(
        "gaussian", "class_scheme", _class_scheme, "without weights of the classes", architecture=PHDNET
    ),
    "MODEL.PHD-NET.WEIGHT_DISP_LOSS_BY_HEATMAP": LandmarkKey(True, "weigh_by_class", flag, architecture=PHDNET),
    "MODEL.PHD-NET.LOG_TRANSFORM_DISPLACEMENTS": LandmarkKey(
        True, "log_transform", flag, "theirs could not be inverted", architecture=PHDNET
    ),
    "MODEL.PHD-NET.CLAMP_DIST": LandmarkKey(
        None, "clamp_distance", or_nothing(number), architecture=PHDNET, may_be_null=True
    ),
    "INFERENCE.SPLIT": _none("what 'testing' lists is predicted after a training; 'input' of inference names others"),
    "INFERENCE.EVALUATION_MODE": LandmarkKey(
        "scale_heatmap_first", "evaluation_mode", one_of(*EVALUATION_MODES), files=BOTH
    ),
    "INFERENCE.FIT_GAUSS": LandmarkKey(False, "fit_gaussian", flag, files=BOTH),
    "INFERENCE.ENSEMBLE_INFERENCE": _own(False),
    "INFERENCE.ENSEMBLE_CHECKPOINTS": _own([]),
    "INFERENCE.ENSEMBLE_UNCERTAINTY_KEYS": LandmarkKey(
        ["smha", "emha", "ecpv"], "uncertainties", _uncertainties, files=INFER
    ),
    "INFERENCE.UNCERTAINTY_SMHA_MODEL_IDX": LandmarkKey(0, "smha_member", whole(0), files=INFER),
    "INFERENCE.TTA_ENSEMBLE_INFERENCE": _none("mirror_axes predicts mirrored images, too"),
    "INFERENCE.MCDROP_ENSEMBLE_INFERENCE": _none("mc_dropout = number of passes, where a network has dropout"),
    "INFERENCE.DEBUG": _own(False),
    "OUTPUT.VERBOSE": _none("it had no effect"),
    "OUTPUT.OUTPUT_DIR": _own(),
    "OUTPUT.USE_COMETML_LOGGING": _COMET,
    "OUTPUT.COMET_API_KEY": _COMET,
    "OUTPUT.COMET_WORKSPACE": _COMET,
    "OUTPUT.COMET_PROJECT_NAME": _COMET,
    "OUTPUT.COMET_TAGS": _COMET,
    "OUTPUT.RESULTS_CSV_APPEND": _own(),
    "SSH.AUTO_AMEND_PATHS": _MOUNT,
    "SSH.LOCAL_PATH_TO_SSH_MOUNT": _MOUNT,
    "SSH.MATCH_SSH_STRING_FOR_AMEND": _MOUNT,
}
"""Of every version of their program, by place in the file."""

ALIASES: Mapping[str, str] = {
    "SAMPLER.SAMPLE_MODE": "SAMPLER.SAMPLER_MODE",
    "SOLVER.DATA_LOADER_BATCH_SIZE_TRAIN": "SOLVER.DATA_LOADER_BATCH_SIZE",
    **{f"DATASET.{key}": f"SAMPLER.{key}" for key in ("DEBUG", "INPUT_SIZE", "DATA_AUG", "DATA_AUG_PACKAGE")},
    "DATASET.NUM_WORKERS": "SAMPLER.NUM_WORKERS",
    **{f"MODEL.{key}": f"MODEL.UNET.{key}" for key in ("MIN_FEATURE_RESOLUTION", "MAX_FEATURES", "INIT_FEATURES")},
    **{
        key.replace("PHD-NET", other): key
        for other in ("PHDNET", "PHD_NET")
        for key in KEYS
        if key.startswith("MODEL.PHD-NET.")
    },
}
"""Names that versions of their program have for the same."""


def meant(place: str) -> str:
    """What an unknown key may stand for: a similar one of its section, or the section that has it."""
    section, _, key = place.rpartition(".")
    known = [*KEYS, *ALIASES]
    elsewhere = [one for one in KEYS if one.rpartition(".")[2] == key]
    if elsewhere:
        return f" (it belongs to {elsewhere[0].rpartition('.')[0]})"
    return did_you_mean(key, [one.rpartition(".")[2] for one in known if one.rpartition(".")[0] == section])
