"""The tibia's upper end with its plateau, the fibula's head and the patella."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.knee.fields import Field, Grid, as_distance, smooth_max
from knerve.datasets.knee.outlines import loft
from knerve.datasets.knee.shapes import outlines

Float32 = NDArray[np.float32]

TIBIA_GRID = Grid((-50.0, -40.0, -96.0), (50.0, 42.0, -12.0))
FIBULA_GRID = Grid((-56.0, -38.0, -96.0), (-18.0, 0.0, -34.0))
PATELLA_GRID = Grid((-36.0, 24.0, -26.0), (32.0, 66.0, 42.0))
SLOPE = 0.09  # of the plateau, down towards the back


def tibia(scale: float, clouds: Float32) -> Field:
    """Distance to the bone's surface."""
    hull = loft(TIBIA_GRID, outlines("bones", "tibia"), scale).values
    _, _, z = TIBIA_GRID.mesh()
    solid = smooth_max(hull, z - plateau(scale), 4.5 * scale) + 0.25 * clouds
    return Field(TIBIA_GRID, as_distance(solid, TIBIA_GRID.spacing))


def plateau(scale: float) -> Float32:
    """Height z (1, y, x) of the tibia's top: two shallow dishes, and the two spines between them."""
    x, y, _ = (axis / np.float32(scale) for axis in TIBIA_GRID.mesh())
    medial = -31.2 + ((x - 22) ** 2 + 0.7 * (y + 2) ** 2) / 200
    lateral = -29.2 + ((x + 21) ** 2 - 0.9 * (y + 3) ** 2) / 220
    share = 1 / (1 + np.exp(-x / 2.5))
    top = share * np.minimum(medial, -30.0) + (1 - share) * np.minimum(lateral, -28.0) + SLOPE * y
    spines = 8.5 * _bump(x - 5, y + 2, 3.0, 7.5) + 7.0 * _bump(x + 6, y + 5, 2.8, 6.5)
    return (scale * (top + spines)).astype(np.float32)


def fibula(scale: float, clouds: Float32) -> Field:
    """Distance to the bone's surface."""
    shaft = loft(FIBULA_GRID, outlines("bones", "fibula"), scale).values
    _, _, z = FIBULA_GRID.mesh()
    return Field(FIBULA_GRID, smooth_max(shaft, z + np.float32(41.5 * scale), 2.0) + 0.2 * clouds)


def patella(scale: float, clouds: Float32) -> Field:
    """Distance to the bone's surface."""
    body = loft(PATELLA_GRID, outlines("bones", "patella"), scale).values
    _, _, z = PATELLA_GRID.mesh()
    ends = np.abs(z - np.float32(7.0 * scale)) - np.float32(23.5 * scale)
    return Field(PATELLA_GRID, as_distance(smooth_max(body, ends, 2.5) + 0.2 * clouds, PATELLA_GRID.spacing))


def _bump(x: Float32, y: Float32, width: float, length: float) -> Float32:
    return np.exp(-0.5 * ((x / width) ** 2 + (y / length) ** 2))
