"""The field of a needle: a half-infinite magnetised cylinder, mm and tesla."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]

# Volume susceptibility against tissue (-9 ppm); Schenck 1996, doi:10.1118/1.597854, from memory.
SUSCEPTIBILITY: Mapping[str, float] = {"titanium": 191e-6, "nitinol": 254e-6, "steel": 4009e-6}


@dataclass(frozen=True)
class Shaft:
    """A metal shaft.

    Attributes:
        tip_mm: (3) patient coordinates.
        direction: (3) unit vector from the tip to the hub.
        radius_mm: of the metal.
        susceptibility: against tissue.
    """

    tip_mm: Real
    direction: Real
    radius_mm: float
    susceptibility: float


def field_t(shaft: Shaft, points_mm: Real, field_strength_t: float) -> Real:
    """Change (...) of the field along B0 (the patient's long axis) at points (..., 3); inside the metal, that of its surface.

    With b the unit vector of B0, d the shaft's, z along d and q across it from the axis, ρ = |q|, r² = ρ² + z², t = b - (b·d) d:
    ΔB/B0 = -χa²/4 { b·∇[(t·q)/ρ² (1 + z/r)] + (b·d) (b·x)/r³ }, which far behind the tip is χa²/2 sin²θ cos 2φ / ρ².
    """
    b, d, a = np.array([0.0, 0.0, 1.0]), shaft.direction, shaft.radius_mm
    x = points_mm - shaft.tip_mm
    z = x @ d
    q = x - z[..., None] * d
    rho = np.linalg.norm(q, axis=-1)
    outside = np.maximum(rho, a) / np.maximum(rho, 1e-9)
    q, rho = q * outside[..., None], np.maximum(rho, a)
    r = np.sqrt(rho**2 + z**2)
    cosine = float(b @ d)
    t = b - cosine * d
    across = q @ t
    line = (t @ t / rho**2 - 2 * across**2 / rho**4) * (1 + z / r)
    end = across / rho**2 * (cosine * rho**2 - z * across) / r**3
    charge = cosine * (across + cosine * z) / r**3
    return np.asarray(-0.25 * field_strength_t * shaft.susceptibility * a**2 * (line + end + charge))
