"""A smooth field over the patient, as shimming and transmit coils leave it: a random polynomial of second order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.scan_plane import Vector

Real = NDArray[np.float64]

REACH_MM = 75.0  # the knee
N_TERMS = 9


@dataclass(frozen=True, eq=False)
class SmoothField:
    """A field that reaches 1 or -1 at most within `REACH_MM` of `centre_mm`; `terms (9,)` of the polynomial."""

    centre_mm: Vector
    terms: Real

    @classmethod
    def random(cls, centre_mm: Vector, random: np.random.Generator) -> SmoothField:
        """Draw a field."""
        drawn = random.standard_normal(N_TERMS)
        axis = np.linspace(-1, 1, 15)
        unit = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
        ball = unit[(unit**2).sum(axis=1) <= 1]
        return cls(centre_mm, drawn / np.abs(_terms(ball) @ drawn).max())

    def at(self, points_mm: Real) -> Real:
        """Values (...) at patient coordinates (..., 3); beyond its reach the field stays as at its edge."""
        place = (points_mm - np.asarray(self.centre_mm)) / REACH_MM
        distance = np.maximum(np.linalg.norm(place, axis=-1, keepdims=True), 1.0)
        return np.asarray(_terms(place / distance) @ self.terms)


def _terms(place: Real) -> Real:
    """(..., 9): linear and quadratic terms."""
    x, y, z = np.moveaxis(place, -1, 0)
    return np.stack([x, y, z, x * x, y * y, z * z, x * y, x * z, y * z], axis=-1)
