"""Lay courses on surfaces: nerves along bone, veins in the subcutaneous fat, tendons on the fascia."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.knee.fields import Field

Real = NDArray[np.float64]


def lay_on(points: Real, surface: Field, height_mm: float | Real, strength: float | Real = 1.0) -> Real:
    """The points (point, 3), each moved to a height above the surface (below it if negative).

    strength, one or (point), says how much of the way is gone.
    """
    moved = points.copy()
    weight = np.broadcast_to(np.asarray(strength, float), len(points))[:, None]
    for _ in range(6):
        gap = np.asarray(height_mm - surface.at(moved))
        moved += weight * 0.8 * gap[:, None] * surface.slope(moved)
    return moved


def keep_off(points: Real, surface: Field, height_mm: float) -> Real:
    """The points (point, 3), those that lie lower than a height above the surface moved up to it."""
    moved = points.copy()
    for _ in range(6):
        lift = np.maximum(height_mm - surface.at(moved), 0)
        moved += 0.8 * lift[:, None] * surface.slope(moved)
    return moved


def keep_in(points: Real, surface: Field, depth_mm: float) -> Real:
    """The points (point, 3), those that lie less deep than depth_mm below the surface moved down to it."""
    moved = points.copy()
    for _ in range(6):
        sink = np.maximum(surface.at(moved) + depth_mm, 0)
        moved -= 0.8 * sink[:, None] * surface.slope(moved)
    return moved
