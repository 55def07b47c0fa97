"""Peripheral nerve stimulation by the SAFE model: how close gradient switching comes to being felt.

Each axis filters its slew rate s(t) with three RC low-passes and weighs them; the axes add as squares:

    stimulation = g_scale / limit · (a1 |LP(s, τ1)| + a2 LP(|s|, τ2) + a3 |LP(s, τ3)|),    1 is the limit

The coefficients of real scanners are confidential. The set here belongs to no scanner, so its result shows the method and
compares sequences; it is reported as "not evaluated" unless the user brings coefficients.

Hebrank and Gebhardt, ISMRM 2000, abstract 2007; example coefficients: Szczepankiewicz and Witzel, safe_pns_prediction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knerve.sequences.errors import ProtocolError
from knerve.sequences.safety import Check

Real = NDArray[np.float64]


@dataclass(frozen=True)
class SafeAxis:
    """Coefficients of one gradient axis.

    Attributes:
        tau_ms: time constants of the three filters.
        weight: their weights, which sum to 1.
        limit_t_per_m_per_s: slew rate that stimulates.
        scale: geometry factor of the coil.
    """

    tau_ms: tuple[float, float, float]
    weight: tuple[float, float, float]
    limit_t_per_m_per_s: float
    scale: float

    def __post_init__(self) -> None:
        """Refuse coefficients that the model cannot mean."""
        if abs(sum(self.weight) - 1) > 1e-3 or min(self.tau_ms) <= 0 or self.limit_t_per_m_per_s <= 0:
            raise ProtocolError(
                f"SAFE coefficients need weights that sum to 1, positive times and a positive limit: {self}."
            )


@dataclass(frozen=True)
class SafeHardware:
    """A gradient system; `is_real` says whether the coefficients are those of a scanner."""

    name: str
    x: SafeAxis
    y: SafeAxis
    z: SafeAxis
    is_real: bool = True

    @property
    def memory_s(self) -> float:
        """The longest time constant of all filters."""
        return max(max(axis.tau_ms) for axis in (self.x, self.y, self.z)) * 1e-3


EXAMPLE_HARDWARE = SafeHardware(
    "example hardware (no real scanner)",
    SafeAxis((0.20, 0.03, 3.00), (0.40, 0.10, 0.50), 30.0, 0.35),
    SafeAxis((1.50, 2.50, 0.15), (0.55, 0.15, 0.30), 15.0, 0.31),
    SafeAxis((2.00, 0.12, 1.00), (0.42, 0.40, 0.18), 25.0, 0.25),
    is_real=False,
)


def stimulation(waveform_mt_per_m: Real, raster_s: float, hardware: SafeHardware) -> Real:
    """Stimulation (axis, sample - 1) as a fraction of the limit; the waveform (axis, sample) starts from rest.

    Raises:
        ProtocolError: the waveform does not have three axes.
    """
    waveform = np.asarray(waveform_mt_per_m, dtype=np.float64)
    if waveform.ndim != 2 or waveform.shape[0] != 3 or not raster_s > 0:
        raise ProtocolError(
            f"A waveform of shape {waveform.shape} at a raster of {raster_s:g} s came; expected (3, sample) and a time."
        )
    slew = np.diff(waveform, axis=1) * 1e-3 / raster_s
    axes = (hardware.x, hardware.y, hardware.z)
    return np.stack([_axis_stimulation(s, raster_s, axis) for s, axis in zip(slew, axes, strict=True)])


def check_pns(waveform_mt_per_m: Real | None, raster_s: float, hardware: SafeHardware | None) -> Check:
    """Worst moment of a waveform, which should be the whole scan: later phase-encoding steps stimulate more than the first."""
    if waveform_mt_per_m is None or hardware is None:
        missing = "a gradient waveform" if waveform_mt_per_m is None else "SAFE coefficients of the scanner"
        return Check("nerve stimulation (SAFE)", "of the limit", None, 1.0, f"needs {missing}")
    worst = float(np.sqrt((stimulation(waveform_mt_per_m, raster_s, hardware) ** 2).sum(axis=0)).max(initial=0.0))
    return Check("nerve stimulation (SAFE)", "of the limit", worst, 1.0 if hardware.is_real else None, hardware.name)


def _axis_stimulation(slew: Real, raster_s: float, axis: SafeAxis) -> Real:
    first, second, third = (tau_ms * 1e-3 for tau_ms in axis.tau_ms)
    mixed = (
        axis.weight[0] * np.abs(_low_pass(slew, first, raster_s))
        + axis.weight[1] * _low_pass(np.abs(slew), second, raster_s)
        + axis.weight[2] * np.abs(_low_pass(slew, third, raster_s))
    )
    return np.asarray(mixed * axis.scale / axis.limit_t_per_m_per_s)


def _low_pass(values: Real, tau_s: float, raster_s: float) -> Real:
    """y_n = α x_n + (1 - α) y_(n-1), α = raster / (τ + raster): sums of 1, 2, 4, ... samples, each from two of the last."""
    alpha = raster_s / (tau_s + raster_s)
    filtered = alpha * values
    reach, decay = 1, 1 - alpha
    while reach < len(values) and decay > 1e-18:
        filtered[reach:] = filtered[reach:] + decay * filtered[:-reach]
        reach, decay = 2 * reach, decay * decay
    return filtered
