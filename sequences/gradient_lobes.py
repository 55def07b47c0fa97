"""Gradient lobes of a given area and duration, as gentle as they can be.

A lobe runs from one amplitude over a plateau to another, its two ramps of equal length. Short ramps need slew rate, long ones
amplitude; of all ramps on the raster the one is taken that comes least close to either limit, because lobes of three axes add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from knerve.sequences.errors import ProtocolError
from knerve.sequences.rasters import RASTER_S

ROUNDING = 1e-9  # of the fraction of a limit


@dataclass(frozen=True)
class Limits:
    """What one gradient axis can do, in Hz/m and Hz/m/s."""

    gradient: float
    slew: float


@dataclass(frozen=True)
class Lobe:
    """A gradient that runs from one amplitude over a plateau to another.

    Attributes:
        start: amplitude at its beginning, in Hz/m; `plateau` and `end` follow.
        ramp_s: duration of either ramp.
        duration_s: of the whole.
    """

    start: float
    plateau: float
    end: float
    ramp_s: float
    duration_s: float

    @property
    def backwards(self) -> Lobe:
        """The same in reversed time."""
        return Lobe(self.end, self.plateau, self.start, self.ramp_s, self.duration_s)

    @property
    def points(self) -> tuple[list[float], list[float]]:
        """Times in s and amplitudes in Hz/m of the corners."""
        times = [0.0, self.ramp_s, self.duration_s - self.ramp_s, self.duration_s]
        return times, [self.start, self.plateau, self.plateau, self.end]


def lobe(area: float, start: float, end: float, n_ticks: int, limits: Limits) -> Lobe:
    """The gentlest lobe of an area in 1/m that lasts `n_ticks` steps of the raster.

    Raises:
        ProtocolError: there is none within the limits.
    """
    gentlest = _gentlest(area, start, end, n_ticks, limits)
    if gentlest is None:
        raise ProtocolError(
            f"No gradient within the limits has an area of {area:g} 1/m in {n_ticks * RASTER_S * 1e3:g} ms."
        )
    ramp, plateau = gentlest
    return Lobe(start, plateau, end, ramp * RASTER_S, n_ticks * RASTER_S)


@lru_cache(maxsize=256)
def shortest_lobe(area: float, start: float, end: float, limits: Limits, at_least: int = 3) -> int:
    """Raster steps of the shortest lobe of an area that lasts `at_least` so many; `start` and `end` lie within the limits."""
    n_ticks = max(at_least, 3)
    while _gentlest(area, start, end, n_ticks, limits) is None:
        n_ticks += 1
    return n_ticks


def shortest_ramp(gradient: float, limits: Limits) -> int:
    """Raster steps of the shortest ramp to an amplitude."""
    return int(np.ceil(abs(gradient) / limits.slew / RASTER_S - ROUNDING))


def _gentlest(area: float, start: float, end: float, n_ticks: int, limits: Limits) -> tuple[int, float] | None:
    """Ramp in raster steps and plateau in Hz/m of the lobe that comes least close to a limit; None over all of them."""
    ramps = np.arange(1, (n_ticks - 1) // 2 + 1)
    plateaus = (area - (start + end) * ramps * RASTER_S / 2) / ((n_ticks - ramps) * RASTER_S)
    steepest = np.maximum(np.abs(plateaus - start), np.abs(plateaus - end)) / (ramps * RASTER_S)
    stress = np.maximum(np.abs(plateaus) / limits.gradient, steepest / limits.slew)
    best = int(np.argmin(stress))
    return (int(ramps[best]), float(plateaus[best])) if stress[best] <= 1 + ROUNDING else None
