"""What can be said about RF exposure and gradients before the scan, and what cannot.

This is a research calculation, not a safety clearance: the scanner's own monitors decide. There are no default limits. A
quantity without the input it needs, or without a limit to hold it against, is "not evaluated", which is never "pass".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from knerve.sequences.errors import ProtocolError
from knerve.sequences.rf_pulse import RfPulse

Real = NDArray[np.float64]
Verdict = Literal["pass", "fail", "not evaluated"]


@dataclass(frozen=True)
class Check:
    """One quantity against its limit.

    Attributes:
        name: what is checked.
        unit: of value and limit.
        value: None where it could not be computed.
        limit: None where the user gave none.
        note: assumptions, or what is missing.
    """

    name: str
    unit: str
    value: float | None = None
    limit: float | None = None
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        """A pass needs a finite value and a finite limit above it."""
        if self.value is None or self.limit is None or not (math.isfinite(self.value) and math.isfinite(self.limit)):
            return "not evaluated"
        return "pass" if self.value <= self.limit else "fail"


@dataclass(frozen=True)
class CheckResult:
    """A check as plain values: the quantity, its limit and the verdict, which is never "pass" where one of the two is missing."""

    name: str
    unit: str
    value: float | None
    limit: float | None
    verdict: Verdict
    note: str


def results(checks: Sequence[Check]) -> tuple[CheckResult, ...]:
    """Checks with their verdicts written out."""
    return tuple(CheckResult(each.name, each.unit, each.value, each.limit, each.verdict, each.note) for each in checks)


def overall(checks: Sequence[Check]) -> Verdict:
    """One failure fails; otherwise one check not evaluated leaves the whole not evaluated, and so does no check at all."""
    verdicts = {check.verdict for check in checks}
    if "fail" in verdicts:
        return "fail"
    return "pass" if verdicts == {"pass"} else "not evaluated"


def shot_energy_ut2_s(excitation: RfPulse, refocusing: RfPulse, train_deg: Sequence[float]) -> float:
    """∫ B1² dt of one shot in µT² s: an excitation and a refocusing pulse scaled to each angle."""
    scale = np.asarray(train_deg, dtype=np.float64) / refocusing.flip_deg
    return excitation.energy_ut2_s + refocusing.energy_ut2_s * float(np.sum(scale**2))


def b1_rms_ut(energy_ut2_s: float, duration_s: float) -> float:
    """B1+rms in µT: root of the mean square over a time, of all pulses in it (every slice, preparations too).

    Raises:
        ProtocolError: the time is not positive.
    """
    if not duration_s > 0:
        raise ProtocolError(f"B1+rms was asked for over {duration_s:g} s; give the time that the pulses repeat in, TR.")
    return math.sqrt(energy_ut2_s / duration_s)


def check_b1_rms(value_ut: float, limit_ut: float | None = None) -> Check:
    """B1+rms against the limit of an implant's label or of the user."""
    return Check("B1+rms", "µT", value_ut, limit_ut, "" if limit_ut is not None else "no limit was given")


def scaled_peak_ut(pulse: RfPulse, flip_deg: float) -> float:
    """Largest B1 in µT of a pulse that is scaled to a flip angle."""
    return pulse.peak_b1_ut * abs(flip_deg) / pulse.flip_deg


def check_peak_b1(peak_ut: float, limit_ut: float | None = None) -> Check:
    """Largest B1 of all pulses against what the transmitter gives."""
    return Check("peak B1", "µT", peak_ut, limit_ut, "" if limit_ut is not None else "no limit was given")


def check_sar(b1_rms: float, coil_w_per_kg_per_ut2: float | None = None, limit_w_per_kg: float | None = None) -> Check:
    """SAR as k B1+rms², where k belongs to one coil, one landmark and one patient, and only the user can give it."""
    if coil_w_per_kg_per_ut2 is None:
        return Check("SAR", "W/kg", None, limit_w_per_kg, "needs k in W/kg/µT² of this transmit coil and landmark")
    return Check(
        "SAR",
        "W/kg",
        coil_w_per_kg_per_ut2 * b1_rms**2,
        limit_w_per_kg,
        f"k = {coil_w_per_kg_per_ut2:g} W/kg/µT², user's",
    )


def relative_sar(b1_rms: float, reference_b1_rms: float) -> float:
    """SAR over that of a reference protocol with the same coil, landmark and patient."""
    return (b1_rms / reference_b1_rms) ** 2


@dataclass(frozen=True)
class GradientLimits:
    """What the gradient system can do on each axis; None where the user did not say."""

    amplitude_mt_per_m: float | None = None
    slew_t_per_m_per_s: float | None = None


def check_gradients(waveform_mt_per_m: Real | None, raster_s: float, limits: GradientLimits) -> tuple[Check, ...]:
    """Amplitude and slew rate of a waveform (axis, sample): the largest axis, and the vector sum.

    In a rotated slice the vector sum can fall on one physical axis, so it is held against the same limit.
    """
    amplitude, slew = limits.amplitude_mt_per_m, limits.slew_t_per_m_per_s
    quantities = (("gradient", "mT/m", amplitude), ("slew rate", "T/m/s", slew))
    if waveform_mt_per_m is None:
        return tuple(
            Check(f"{name}, {scope}", unit, None, limit, "no gradient waveform; the export makes and checks it")
            for name, unit, limit in quantities
            for scope in ("one axis", "vector")
        )
    waveform = np.asarray(waveform_mt_per_m, dtype=np.float64)
    rate = np.diff(waveform, axis=1) / raster_s * 1e-3
    tilted = "any orientation: in a tilted slice one axis may have to give it"
    return tuple(
        check
        for (name, unit, limit), values in zip(quantities, (waveform, rate), strict=True)
        for check in (
            Check(f"{name}, one axis", unit, _largest(np.abs(values)), limit, ""),
            Check(f"{name}, vector", unit, _largest(np.sqrt((values**2).sum(axis=0))), limit, tilted),
        )
    )


def _largest(values: Real) -> float:
    """Rounded, so that a gradient at its limit is not above it."""
    return round(float(values.max(initial=0.0)), 6)
