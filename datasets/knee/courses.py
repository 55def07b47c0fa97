"""The nerves of the knee with known courses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]


@dataclass(frozen=True)
class NerveCourse:
    """One nerve.

    Attributes:
        name: "superior-medial", "superior-lateral", "inferior-medial", "inferior-lateral" (genicular), "saphenous", "tibial" or
            "common peroneal".
        diameter_mm: mean of its two diameters.
        points_mm: centre line (point, 3) in patient coordinates (LPS).
        arc_length_mm: (point) from the first point.
    """

    name: str
    diameter_mm: float
    points_mm: Real
    arc_length_mm: Real

    def point_at(self, arc_length_mm: float) -> Real:
        """Patient coordinates (3) at a distance along the nerve."""
        return np.array([np.interp(arc_length_mm, self.arc_length_mm, self.points_mm[:, i]) for i in range(3)])
