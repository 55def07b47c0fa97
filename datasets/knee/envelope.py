"""Skin and deep fascia: the leg's outline, and the subcutaneous fat between the two."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.knee.fields import Field, Grid, as_distance
from knerve.datasets.knee.noise import clouds_on
from knerve.datasets.knee.outlines import loft
from knerve.datasets.knee.shapes import drawing, outlines

Float32 = NDArray[np.float32]

GRID = Grid((-86.0, -86.0, -96.0), (88.0, 88.0, 96.0), (2.0, 2.0, 3.0))


def skin(scale: float, clouds: Float32) -> Field:
    """Distance to the skin's outer surface."""
    body = loft(GRID, outlines("envelope", "skin"), scale)
    return Field(GRID, body.values + 0.5 * clouds_on(GRID, clouds, 22.0, 1.0, flatten=2.0))


def deep_fascia(body: Field, scale: float, clouds: Float32) -> Field:
    """Distance to the deep fascia: the skin, moved in by the thickness of the subcutaneous fat."""
    x, y, _ = GRID.mesh()
    thickness = np.asarray(drawing("envelope")["fat"], float)
    angles = 2 * np.pi * np.arange(len(thickness) + 1) / len(thickness)
    around = np.arctan2(x, y) % (2 * np.pi)
    fat = np.interp(around, angles, np.append(thickness, thickness[0])).astype(np.float32)
    uneven = 1 + 0.10 * clouds_on(GRID, clouds, 18.0, 2.0, flatten=1.5)
    return Field(GRID, as_distance(body.values + scale * fat * uneven, GRID.spacing, n_steps=4))
