"""Which worker processes of Dask do the parts of a job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .threads import Threads

if TYPE_CHECKING:
    from .dask_pool import DaskPool


@dataclass
class DaskWorkers:
    """Worker processes of a Dask cluster, on this machine or on many. Needs the extra `distributed`.

    What the job reads and writes must be within reach of all of them.

    Args:
        cluster: a cluster of Dask's deployers (such as `dask_jobqueue.SLURMCluster`), or the address of a scheduler
            that runs (`tcp://host:8786`); `None`: worker processes on this machine.
        n_workers: on this machine; `None`: one per GPU, or per core where there is none. For a cluster that starts
            workers on demand, how many to ask for; `None`: those that it has.
        threads: threads with which each worker computes.
        code_path: folder that holds the package, as the workers see it; `None`: as this process sees it.
    """

    cluster: Any = None
    n_workers: int | None = None
    threads: int = 1
    code_path: str | Path | None = None

    def pool(self) -> DaskPool:
        """The workers, to be entered as a context.

        Raises:
            ImportError: without the extra.
        """
        from .dask_pool import DaskPool  # needs the extra

        return DaskPool(self)


def choose_workers(cluster: Any = None, n_workers: int | None = None, threads: int = 1) -> Threads | DaskWorkers:
    """Who does the parts of a job: threads of this process, or Dask's workers where any are named.

    Args:
        cluster, n_workers: see `DaskWorkers`; neither: this process.
        threads: of this process, each with a part of its own; of each of Dask's workers, which all do one part.

    Raises:
        ValueError: for a cluster that is neither an address nor one of Dask's.
    """
    if cluster is not None and not isinstance(cluster, str) and not hasattr(cluster, "scheduler_address"):
        raise ValueError(f"cluster must be the address of a scheduler, or one of Dask's clusters; got {cluster!r}")
    if cluster is None and n_workers is None:
        return Threads(threads)
    return DaskWorkers(cluster, n_workers, threads)
