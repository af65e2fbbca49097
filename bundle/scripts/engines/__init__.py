"""What ignite engines need to train many targets at once: batches, scores, logs, pictures."""

from .best_model import BestModel
from .checkpoints import find_checkpoint
from .first_batch import FirstBatch
from .history import History
from .loss_terms import LossTerms
from .metric_handler import MultiTaskScore
from .prepare_batch import PrepareTargets, mark_unknown
from .prepare_volume import PrepareVolume, collate_volumes
from .preview import Preview
from .progress import Progress
from .scores_file import ScoresFile

__all__ = [
    "BestModel",
    "FirstBatch",
    "History",
    "LossTerms",
    "MultiTaskScore",
    "PrepareTargets",
    "PrepareVolume",
    "Preview",
    "Progress",
    "ScoresFile",
    "collate_volumes",
    "find_checkpoint",
    "mark_unknown",
]
