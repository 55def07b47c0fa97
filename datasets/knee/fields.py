"""Signed distances on grids in the knee's frame: negative inside, mm; and how to combine them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Real = NDArray[np.float64]
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Grid:
    """Where a field is sampled: from low to high (x, y, z), spacing in mm along each."""

    low: Point
    high: Point
    spacing: Point = (1.0, 1.0, 1.0)

    def axis(self, i: int) -> Real:
        """Coordinates along x (0), y (1) or z (2)."""
        n = round((self.high[i] - self.low[i]) / self.spacing[i]) + 1
        return np.asarray(self.low[i] + self.spacing[i] * np.arange(n), float)

    def mesh(self) -> tuple[Float32, Float32, Float32]:
        """Coordinates x (1, 1, x), y (1, y, 1) and z (z, 1, 1); they broadcast to the grid (z, y, x)."""
        x, y, z = (self.axis(i).astype(np.float32) for i in range(3))
        return x[None, None, :], y[None, :, None], z[:, None, None]


@dataclass(frozen=True)
class Field:
    """A smooth signed distance (z, y, x) on a grid.

    Attributes:
        grid: where.
        values: mm, float32.
    """

    grid: Grid
    values: Float32

    def at(self, points: Real) -> Real:
        """Values at points (..., 3), trilinear, for building; painting reads the field smoothly instead."""
        where = [(points[..., i] - self.grid.low[i]) / self.grid.spacing[i] for i in range(3)]
        shape = self.values.shape[::-1]
        where = [np.clip(w, 0, n - 1.001) for w, n in zip(where, shape, strict=True)]
        index = [w.astype(int) for w in where]
        part = [w - i for w, i in zip(where, index, strict=True)]
        total = np.zeros(points.shape[:-1])
        for corner in range(8):
            step = [corner >> i & 1 for i in range(3)]
            weight = np.prod([p if s else 1 - p for p, s in zip(part, step, strict=True)], axis=0)
            total += weight * self.values[index[2] + step[2], index[1] + step[1], index[0] + step[0]]
        return total

    def slope(self, points: Real, step_mm: float = 0.7) -> Real:
        """Unit vectors (..., 3) away from the inside, at points (..., 3)."""
        steps = step_mm * np.eye(3)
        slope = np.stack([self.at(points + step) - self.at(points - step) for step in steps], -1)
        return np.asarray(slope / np.maximum(np.linalg.norm(slope, axis=-1, keepdims=True), 1e-9))

    def onto(self, grid: Grid) -> Float32:
        """Values on another grid."""
        x, y, z = grid.mesh()
        return self.at(np.stack(np.broadcast_arrays(x, y, z), -1).astype(float)).astype(np.float32)


def inside_out(field: Field) -> Field:
    """The space around a shape."""
    return Field(field.grid, -field.values)


def smooth_max(a: Float32, b: Float32, rounding_mm: float) -> Float32:
    """Intersection of two shapes with a rounded edge."""
    return 0.5 * (a + b + np.sqrt((a - b) ** 2 + rounding_mm**2))


def smooth_min(a: Float32, b: Float32, rounding_mm: float) -> Float32:
    """Union of two shapes with a filled crease."""
    return 0.5 * (a + b - np.sqrt((a - b) ** 2 + rounding_mm**2))


def as_distance(values: Float32, spacing: Point, n_steps: int = 8) -> Float32:
    """Turn a function with the right zero surface into a distance to it, near that surface.

    Marches d phi / d tau = sign(phi0) (1 - |grad phi|), upwind (Sussman 1994, doi:10.1006/jcph.1994.1155).
    """
    h = min(spacing)
    sign = values / np.sqrt(values**2 + h**2)
    phi = values.copy()
    for _ in range(n_steps):
        total = np.zeros_like(phi)
        for axis, step in enumerate(reversed(spacing)):
            edge = np.diff(phi, axis=axis) / np.float32(step)
            back = np.concatenate([np.take(edge, [0], axis), edge], axis)
            ahead = np.concatenate([edge, np.take(edge, [-1], axis)], axis)
            outward = np.maximum(np.maximum(back, 0) ** 2, np.minimum(ahead, 0) ** 2)
            inward = np.maximum(np.minimum(back, 0) ** 2, np.maximum(ahead, 0) ** 2)
            total += np.where(sign > 0, outward, inward)
        phi += np.float32(0.45 * h) * sign * (1 - np.sqrt(total))
    return phi.astype(np.float32)
