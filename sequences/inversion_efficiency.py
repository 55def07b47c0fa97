"""How well a pulse inverts: a Bloch simulation of its samples, with relaxation, at every frequency.

An efficiency f means that the pulse does what an instantaneous one in its middle would do that turns Mz into -f Mz, to
magnetisation that comes in equilibrium:

    Mz(end) = 1 - (1 + f) exp(-duration / 2 T1)

Over a slice the efficiency differs from place to place; the signal of the slice passes through zero where the mean says that is
weighed with the signal of each place.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from knerve.sequences.inversion_pulse import InversionPulse
from knerve.sequences.rf_pulse import RfPulse

Real = NDArray[np.float64]


def slice_efficiency(
    pulse: InversionPulse, excitation: RfPulse, place: Real, weight: Real, t1_s: Real, t2_s: Real
) -> Real:
    """Efficiency (tissue) of an inversion that is played with the gradient of the excitation.

    Args:
        pulse: the inversion.
        excitation: its bandwidth is that of the nominal slice.
        place: (place) in nominal slice thicknesses.
        weight: (tissue, place): signal that comes from there.
        t1_s: (tissue).
        t2_s: (tissue).
    """
    offsets_hz = tuple((place * excitation.bandwidth_hz).tolist())
    efficiency = inversion_efficiency(pulse, offsets_hz, tuple(t1_s.tolist()), tuple(t2_s.tolist()))
    total = weight.sum(axis=1)
    weight = np.where(total[:, None] > 0, weight, 1.0)  # a tissue without signal has no weights of its own
    return np.asarray((efficiency * weight).sum(axis=1) / weight.sum(axis=1))


@lru_cache(maxsize=32)
def inversion_efficiency(
    pulse: InversionPulse, offsets_hz: tuple[float, ...], t1_s: tuple[float, ...], t2_s: tuple[float, ...]
) -> Real:
    """Efficiency (tissue, offset) at frequencies relative to the middle of the pulse's band."""
    t1 = np.array(t1_s)[:, None]
    mz_end = simulate(pulse, np.array(offsets_hz)[None, :], t1, np.array(t2_s)[:, None])
    efficiency = np.asarray((1 - mz_end) * np.exp(pulse.duration_s / (2 * t1)) - 1)
    efficiency.setflags(write=False)
    return efficiency


def simulate(pulse: InversionPulse, offset_hz: Real, t1_s: Real, t2_s: Real, b1: float = 1.0, mz: float = 1.0) -> Real:
    """Mz/M0 at the end of a pulse that finds Mz = `mz` alone; the arrays broadcast, `b1` is a fraction of the nominal B1."""
    offset_hz, t1_s, t2_s = np.broadcast_arrays(offset_hz, t1_s, t2_s)
    step_s = pulse.duration_s / len(pulse.b1_hz)
    e1, e2 = np.exp(-step_s / t1_s), np.exp(-step_s / t2_s)
    transverse, along_z = np.zeros(offset_hz.shape, dtype=np.complex128), np.full(offset_hz.shape, float(mz))
    about_z = 2 * np.pi * offset_hz * step_s
    for b1_hz in pulse.b1_hz:
        about_xy = 2 * np.pi * b1_hz * b1 * step_s
        angle = np.sqrt(about_z**2 + abs(about_xy) ** 2)
        half_sinc = np.sinc(angle / (2 * np.pi)) / 2
        a, b = np.cos(angle / 2) - 1j * about_z * half_sinc, -1j * about_xy * half_sinc
        turned = a.conj() ** 2 * transverse - b**2 * transverse.conj() + 2 * a.conj() * b * along_z
        along_z = (np.abs(a) ** 2 - np.abs(b) ** 2) * along_z - 2 * ((a * b).conj() * transverse).real
        transverse, along_z = turned * e2, 1 - (1 - along_z) * e1
    return along_z
