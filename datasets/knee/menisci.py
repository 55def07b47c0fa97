"""The menisci: wedges between the cartilages, thick at the rim, sharp towards the middle of each compartment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.knee.fields import Field, smooth_max
from knerve.datasets.knee.tibia import plateau

Float32 = NDArray[np.float32]

# centre x, y; half axes of the outer rim; width of the wedge; half angle in degrees of the gap that faces the spines
MEDIAL = (19.5, -2.0, 18.5, 23.5, 9.5, 52.0)
LATERAL = (-19.0, -3.5, 18.5, 20.5, 10.0, 34.0)
RIM_HEIGHT_MM = 6.2


def menisci(tibial: Field, femoral: Field, scale: float) -> tuple[Field, Field]:
    """Medial and lateral meniscus, from the distances to both cartilages on the tibia's grid."""
    femur_there = femoral.onto(tibial.grid)
    return _meniscus(tibial, femur_there, scale, MEDIAL), _meniscus(tibial, femur_there, scale, LATERAL)


def _meniscus(tibial: Field, femur_there: Float32, scale: float, ring: tuple[float, ...]) -> Field:
    centre_x, centre_y, half_x, half_y, width, gap_deg = ring
    x, y, z = (axis / np.float32(scale) for axis in tibial.grid.mesh())
    dx, dy = x - centre_x, y - centre_y
    angle = np.arctan2(dy / half_y, np.abs(dx) / half_x * np.sign(dx) * np.sign(centre_x))
    radius = np.hypot(dx / half_x, dy / half_y)
    local = np.hypot(half_x * np.cos(angle), half_y * np.sin(angle))
    outside = (radius - 1) * local  # of the rim; -width at the free edge
    facing = np.degrees(np.abs(angle))
    opened = (facing - (180 - gap_deg)) * np.pi / 180 * local * np.minimum(radius, 1.2)
    height = RIM_HEIGHT_MM * (outside + width) / width
    above_tibia = z - plateau(1.0) - 2.4
    wedge = np.maximum(-outside - width, (above_tibia - height) * 0.8)
    wedge = np.maximum(wedge, -above_tibia - 0.8)
    wall = outside + 0.12 * np.abs(above_tibia - 3.0)  # the rim bulges a little
    shape = np.maximum(smooth_max(wedge, wall, 1.0), opened)
    shape = np.maximum(shape, -tibial.values / scale + 0.15)
    shape = np.maximum(shape, -femur_there / scale + 0.15)
    return Field(tibial.grid, (scale * shape).astype(np.float32))
