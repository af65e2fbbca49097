"""Move a patch a little before it is read, so that no two epochs see the same boxes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.transforms import Randomizable, Transform


class RandPatchStartd(Randomizable, Transform):
    """Draw the start of a training datum anew within its `start_range`; stands before `LoadZarrPatchd`.

    A datum without `start_range` keeps its start. The start at which the search found labels stays in `found`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._share = np.zeros(3)

    def randomize(self, data: Any = None) -> None:
        self._share = self.R.random(3)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """
        Args:
            data: `start` [z, y, x] and perhaps `start_range`, the first and the last start [[z, y, x], [z, y, x]].
        """
        datum = dict(data)
        self.randomize()  # for every datum, so that the draws do not depend on the data
        if (limits := datum.pop("start_range", None)) is None:
            return datum
        first, last = np.asarray(limits[0]), np.asarray(limits[1])
        datum.setdefault("found", list(datum["start"]))
        datum["start"] = (first + np.floor(self._share * (last - first + 1)).astype(int)).tolist()
        return datum
