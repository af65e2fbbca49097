"""Volumes that are read from another one."""

from __future__ import annotations

import numpy as np

from .volume import Volume


class DerivedVolume(Volume):
    """A volume whose voxels come from another one: resampled, or seen with its axes in another order.

    Attributes:
        base: what is stored.
    """

    base: Volume

    @property
    def stored_dtype(self) -> np.dtype:
        """As of the base."""
        return self.base.stored_dtype

    @property
    def decoded_bytes(self) -> int:
        """As of the base."""
        return self.base.decoded_bytes
