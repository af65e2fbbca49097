"""What a run computes on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
from pathlib import Path

import torch

_PACKAGES = ("monai", "pytorch-ignite", "numpy", "zarr")


def machine_facts() -> dict[str, str]:
    """Names and values that tell one machine from another: host, CPU, cores, memory, GPUs, Python, packages."""
    facts = {
        "host": socket.gethostname(),
        "system": platform.platform(),
        "CPU": _processor(),
        "cores": f"{_usable_cores()} of {os.cpu_count()}",
    }
    if memory := _memory_bytes():
        facts["memory"] = f"{memory / 2**30:.1f} GiB"
    for n in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(n)
        facts[f"GPU {n}"] = f"{properties.name}, {properties.total_memory / 2**30:.1f} GiB"
    if not torch.cuda.device_count():
        facts["GPU"] = "none"
    facts |= {"Python": platform.python_version(), "torch": str(torch.__version__)}  # with its variant, as +cu130
    return facts | {name: importlib.metadata.version(name) for name in _PACKAGES}


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory_bytes() -> int:
    """Of the machine; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
