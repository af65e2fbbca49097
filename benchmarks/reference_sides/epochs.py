"""Epochs of a loader, timed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from turns import Turn


def epochs(loader: Iterable[Any], keys: Sequence[str]) -> Turn:
    """Turns of one epoch each. The one that is looked at sums up the patches, so that sides can be compared.

    Args:
        loader: of batches, dictionaries of tensors B C D H W; its workers must outlive an epoch.
        keys: of the tensors that are summed up.
    """

    def turn(is_check: bool) -> dict[str, Any]:
        begun, n_patches, sums = time.perf_counter(), 0, dict.fromkeys(keys, 0.0)
        for batch in loader:
            n_patches += len(batch[keys[0]])
            if is_check:
                sums = {key: total + float(batch[key].double().sum()) for key, total in sums.items()}
        return {"seconds": time.perf_counter() - begun, "patches": n_patches, "sums": sums}

    return turn
