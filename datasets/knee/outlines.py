"""Sections drawn as closed curves, and the solid between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from knerve.datasets.knee.fields import Field, Grid
from knerve.datasets.knee.sampling import outline_distance

Real = NDArray[np.float64]
Section = tuple[float, float, float, float, float, float, float]
POINTS_PER_SPAN = 4


def closed_curve(corners: Real) -> Real:
    """Closed Catmull-Rom curve (point, 2) through the corners (corner, 2)."""
    t = np.arange(POINTS_PER_SPAN)[:, None, None] / POINTS_PER_SPAN
    before, here, after, beyond = (np.roll(corners, shift, axis=0)[None] for shift in (1, 0, -1, -2))
    curve = 0.5 * (
        2 * here
        + (after - before) * t
        + (2 * before - 5 * here + 4 * after - beyond) * t**2
        + (3 * here - before - 3 * after + beyond) * t**3
    )
    return np.ascontiguousarray(curve.transpose(1, 0, 2).reshape(-1, 2))


def belly(section: Section, n_corners: int = 16) -> Real:
    """Corners (corner, 2) of a muscle's section.

    The section is (x, y, half length, half thickness, turn in degrees, bend, taper): bend curves its long axis towards its
    left (mm of sagitta), taper thins its far end and thickens its near end.
    """
    x, y, a, b, turn_deg, bend, taper = section
    angle = 2 * np.pi * np.arange(n_corners) / n_corners
    along = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.85
    across = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.85
    u = a * along
    v = b * across * (1 - taper * along) + bend * (along**2 - 0.4)
    turn = np.deg2rad(turn_deg)
    return np.stack([x + u * np.cos(turn) - v * np.sin(turn), y + u * np.sin(turn) + v * np.cos(turn)], -1)


def loft(grid: Grid, sections: Mapping[float, Real], scale: float = 1.0) -> Field:
    """The solid whose axial sections pass through the corners (corner, 2) given at some heights z; all have as many corners."""
    heights = sorted(sections)
    corners = PchipInterpolator(heights, np.stack([sections[z] for z in heights]), axis=0)
    x, y, z = (grid.axis(i) for i in range(3))
    values = np.empty((len(z), len(y), len(x)), np.float32)
    for i, height in enumerate(np.clip(z / scale, heights[0], heights[-1])):
        outline_distance(scale * closed_curve(corners(height)), x, y, values[i])
    return Field(grid, values)


def corners_of(text: Sequence[Sequence[float]]) -> Real:
    """Corners (corner, 2) from a table of x, y pairs in mm."""
    return np.asarray(text, float)
