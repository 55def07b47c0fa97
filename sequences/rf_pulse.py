"""Slice-selective RF pulses by the Shinnar-Le Roux method, and what they do to magnetisation along the slice.

A pulse is designed for its flip angle as a linear-phase filter (SigPy) and, as on a scanner, scaled in amplitude when an echo
train asks for another angle; the rotation at each place then comes from its samples, so that the changed profile is seen.
The frequency axis is in units of the pulse's bandwidth: 0 is the middle and ±0.5 the nominal edge of the slice.

Pauly 1991, doi:10.1109/42.75611.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from knerve.sequences.errors import ProtocolError
from knerve.sequences.quantities import GAMMA_HZ_PER_T

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]

SAMPLE_S = 10e-6  # design raster: 256 samples for a usual pulse
RIPPLE = 0.01  # of the slice profile, in the passband and outside


@dataclass(frozen=True, eq=False)
class RfPulse:
    """An RF pulse played with a constant slice-selection gradient.

    Attributes:
        b1_hz: (sample), real: γ B1 / 2π in the middle of each sample.
        duration_s: of the whole pulse.
        flip_deg: on resonance.
        time_bandwidth: product of duration and bandwidth.
        rephasing: area of the gradient that rephases the slice after an excitation, as a fraction of the pulse's own.
    """

    b1_hz: Real
    duration_s: float
    flip_deg: float
    time_bandwidth: float
    rephasing: float = 0.5

    @property
    def bandwidth_hz(self) -> float:
        """Width of the slice in frequency."""
        return self.time_bandwidth / self.duration_s

    @property
    def peak_b1_ut(self) -> float:
        """Largest B1 in µT at the nominal flip angle."""
        return float(np.abs(self.b1_hz).max()) / GAMMA_HZ_PER_T * 1e6

    @property
    def energy_ut2_s(self) -> float:
        """∫ B1² dt in µT² s at the nominal flip angle; it goes with the square of the angle."""
        b1_ut = self.b1_hz / GAMMA_HZ_PER_T * 1e6
        return float(np.sum(b1_ut**2)) * self.duration_s / len(b1_ut)

    def spinors(self, place: Real, amplitude: Real | float = 1.0) -> tuple[Complex, Complex]:
        """Cayley-Klein parameters (a, b) of the whole rotation by pulse and gradient; arguments as in `spinor_steps`."""
        *_, whole = self.spinor_steps(place, amplitude)
        return whole

    def spinor_steps(self, place: Real, amplitude: Real | float = 1.0) -> Iterator[tuple[Complex, Complex]]:
        """Cayley-Klein parameters (a, b) of the rotation by pulse and gradient after each sample; B1 has the phase 0.

        Args:
            place: frequency over bandwidth; broadcasts against `amplitude`.
            amplitude: fraction of the nominal B1.
        """
        step_s = self.duration_s / len(self.b1_hz)
        amplitude = np.asarray(amplitude, dtype=np.float64)
        about_z = 2 * np.pi * np.asarray(place, dtype=np.float64) * self.bandwidth_hz * step_s
        shape = np.broadcast_shapes(np.shape(place), amplitude.shape)
        a, b = np.ones(shape, dtype=np.complex128), np.zeros(shape, dtype=np.complex128)
        for b1_hz in self.b1_hz:
            about_x = 2 * np.pi * b1_hz * amplitude * step_s
            half_sinc = np.sinc(np.hypot(about_x, about_z) / (2 * np.pi)) / 2
            step_a = np.cos(np.hypot(about_x, about_z) / 2) - 1j * about_z * half_sinc
            step_b = -1j * about_x * half_sinc
            a, b = step_a * a - np.conj(step_b) * b, step_b * a + np.conj(step_a) * b
            yield a, b


@lru_cache(maxsize=64)
def excitation_pulse(duration_s: float, time_bandwidth: float = 4.0, flip_deg: float = 90.0) -> RfPulse:
    """A slice excitation, with the rephasing gradient that its phase needs.

    Raises:
        ProtocolError: values that give no pulse.
    """
    b1_hz = _design("ex", duration_s, time_bandwidth, flip_deg)
    pulse = RfPulse(b1_hz, duration_s, flip_deg, time_bandwidth)
    place = np.linspace(-0.5, 0.5, 101)
    a, b = pulse.spinors(place)
    transverse = 2j * a.conj() * b
    slope_rad = np.angle(np.sum(transverse[1:] * transverse[:-1].conj())) / (place[1] - place[0])
    return RfPulse(
        b1_hz, duration_s, flip_deg, time_bandwidth, rephasing=float(slope_rad / (2 * np.pi * time_bandwidth))
    )


@lru_cache(maxsize=64)
def refocusing_pulse(duration_s: float, time_bandwidth: float = 4.0, flip_deg: float = 180.0) -> RfPulse:
    """A slice refocusing pulse, to be played between crushers.

    Raises:
        ProtocolError: values that give no pulse.
    """
    return RfPulse(_design("se", duration_s, time_bandwidth, flip_deg), duration_s, flip_deg, time_bandwidth)


def _design(kind: str, duration_s: float, time_bandwidth: float, flip_deg: float) -> Real:
    """Samples of a pulse in Hz: a filter for β, the minimum-phase α beside it, and the pulse that makes both."""
    if not (math.isfinite(duration_s) and 0.1e-3 <= duration_s <= 20e-3):
        raise ProtocolError(f"The RF pulse lasts {duration_s * 1e3:g} ms; it must last 0.1 to 20 ms.")
    if not 2 <= time_bandwidth <= 16:
        raise ProtocolError(
            f"The RF pulse has a time-bandwidth product of {time_bandwidth:g}; it must lie between 2 and 16."
        )
    if not 0 < flip_deg <= 180:
        raise ProtocolError(
            f"The RF pulse has a flip angle of {flip_deg:g} degrees; it must lie above 0 and up to 180."
        )
    slr = _sigpy_slr()
    n_samples = 2 * round(duration_s / SAMPLE_S / 2)
    _, passband, stopband = slr.calc_ripples(kind, RIPPLE, RIPPLE)
    low_pass = slr.dzls(n_samples, time_bandwidth, passband, stopband)
    beta = math.sin(math.radians(flip_deg) / 2) * low_pass / max(np.abs(np.fft.fft(low_pass, 16 * n_samples)))
    flips_rad = np.real(slr.b2rf(beta))
    flips_rad *= math.radians(flip_deg) / np.sum(flips_rad)
    return np.asarray(flips_rad * n_samples / (2 * np.pi * duration_s), dtype=np.float64)


def _sigpy_slr() -> ModuleType:
    try:
        from sigpy.mri.rf import slr
    except ImportError as error:
        raise ProtocolError("SigPy designs the RF pulses and is not installed; run `pip install sigpy`.") from error
    return slr
