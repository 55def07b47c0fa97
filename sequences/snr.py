"""Signal-to-noise ratio of a protocol relative to another one.

    SNR ∝ B0 · V_eff · S · sqrt(time spent sampling one slice) / g,    V_eff = read x phase x effective thickness

The time is lines x averages x duration of a readout: phase oversampling and repeated averages are worth the same. S is the
signal of a tissue at TE as the phase graph gives it, so that T1, T2, refocusing and slice profile are in it. g is the
noise amplification of linear parallel imaging with the user's coil; compressed sensing and learned reconstructions have
no g, their noise is measured on the images. That SNR is linear in B0 holds for sample noise (Edelstein 1986).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from knerve.sequences.errors import ProtocolError


@dataclass(frozen=True)
class SnrTerms:
    """What the SNR of one tissue in one slice depends on.

    Attributes:
        voxel_mm: acquired voxel along read and phase.
        thickness_mm: of the slice; the effective one, where the signal is per volume of the nominal one the nominal.
        n_lines: phase-encoding lines sampled per average.
        n_averages: times that many lines.
        readout_s: duration of one readout.
        signal: of the tissue at the echo time, in units of M0 of water.
        field_t: main field.
        g_factor: noise amplification of parallel imaging, 1 without.
    """

    voxel_mm: tuple[float, float]
    thickness_mm: float
    n_lines: int
    n_averages: float
    readout_s: float
    signal: float = 1.0
    field_t: float = 3.0
    g_factor: float = 1.0

    @property
    def value(self) -> float:
        """SNR in arbitrary units; only ratios mean anything."""
        volume_mm3 = math.prod(self.voxel_mm) * self.thickness_mm
        sampling_s = self.n_lines * self.n_averages * self.readout_s
        return self.field_t * volume_mm3 * self.signal * math.sqrt(sampling_s) / self.g_factor


def relative_snr(terms: SnrTerms, reference: SnrTerms) -> float:
    """SNR over that of a reference protocol; 1 is equal.

    Raises:
        ProtocolError: a term is not positive.
    """
    for name, each in (("protocol", terms), ("reference", reference)):
        if not (math.isfinite(each.value) and each.value > 0):
            raise ProtocolError(
                f"The SNR of the {name} is {each.value:g}; voxel, times, signal, field and g must be positive: {each}."
            )
    return terms.value / reference.value
