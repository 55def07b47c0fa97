"""Smooth complex maps of a plane, computed on a coarse grid and wanted on finer ones, shifted ones too.

Cubic convolution (Keys 1981, doi:10.1109/TASSP.1981.1163711) along both axes, as two matrix products.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Real = NDArray[np.float64]

STEP_MM = 3.0  # coil sensitivities inside the leg change by percents over it
BORDER = 2  # grid points beyond what is wanted: the reach of the interpolation


@dataclass(frozen=True)
class SmoothMaps:
    """Maps `values (map, y, x)` complex64 at the evenly spaced places `x_mm (x,)` and `y_mm (y,)`."""

    values: Tensor
    x_mm: Real
    y_mm: Real

    @classmethod
    def computed(
        cls, maps_at: Callable[[Real, Real], Tensor], x_mm: Real, y_mm: Real, around_mm: float = 0.0
    ) -> SmoothMaps:
        """Maps for every raster within `around_mm` of the one of `x_mm` and `y_mm`; `maps_at` gives them on a grid."""
        coarse_x, coarse_y = _coarse(x_mm, around_mm), _coarse(y_mm, around_mm)
        return cls(maps_at(coarse_x, coarse_y), coarse_x, coarse_y)

    def at(self, x_mm: Real, y_mm: Real) -> Tensor:
        """Maps (map, y, x) on another raster."""
        return _weights(self.y_mm, y_mm) @ (self.values @ _weights(self.x_mm, x_mm).T)


def _coarse(fine_mm: Real, around_mm: float) -> Real:
    low, high = fine_mm[0] - around_mm, fine_mm[-1] + around_mm
    n = math.ceil((high - low) / STEP_MM) + 1
    return np.asarray(low + STEP_MM * np.arange(-BORDER, n + BORDER))


def _weights(coarse_mm: Real, wanted_mm: Real) -> Tensor:
    """Matrix (wanted, coarse) of cubic convolution."""
    distance = np.abs(wanted_mm[:, None] - coarse_mm) / (coarse_mm[1] - coarse_mm[0])
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    weights = np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
    return torch.from_numpy(weights).to(torch.complex64)
