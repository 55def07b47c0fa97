"""Tubes along smooth curves: vessels, nerves, tendons and ligaments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

Real = NDArray[np.float64]


@dataclass(frozen=True)
class Tube:
    """A solid of elliptic section.

    Attributes:
        points: centre line (point, 3), mm, in the knee's frame.
        half_axes: (point, 2) mm.
        wide: (point, 3) unit vectors of the first half axis, across the centre line.
        bend_mm: by which the edges of a flat tube lie off its middle, towards along x wide.
    """

    points: Real
    half_axes: Real
    wide: Real
    bend_mm: float = 0.0


def smooth_course(knots: Sequence[Sequence[float]] | Real, step_mm: float = 1.5) -> Real:
    """Points (point, 3) about every step_mm along a smooth curve through the knots (knot, 3)."""
    fixed = np.asarray(knots, float)
    chord = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(fixed, axis=0), axis=1))]
    curve = CubicSpline(chord, fixed)
    return np.asarray(curve(np.linspace(0, chord[-1], max(2, round(chord[-1] / step_mm) + 1))))


def arc_length_mm(points: Real) -> Real:
    """Length (point) from the first point of a course (point, 3)."""
    return np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]


def tube(
    points: Real,
    half_axes: Sequence[float] | Real,
    towards: Sequence[float] | Real = (1.0, 0.3, 0.1),
    bend_mm: float = 0.0,
) -> Tube:
    """A tube along points (point, 3).

    Args:
        points: mm.
        half_axes: (2) for all, or (point, 2), mm.
        towards: direction, (3) or (point, 3), of the first half axis; what lies along the course is taken off.
        bend_mm: of a strap that is not flat; see `Tube`.
    """
    axes = np.broadcast_to(np.asarray(half_axes, float), (len(points), 2)).copy()
    along = np.gradient(points, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    wide = np.broadcast_to(np.asarray(towards, float), points.shape).copy()
    wide -= (wide * along).sum(1, keepdims=True) * along
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    spare = np.cross(along, np.array([0.0, 0.6, 0.8]))
    wide = np.where(length > 0.05, wide / np.maximum(length, 1e-9), spare)
    return Tube(points, axes, wide / np.linalg.norm(wide, axis=1, keepdims=True), bend_mm)


def wavy(points: Real, random: np.random.Generator, amplitude_mm: float, grain_mm: float = 12.0) -> Real:
    """The course with a seeded, smooth sway; its ends stay."""
    length = arc_length_mm(points)
    n_knots = max(4, round(length[-1] / grain_mm) + 2)
    sway = CubicSpline(np.linspace(0, length[-1], n_knots), random.standard_normal((n_knots, 3)) * amplitude_mm)
    fade = np.minimum(1, np.minimum(length, length[-1] - length) / grain_mm)
    return np.asarray(points + sway(length) * fade[:, None])
