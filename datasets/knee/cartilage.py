"""Cartilage of femur, tibia and patella: bone surfaces thickened where the bones meet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.knee import femur, tibia
from knerve.datasets.knee.fields import Field

Float32 = NDArray[np.float32]

# of the femur's cartilage by the angle from the front over the joint; -1 where it has ended
THICKNESS_MM = ((-38, -26, 0, 40, 90, 150, 196, 208), (-1, 2.4, 3.1, 2.8, 2.4, 2.1, 1.9, -1))


def femoral(bone: Field, scale: float) -> Field:
    """Distance to the cartilage's surface: 2 to 3 mm thick, gone on the sides and in the notch."""
    _, y, z = (axis / np.float32(scale) for axis in bone.grid.mesh())
    angle = femur.angle_deg(y, z)
    thick = np.interp(angle, *THICKNESS_MM).astype(np.float32)
    height = np.asarray(femur.articular(scale) / np.float32(scale), np.float32)
    on_joint = femur.smooth_step((height + np.float32(2.6)) / np.float32(2.0))
    return Field(bone.grid, (bone.values - scale * ((thick + 1) * on_joint - 1)).astype(np.float32))


def tibial(bone: Field, scale: float) -> Field:
    """Distance to the cartilage's surface: up to 2.6 mm on either side of the spines."""
    x, _, z = (axis / np.float32(scale) for axis in bone.grid.mesh())
    above = np.asarray((z - tibia.plateau(scale) / np.float32(scale) + 2.2) / 2.0, np.float32)
    aside = (np.abs(x) - np.float32(4.5)) / np.float32(6.0)
    thick = 3.6 * femur.smooth_step(above) * femur.smooth_step(aside) - 1
    return Field(bone.grid, (bone.values - scale * thick).astype(np.float32))


def patellar(bone: Field, scale: float) -> Field:
    """Distance to the cartilage's surface: 4 mm at the ridge, thinner towards the edges, none in front."""
    x, y, z = (axis / np.float32(scale) for axis in bone.grid.mesh())
    step = femur.smooth_step
    behind = step(np.asarray((42.9 - y + 0.04 * np.abs(x + 2)) / 4.0, np.float32))
    between = step(np.asarray((z + 8) / 7, np.float32)) * step(np.asarray((29 - z) / 6, np.float32))
    inside_edges = step(np.asarray((22.5 - np.abs(x + 2.5)) / 6, np.float32))
    return Field(bone.grid, (bone.values - scale * (5.2 * behind * between * inside_edges - 1)).astype(np.float32))
