"""Full width at half maximum of sampled curves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]


def full_width_half_maximum(curves: Real, step: float) -> Real:
    """Width (...) of the main peak of each curve (..., sample), in the unit of `step`; straight lines between the samples.

    It runs from the maximum to the first fall below half on either side; nan where a curve does not fall that far.
    """
    flat = np.abs(np.asarray(curves, dtype=np.float64)).reshape(-1, np.shape(curves)[-1])
    peak = flat.argmax(axis=1)
    return (
        np.array(
            [_to_half(curve[top:]) + _to_half(curve[top::-1]) for curve, top in zip(flat, peak, strict=True)]
        ).reshape(np.shape(curves)[:-1])
        * step
    )


def _to_half(falling: Real) -> float:
    """Samples from the first one to where the curve crosses half of it."""
    half = falling[0] / 2
    below = int(np.argmax(falling < half))
    if below == 0:
        return float("nan")
    return float(below - 1 + (falling[below - 1] - half) / (falling[below - 1] - falling[below]))
