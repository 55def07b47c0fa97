"""Joint fluid: films on the cartilage, the suprapatellar recess and the gutters beside the patella."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.knee.fields import Field, Grid
from knerve.datasets.knee.noise import clouds_on
from knerve.datasets.knee.outlines import Section, belly, loft

Float32 = NDArray[np.float32]

RECESS_GRID = Grid((-40.0, 18.0, 2.0), (40.0, 52.0, 76.0), (1.0, 1.0, 1.0))
RECESS: dict[float, Section] = {  # between the femur and the quadriceps tendon
    12: (-3, 37.0, 14, 0.7, 0, -3, 0),
    22: (-3, 38.5, 20, 1.3, 0, -6, 0),
    32: (-4, 38.5, 22, 2.2, 0, -7, 0),
    44: (-4, 38.0, 18, 1.9, 0, -5, 0),
    56: (-4, 38.0, 11, 0.8, 0, -2, 0),
}


def suprapatellar_recess(scale: float, fluid: float, clouds: Float32) -> Field:
    """The recess, thicker or thinner by `fluid` mm."""
    shape = loft(RECESS_GRID, {z: belly(section, 20) for z, section in RECESS.items()}, scale).values
    _, _, z = RECESS_GRID.mesh()
    ends = np.abs(z - np.float32(35 * scale)) - np.float32(24 * scale)
    uneven = 0.7 * clouds_on(RECESS_GRID, clouds, 7.0, 31.0)
    return Field(RECESS_GRID, np.maximum(shape - np.float32(fluid), ends) + uneven)


def half_space(point: tuple[float, float, float], normal: tuple[float, float, float], clouds: Float32) -> Field:
    """Distance to an uneven plane, negative on the side the normal points away from."""
    grid = Grid((-60.0, -60.0, -104.0), (60.0, 60.0, 104.0), (2.0, 2.0, 4.0))
    x, y, z = grid.mesh()
    length = float(np.linalg.norm(normal))
    height = normal[0] * (x - point[0]) + normal[1] * (y - point[1]) + normal[2] * (z - point[2])
    uneven = 1.3 * clouds_on(grid, clouds, 14.0, 41.0 + point[2]) + 0.5 * clouds_on(grid, clouds, 5.0, 42.0)
    return Field(grid, (height / np.float32(length)).astype(np.float32) + uneven)
