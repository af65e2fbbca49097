"""What any computation over a huge volume shares: finished parts, what was run, work ahead and behind."""

from .dask_workers import DaskWorkers, choose_workers
from .disk_space import full_disk_told
from .headers import as_json, header_differences
from .jobs import Call, Job
from .ledger import Index, Ledger
from .prefetch import Behind, ahead
from .progress import WorkProgress
from .run_folder import RunFolder
from .run_group import RunGroup
from .run_places import report_place, run_folder_path
from .signals import going_on, orderly_exit, run_orderly
from .threads import Threads

__all__ = [
    "Behind",
    "Call",
    "DaskWorkers",
    "Index",
    "Job",
    "Ledger",
    "RunFolder",
    "RunGroup",
    "Threads",
    "WorkProgress",
    "ahead",
    "as_json",
    "choose_workers",
    "full_disk_told",
    "going_on",
    "header_differences",
    "orderly_exit",
    "report_place",
    "run_folder_path",
    "run_orderly",
]
