"""The state of the process's random generators, for checkpoints."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


class RandomState:
    """States of the global generators of Python, NumPy, PyTorch and, where it is there, CUDA.

    The state dictionary holds numbers and tensors only, as `torch.load(weights_only=True)` wants it.
    """

    def state_dict(self) -> dict[str, Any]:
        name, words, *rest = np.random.get_state()  # noqa: NPY002
        return {
            "python": random.getstate(),
            "numpy": [name, torch.from_numpy(np.asarray(words).astype(np.int64)), *rest],
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        version, words, gauss = state["python"]
        random.setstate((version, tuple(words), gauss))
        name, numbers, *rest = state["numpy"]
        np.random.set_state((name, numbers.cpu().numpy().astype(np.uint32), *rest))  # noqa: NPY002
        torch.set_rng_state(state["torch"].cpu())
        if len(state["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all([one.cpu() for one in state["cuda"]])
