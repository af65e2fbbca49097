"""What ignite engines need to train many targets at once: steps, batches, scores, states, logs, pictures."""

from .augment_on_device import AugmentOnDevice
from .best_model import BestModel
from .checkpoint_file import CheckpointWriteError
from .checkpoints import find_checkpoint
from .comet_log import CometLog
from .events import TrainingEvents, on_optimizer_step, on_stop
from .first_batch import FirstBatch
from .history import History
from .learning_rate import LearningRate
from .limits import EarlyStop, TimeLimit
from .loss_terms import LossTerms
from .metric_handler import MultiTaskScore
from .nonfinite import NonFiniteLossError
from .point_matching_score import PointMatchingScore
from .prepare_batch import LabelValueError, PrepareTargets, mark_unknown
from .prepare_views import PrepareViews
from .prepare_volume import PrepareVolume, collate_volumes
from .preview import Preview
from .progress import Progress
from .random_state import RandomState
from .run_checkpoint import RunCheckpoint
from .run_record import RunRecord, begin_record
from .scores_file import ScoresFile
from .set_epoch import SetEpoch
from .step_log import StepLog
from .step_output import StepOutput
from .stop_on_signal import StopOnSignal, StoppedBySignal
from .tensorboard_log import TensorBoardLog
from .training_step import TrainingStep, ValidationStep
from .weight_average import WeightAverage
from .worst_patches import WorstPatches

__all__ = [
    "AugmentOnDevice",
    "BestModel",
    "CheckpointWriteError",
    "CometLog",
    "EarlyStop",
    "FirstBatch",
    "History",
    "LabelValueError",
    "LearningRate",
    "LossTerms",
    "MultiTaskScore",
    "NonFiniteLossError",
    "PointMatchingScore",
    "PrepareTargets",
    "PrepareViews",
    "PrepareVolume",
    "Preview",
    "Progress",
    "RandomState",
    "RunCheckpoint",
    "RunRecord",
    "ScoresFile",
    "SetEpoch",
    "StepLog",
    "StepOutput",
    "StopOnSignal",
    "StoppedBySignal",
    "TensorBoardLog",
    "TimeLimit",
    "TrainingEvents",
    "TrainingStep",
    "ValidationStep",
    "WeightAverage",
    "WorstPatches",
    "begin_record",
    "collate_volumes",
    "find_checkpoint",
    "mark_unknown",
    "on_optimizer_step",
    "on_stop",
]
