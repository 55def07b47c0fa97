"""Resolution from two images: up to which spatial frequency they agree, along the phase encodes and along the readout.

    FRC(f) = Re Σ A B* / √(Σ|A|² Σ|B|²)        sums over a ring of spatial frequencies, or a sector of it

Of two reconstructions of independent noise it tells what can be reproduced; of one and the truth, what is right. Saxton and
Baumeister 1982, doi:10.1111/j.1365-2818.1982.tb00405.x; the threshold of 1/7: Rosenthal and Henderson 2003,
doi:10.1016/j.jmb.2003.07.013.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]

THRESHOLD = 1 / 7
HALF_ANGLE_DEG = 30.0
RING_WIDTH = 2.0  # samples of the coarser axis


def ring_correlation(
    first: Float,
    second: Float,
    pixel_mm: tuple[float, float],
    direction: Literal["y", "x", "all"] = "all",
) -> tuple[Float, Float]:
    """Spatial frequencies in line pairs per mm, (ring), and the correlation on each, -1 to 1.

    A Hann window keeps the edges of the images from correlating.

    Args:
        first: image (y, x).
        second: same shape.
        pixel_mm: along y and x.
        direction: rings as a whole, or sectors of 30 degrees to both sides of one axis.

    Raises:
        ValueError: different shapes.
    """
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(f"the images have the shapes {first.shape} and {second.shape}; expected one shape (y, x).")
    window = np.outer(*(np.hanning(n + 2)[1:-1] for n in first.shape))
    a, b = (np.fft.fft2((each - each.mean()) * window) for each in (first, second))
    frequency_y, frequency_x = np.meshgrid(
        *(np.fft.fftfreq(n, d) for n, d in zip(first.shape, pixel_mm, strict=True)), indexing="ij"
    )
    radius = np.hypot(frequency_y, frequency_x)
    width = RING_WIDTH * max(1 / (n * d) for n, d in zip(first.shape, pixel_mm, strict=True))
    highest = min(0.5 / d for d in pixel_mm) if direction == "all" else 0.5 / pixel_mm["yx".index(direction)]
    along = {"y": frequency_y, "x": frequency_x, "all": radius}[direction]
    in_sector = np.abs(along) >= np.cos(np.deg2rad(HALF_ANGLE_DEG)) * radius if direction != "all" else radius >= 0
    ring = np.floor(radius / width).astype(int)
    n_rings = int(highest / width)
    counted = in_sector & (ring < n_rings) & (radius > 0)

    def summed(values: Float) -> Float:
        return np.bincount(ring[counted], weights=values[counted], minlength=n_rings).astype(np.float64)

    cross, power_a, power_b = summed((a * b.conj()).real), summed(np.abs(a) ** 2), summed(np.abs(b) ** 2)
    correlation = cross / np.sqrt(np.maximum(power_a * power_b, 1e-300))
    return (np.arange(n_rings) + 0.5) * width, correlation


def resolved(frequency: Float, correlation: Float, threshold: float = THRESHOLD) -> float:
    """Line pairs per mm at which the correlation first falls below the threshold; the highest ring where it never does."""
    below = np.flatnonzero(correlation < threshold)
    if len(below) == 0:
        return float(frequency[-1])
    i = int(below[0])
    if i == 0:
        return 0.0
    share = (correlation[i - 1] - threshold) / (correlation[i - 1] - correlation[i])
    return float(frequency[i - 1] + share * (frequency[i] - frequency[i - 1]))
