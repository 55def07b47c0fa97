"""The femur's lower end: shaft, trochlea, condyles and notch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.knee.fields import Field, Grid, as_distance, smooth_max
from knerve.datasets.knee.outlines import loft
from knerve.datasets.knee.shapes import outlines

Float32 = NDArray[np.float32]

GRID = Grid((-56.0, -40.0, -42.0), (56.0, 50.0, 96.0))

# Radius in mm about the transverse axis through the epicondyles, by the angle in degrees from the front over the joint.
ANGLES_DEG = (-80, -40, -20, -5, 12, 33, 62, 90, 113, 136, 160, 176, 193, 212, 245)
MEDIAL = (250, 34.8, 35.1, 34.1, 32.2, 29.4, 26.8, 26.0, 26.0, 26.2, 26.6, 26.1, 25.7, 25.5, 250)
LATERAL = (250, 37.6, 38.6, 37.3, 34.7, 30.5, 25.7, 24.2, 24.3, 24.9, 24.8, 24.6, 24.3, 24.0, 250)
GROOVE = (250, 33.0, 30.5, 28.9, 27.8, 26.8, 26.0, 26.0, 26.0, 26.0, 26.0, 26.0, 26.0, 26.0, 250)
RIDGES_X = (-15.0, -2.0, 12.0)  # lateral ridge, groove and medial ridge of the trochlea
CONDYLES_X = (-21.5, 22.5)
CORONAL_RADIUS_MM = 16.5


def femur(scale: float, clouds: Float32) -> Field:
    """Distance to the bone's surface; clouds (z, y, x) on its grid roughen it by a few tenths of a mm."""
    hull = loft(GRID, outlines("bones", "femur"), scale).values
    solid = smooth_max(hull, articular(scale), 3.0 * scale) + 0.25 * clouds
    return Field(GRID, as_distance(solid, GRID.spacing))


def articular(scale: float) -> Float32:
    """Height (z, y, x) above the joint surface of trochlea and condyles, mm, as if there were no notch."""
    x, y, z = (axis / np.float32(scale) for axis in GRID.mesh())
    radius = np.hypot(y, z)
    angle = angle_deg(y, z)
    medial, lateral, groove = (
        np.interp(angle, ANGLES_DEG, table).astype(np.float32) for table in (MEDIAL, LATERAL, GROOVE)
    )
    front = smooth_step(np.asarray((70 - angle) / 45, np.float32))
    surface = front * _trochlea(x, medial, lateral, groove) + (1 - front) * _condyles(x, medial, lateral)
    return (scale * (radius - surface)).astype(np.float32)


def angle_deg(y: Float32, z: Float32) -> Float32:
    """From the front (0) over the joint (90) to the back (180); -90 and 270 are up."""
    angle = np.degrees(np.arctan2(-z, y))
    return np.asarray(np.where(angle < -90, angle + 360, angle), np.float32)


def smooth_step(t: Float32) -> Float32:
    """From 0 at t = 0 to 1 at t = 1, level at both."""
    inside = np.clip(t, 0, 1)
    return np.asarray(inside * inside * (3 - 2 * inside), np.float32)


def _trochlea(x: Float32, medial: Float32, lateral: Float32, groove: Float32) -> Float32:
    left, middle, right = RIDGES_X
    to_lateral = smooth_step((middle - x) / (middle - left))
    to_medial = smooth_step((x - middle) / (right - middle))
    valley = groove + (lateral - groove) * to_lateral + (medial - groove) * to_medial
    beyond = np.maximum(left - x, 0) + np.maximum(x - right, 0)
    return valley - beyond**2 / (2 * 34.0)


def _condyles(x: Float32, medial: Float32, lateral: Float32) -> Float32:
    tops = (
        lateral - (x - CONDYLES_X[0]) ** 2 / (2 * CORONAL_RADIUS_MM),
        medial - (x - CONDYLES_X[1]) ** 2 / (2 * CORONAL_RADIUS_MM),
    )
    return np.maximum(*tops)
