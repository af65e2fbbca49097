"""What any computation over a huge volume shares: finished parts, what was run, work ahead and behind."""

from .dask_workers import DaskWorkers
from .headers import as_json, header_differences
from .ledger import Index, Ledger
from .prefetch import Behind, ahead
from .run_folder import RunFolder

__all__ = ["Behind", "DaskWorkers", "Index", "Ledger", "RunFolder", "ahead", "as_json", "header_differences"]
