"""The geometry of a rolled sheet as a field: a spiral with sheets that touch, a fold and a gap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RolledSheet:
    """One sheet rolled around the z axis, described by its winding number at every point.

    The sheet's middle lies where the winding number is an integer plus one half. Its gradient is the normal direction,
    pointing away from the axis.

    Args:
        size: edge of the cube, voxels.
        pitch: distance between windings, voxels.
        thickness: of the sheet, voxels.
        seed: of the waviness.
    """

    size: int
    pitch: float = 14.0
    thickness: float = 5.0
    seed: int = 0

    def winding(self, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Winding number at voxel positions that broadcast; it jumps by 1 across the half plane y = 0, x < 0."""
        n = self.size
        y, x = y - n / 2, x - n / 2
        y, x = self._fold(z, y, x)
        radius, angle = np.hypot(y, x), np.arctan2(y, x)
        turns = (radius + self._waves(z, angle)) / self.pitch - angle / (2 * np.pi)
        # neighbouring windings approach each other in pairs until they touch, away from the jump of the angle
        closeness = 0.97 * np.exp(-(((angle - 0.6) / 0.5) ** 2) - ((z - 0.55 * n) / (0.3 * n)) ** 2)
        return turns + closeness * np.sin(np.pi * turns) / np.pi

    def distance_and_normal(self, z0: int, z1: int) -> tuple[np.ndarray, np.ndarray]:
        """Distance in voxels to the middle of the nearest winding, and its unit normal, for slices z0 .. z1 - 1.

        Returns:
            D H W float32 (to first order in the distance) and 3 D H W float32 (components z, y, x).
        """
        grid = np.arange(self.size, dtype=np.float64)
        z, y, x = np.arange(z0, z1, dtype=np.float64)[:, None, None], grid[None, :, None], grid[None, None, :]
        step = 0.5
        gradient = np.stack(
            [
                _unjump(self.winding(z + step, y, x) - self.winding(z - step, y, x)),
                _unjump(self.winding(z, y + step, x) - self.winding(z, y - step, x)),
                _unjump(self.winding(z, y, x + step) - self.winding(z, y, x - step)),
            ]
        ) / (2 * step)  # 3 D H W
        steepness = np.maximum(np.linalg.norm(gradient, axis=0), 1e-6)
        offset = _unjump(self.winding(z, y, x) - 0.5)
        return (offset / steepness).astype(np.float32), (gradient / steepness).astype(np.float32)

    def exists(self, z0: int, z1: int) -> np.ndarray:
        """D H W bool: where there is a roll at all, less the gap that is torn out of it."""
        n = self.size
        z, y, x = np.ogrid[z0:z1, :n, :n]
        radius = np.hypot(y - n / 2, x - n / 2)
        gap = ((z - 0.62 * n) / (0.22 * n)) ** 2 + ((y - 0.5 * n) / (0.1 * n)) ** 2 + ((x - 0.2 * n) / (0.07 * n)) ** 2
        return (radius > self.pitch) & (radius < n / 2 - 6) & (gap > 1)

    def _waves(self, z: np.ndarray, angle: np.ndarray) -> np.ndarray:
        """Smooth radial waviness in voxels, periodic in the angle."""
        rng = np.random.default_rng(self.seed)
        total = np.zeros(np.broadcast_shapes(z.shape, angle.shape))
        for order in range(1, 6):
            phase, slope, strength = rng.uniform(0, 2 * np.pi), rng.uniform(-2, 2), rng.uniform(0.5, 1)
            total = total + strength * 5 / order * np.sin(order * angle + phase + slope * 2 * np.pi * z / self.size)
        return total

    def _fold(self, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Twist the plane around a point that drifts with z: the windings there fold over into an S."""
        n = self.size
        cy, cx = -0.22 * n + 0.1 * z, 0.2 * n
        dy, dx = y - cy, x - cx
        twist = 1.9 * np.exp(-(dy**2 + dx**2) / (0.1 * n) ** 2)
        cos, sin = np.cos(twist), np.sin(twist)
        return cy + cos * dy - sin * dx, cx + sin * dy + cos * dx


def _unjump(winding: np.ndarray) -> np.ndarray:
    """A difference of winding numbers without the jump of the angle: the equal number in -0.5 .. 0.5."""
    return winding - np.round(winding)
