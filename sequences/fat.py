"""Fat: where it goes, because it precesses more slowly than water, and when it passes through zero after an inversion.

Signs follow the main peak: 3.4 ppm below water. Displacements are magnitudes; the direction is that of the gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from knerve.sequences.errors import ProtocolError
from knerve.sequences.quantities import GAMMA_HZ_PER_T

FAT_WATER_PPM = 3.4


@dataclass(frozen=True)
class FatPeak:
    """One line of the spectrum of fat: its place on the scale with water at 4.7 ppm, and its share of the protons."""

    ppm: float
    share: float


# Hamilton 2011, doi:10.1002/nbm.1622, and Ren 2008, doi:10.1194/jlr.D800010-JLR200: from memory, rounded, to be checked
# before quantitative use; the shares are normalised where they are used.
FAT_SPECTRUM = (
    FatPeak(5.3, 0.05),
    FatPeak(4.2, 0.04),
    FatPeak(2.75, 0.01),
    FatPeak(2.1, 0.12),
    FatPeak(1.3, 0.70),
    FatPeak(0.9, 0.09),
)


def fat_shift_hz(field_t: float) -> float:
    """Frequency of water minus that of the main fat peak."""
    return FAT_WATER_PPM * 1e-6 * GAMMA_HZ_PER_T * field_t


def water_fat_shift_px(field_t: float, bandwidth_hz_per_px: float) -> float:
    """Displacement of fat along the read direction in pixels."""
    return fat_shift_hz(field_t) / _positive("The readout bandwidth per pixel", bandwidth_hz_per_px, "Hz")


def read_displacement_mm(field_t: float, bandwidth_hz_per_px: float, voxel_mm: float) -> float:
    """Displacement of fat along the read direction."""
    return water_fat_shift_px(field_t, bandwidth_hz_per_px) * voxel_mm


def slice_displacement_mm(field_t: float, rf_bandwidth_hz: float, thickness_mm: float) -> float:
    """Displacement of the fat slice along the slice direction, for a pulse of this bandwidth and slice thickness."""
    return fat_shift_hz(field_t) / _positive("The bandwidth of the RF pulse", rf_bandwidth_hz, "Hz") * thickness_mm


def stir_null_s(
    t1_s: float,
    repetition_time_s: float = math.inf,
    train_s: float = 0.0,
    efficiency: float = 1.0,
    mz_after_train: float = 0.0,
) -> float:
    """Inversion time TI at which a tissue gives no signal.

        TI = T1 ln[(1 + f) / (1 + f (1 - m) exp(-(TR - train)/T1))]

    with the inversion efficiency f and m = Mz/M0 at the last echo. At the null nothing is excited, so m is what recovers
    during the train whatever TI is: `ShotResponse.recovered`; 0 is a good guess for refocusing angles near 180 degrees.

    Raises:
        ProtocolError: there is no such time, or it does not fit into TR.
    """
    _positive("T1", t1_s, "s")
    if not 0 < efficiency <= 1:
        raise ProtocolError(f"The inversion efficiency is {efficiency:g}; it must lie above 0 and up to 1.")
    if not repetition_time_s > train_s >= 0:
        raise ProtocolError(f"TR {repetition_time_s:g} s must be longer than the echo train of {train_s:g} s.")
    remembered = efficiency * (1 - mz_after_train) * math.exp(-(repetition_time_s - train_s) / t1_s)
    null_s = t1_s * math.log((1 + efficiency) / (1 + remembered))
    if null_s > repetition_time_s - train_s:
        raise ProtocolError(
            f"The null of T1 {t1_s:g} s lies at {null_s:.4g} s, but TR {repetition_time_s:g} s leaves only "
            f"{repetition_time_s - train_s:.4g} s before the echo train of {train_s:g} s."
        )
    return null_s


def spair_null_s(t1_s: float, period_s: float, efficiency: float = 1.0) -> float:
    """Delay after a spectrally selective inversion at which fat is nulled, when it is inverted every `period_s`.

        TI = T1 ln[(1 + f) / (1 + f exp(-period/T1))]

    The excitations are on water, or meet fat at its null: fat recovers freely from inversion to inversion.
    """
    _positive("T1", t1_s, "s")
    _positive("The period of the inversions", period_s, "s")
    return t1_s * math.log((1 + efficiency) / (1 + efficiency * math.exp(-period_s / t1_s)))


def _positive(name: str, value: float, unit: str) -> float:
    if not value > 0:
        raise ProtocolError(f"{name} is {value:g} {unit}; it must be positive.")
    return value
