"""Several processes that train one network."""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch
from torch import distributed


def join_processes(distributed: bool) -> None:
    """Join the group of processes that `torchrun` has started; `False`: there is only this one.

    NCCL connects GPUs, Gloo CPUs.

    Raises:
        ValueError: if this process was not started by `torchrun`.
    """
    if not distributed or torch.distributed.is_initialized():
        return
    if not torch.distributed.is_torchelastic_launched():
        raise ValueError(
            "several processes are started by torchrun: "
            "torchrun --nproc_per_node=GPUS -m monai.bundle run training --config_file "
            "\"['configs/train.json','configs/multi_gpu_train.json']\""
        )
    torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


def first_process_finds(faults: Callable[[], list[str]]) -> list[str]:
    """Faults that the first process finds while the others wait, which then use the files that it has written.

    Where there are faults, the other processes end silently: one list of them is enough.

    Args:
        faults: lists them.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return faults()
    is_first = distributed.get_rank() == 0
    found = [faults() if is_first else []]
    distributed.broadcast_object_list(found, src=0)
    if not is_first and found[0]:
        sys.exit(1)
    return found[0]
