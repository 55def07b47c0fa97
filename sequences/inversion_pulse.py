"""Adiabatic inversion by a hyperbolic secant: of a slice before its excitation (STIR), or of fat alone (SPAIR).

    B1(t) = A sech(βt) exp(iμ ln sech(βt)),     bandwidth = μβ/π

The frequency sweeps through the band, so that everything in it is inverted whatever B1 is, once A is large enough. In its
middle about 2 exp(π (√(μ² - (2πA/β)²) - μ)) is left over, without relaxation; A is the smallest that makes it 0.5 %. The band
of fat is as wide as it can be without touching water.

Silver 1985, doi:10.1103/PhysRevA.31.2753.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from knerve.sequences.fat import fat_shift_hz
from knerve.sequences.quantities import GAMMA_HZ_PER_T, refuse
from knerve.sequences.sections import Sections

Complex = NDArray[np.complex128]

SAMPLE_S = 20e-6  # finer than any turn of a sweep of some kHz
INVERTED_SLICE = 1.3  # over the excited one, so that the transition of the inversion lies outside
CUT_OFF = 0.04  # of the peak, where the secant is cut
LEFT_OVER = 0.005  # of the magnetisation, in the middle of the band
WATER_TRANSITION = 0.61  # half the width of the transition at water in units of β in Hz; water loses less than 1 %
LEAST_SWEEP = 1.0  # μ below which a secant inverts nothing


@dataclass(frozen=True, eq=False)
class InversionPulse:
    """An inversion pulse.

    Attributes:
        b1_hz: complex (sample): γ B1 / 2π, held for a sample each.
        duration_s: of the whole.
        bandwidth_hz: of the inverted band, at half inversion.
        centre_hz: of the band against water.
        is_selective: played with the gradient of the excitation.
    """

    b1_hz: Complex
    duration_s: float
    bandwidth_hz: float
    centre_hz: float
    is_selective: bool

    @property
    def peak_b1_ut(self) -> float:
        """Largest B1 in µT."""
        return float(np.abs(self.b1_hz).max()) / GAMMA_HZ_PER_T * 1e6

    @property
    def energy_ut2_s(self) -> float:
        """∫ B1² dt in µT² s."""
        b1_ut = np.abs(self.b1_hz) / GAMMA_HZ_PER_T * 1e6
        return float(np.sum(b1_ut**2)) * self.duration_s / len(b1_ut)


def inversion_pulse(protocol: Sections) -> InversionPulse | None:
    """The inversion of a protocol; None where it has none.

    Raises:
        ProtocolError: the pulse is too short to invert fat and leave water alone.
    """
    asked = protocol.fat_suppression
    if asked.method == "none":
        return None
    if asked.method == "stir":
        excited_hz = protocol.pulses.excitation_time_bandwidth / protocol.pulses.excitation_duration_s
        return _secant(asked.inversion_duration_s, INVERTED_SLICE * excited_hz, 0.0, is_selective=True)
    shift_hz = fat_shift_hz(protocol.system.field_strength_t)
    bandwidth_hz = 2 * shift_hz - WATER_TRANSITION * _beta(asked.inversion_duration_s)
    if math.pi * bandwidth_hz < LEAST_SWEEP * _beta(asked.inversion_duration_s):
        least_s = 2 * math.acosh(1 / CUT_OFF) * (LEAST_SWEEP / math.pi + WATER_TRANSITION) / (2 * shift_hz)
        reason = "an inversion that short reaches from fat to water"
        nearest = math.ceil(least_s * 1e4) * 1e-4
        raise refuse("fat_suppression.inversion_duration_s", asked.inversion_duration_s, reason, nearest)
    return _secant(asked.inversion_duration_s, bandwidth_hz, -shift_hz, is_selective=False)


def _beta(duration_s: float) -> float:
    """β in 1/s of a secant that is cut off at the ends of the pulse."""
    return 2 * math.acosh(1 / CUT_OFF) / duration_s


@lru_cache(maxsize=64)
def _secant(duration_s: float, bandwidth_hz: float, centre_hz: float, *, is_selective: bool) -> InversionPulse:
    beta = _beta(duration_s)
    sweep = math.pi * bandwidth_hz / beta
    root = max(sweep + math.log(LEFT_OVER / 2) / math.pi, 0.0)
    amplitude_hz = beta * math.sqrt(sweep**2 - root**2) / (2 * math.pi)
    n_samples = round(duration_s / SAMPLE_S)
    times_s = ((np.arange(n_samples) + 0.5) / n_samples - 0.5) * duration_s
    envelope = 1 / np.cosh(beta * times_s)
    b1_hz = np.asarray(amplitude_hz * envelope * np.exp(1j * sweep * np.log(envelope)), dtype=np.complex128)
    b1_hz.setflags(write=False)
    return InversionPulse(b1_hz, duration_s, bandwidth_hz, centre_hz, is_selective)
