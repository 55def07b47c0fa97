"""What a protocol really does, in numbers: time, contrast, blur in millimetres per tissue, fat, SNR, exposure, pattern.

    evaluate(Protocol.load("navigate")).as_dict()

It takes milliseconds once the pulses are designed, so that protocols can be searched. No reconstruction is credited with
resolution. Nothing here is a safety clearance.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np

from knerve.sequences.blur import Blur, blur
from knerve.sequences.echo_order import EchoPlan, plan_echoes
from knerve.sequences.echo_time import equivalent_echo_time_s
from knerve.sequences.errors import ProtocolError
from knerve.sequences.fat import read_displacement_mm, slice_displacement_mm, water_fat_shift_px
from knerve.sequences.fat_null import fat_null_s
from knerve.sequences.feasibility import readout_gradient_t_per_m
from knerve.sequences.pattern_quality import PatternQuality, pattern_quality
from knerve.sequences.pns import check_pns
from knerve.sequences.protocol import Protocol
from knerve.sequences.quantities import GAMMA_HZ_PER_T
from knerve.sequences.refocusing_trains import relative_energy
from knerve.sequences.safety import (
    Check,
    CheckResult,
    GradientLimits,
    b1_rms_ut,
    check_b1_rms,
    check_gradients,
    check_peak_b1,
    check_sar,
    results,
    scaled_peak_ut,
    shot_energy_ut2_s,
)
from knerve.sequences.snr import SnrTerms, relative_snr
from knerve.sequences.timing import ScanTime, scan_time
from knerve.sequences.tissues import relaxation_s, tissue
from knerve.sequences.train_echoes import TrainEchoes, refocusing_angles, train_echoes

TISSUES = ("nerve", "nerve_compressed", "muscle", "subcutaneous_fat", "synovial_fluid", "cartilage")
NERVE, MUSCLE, FAT = TISSUES[0], TISSUES[2], TISSUES[3]
REFERENCE = "navigate"  # the preset whose SNR is 1
FWHM_OF_SINC = 1.2067  # voxels: the point spread along the readout, where decay is slow against the readout
RASTER_S = 1e-5


@dataclass(frozen=True)
class TissueResult:
    """One tissue in one protocol.

    Attributes:
        name: in the table of tissues.
        echoes: (echo): signal in units of M0 of water.
        signal: at the echo that reads ky = 0.
        equivalent_echo_time_s: of the spin echo with the same T2 contrast; None where there is no signal.
        fwhm_read_mm: full widths at half maximum of the point spread along the readout,
        fwhm_phase_mm: along the phase encodes,
        fwhm_slice_mm: and across the slice; None where it was not resolved.
        side_lobe_energy: of the point spread along the phase encodes: fraction outside its main lobe (0.097 without decay).
        relative_snr: over that of the same tissue in the preset `navigate`, without noise amplification.
    """

    name: str
    echoes: tuple[float, ...]
    signal: float
    equivalent_echo_time_s: float | None
    fwhm_read_mm: float
    fwhm_phase_mm: float
    fwhm_slice_mm: float | None
    side_lobe_energy: float
    relative_snr: float


@dataclass(frozen=True)
class FatShift:
    """Displacement of fat against water: along the readout, and of the excited and the refocused slice."""

    read_px: float
    read_mm: float
    slice_mm: float
    slice_refocused_mm: float


@dataclass(frozen=True)
class Evaluation:
    """Everything that is computed about one protocol.

    Attributes:
        time: scan time, lines, shots, and the accelerations asked, net and image.
        echo_time_s: TE_eff, of the echo that reads ky = 0.
        refocusing_deg: (echo), signed.
        echo_of_line: (ky): echo that reads each line, -1 where none does.
        model: which phase graph gave the signals.
        tissues: one result each.
        nerve_to_fat: signal at ky = 0 over that of fat; `nerve_to_muscle` over that of muscle. None over no signal.
        fat: its displacement.
        fat_null_s: inversion time that would null subcutaneous fat here; None without an inversion or such a time.
        b1_rms_ut: over TR; None without pulses. `relative_rf_energy` of the train, 180 degrees throughout are 1.
        checks: of exposure and gradients.
        pattern: quality of the sampling.
    """

    name: str
    time: ScanTime
    echo_time_s: float
    refocusing_deg: tuple[float, ...]
    echo_of_line: tuple[int, ...]
    model: str
    tissues: tuple[TissueResult, ...]
    nerve_to_fat: float | None
    nerve_to_muscle: float | None
    fat: FatShift
    fat_null_s: float | None
    b1_rms_ut: float | None
    relative_rf_energy: float
    checks: tuple[CheckResult, ...]
    pattern: PatternQuality

    def tissue(self, name: str) -> TissueResult:
        """The result of one of `TISSUES`."""
        return next(each for each in self.tissues if each.name == name)

    def as_dict(self) -> dict[str, object]:
        """Plain numbers, texts, tuples and dictionaries."""
        return asdict(self)


def evaluate(protocol: Protocol) -> Evaluation:
    """Evaluate a protocol that can be played."""
    time, plan = scan_time(protocol), plan_echoes(protocol)
    echoes = train_echoes(protocol, [tissue(name) for name in TISSUES], plan.centre_echo)
    tissues = _tissues(protocol, plan, echoes)
    signal = {each.name: each.signal for each in tissues}
    angles = refocusing_angles(protocol.echo_train)
    b1_rms, checks = _checks(protocol, time, echoes)
    return Evaluation(
        name=protocol.name,
        time=time,
        echo_time_s=plan.effective_echo_time_s,
        refocusing_deg=tuple(angles.tolist()),
        echo_of_line=tuple(plan.echo_of_line.tolist()),
        model=echoes.model,
        tissues=tissues,
        nerve_to_fat=signal[NERVE] / signal[FAT] if signal[FAT] else None,
        nerve_to_muscle=signal[NERVE] / signal[MUSCLE] if signal[MUSCLE] else None,
        fat=_fat_shift(protocol),
        fat_null_s=_fat_null_s(protocol, float(echoes.efficiency[TISSUES.index(FAT)])),
        b1_rms_ut=b1_rms,
        relative_rf_energy=relative_energy(angles),
        checks=results(checks),
        pattern=pattern_quality(plan),
    )


def _tissues(protocol: Protocol, plan: EchoPlan, echoes: TrainEchoes) -> tuple[TissueResult, ...]:
    geometry, centre = protocol.geometry, plan.centre_echo
    extent_m = geometry.field_of_view_phase_m * (1 + geometry.phase_oversampling)
    spread: Blur = blur(echoes.amplitude, plan.echo_of_line, extent_m / plan.n_full * 1e3)
    _, t2_s = relaxation_s([tissue(name) for name in TISSUES])
    te_s = equivalent_echo_time_s(echoes.relaxed[:, centre], echoes.without_relaxation[centre], t2_s)
    thickness_mm = None if echoes.thickness is None else echoes.thickness * geometry.slice_thickness_m * 1e3
    snr = _snr_terms(protocol, plan, echoes)
    return tuple(
        TissueResult(
            name=name,
            echoes=tuple(echoes.amplitude[i].tolist()),
            signal=float(echoes.amplitude[i, centre]),
            equivalent_echo_time_s=_number(te_s[i]),
            fwhm_read_mm=FWHM_OF_SINC * geometry.voxel_read_m * 1e3,
            fwhm_phase_mm=float(spread.fwhm_mm[i]),
            fwhm_slice_mm=None if thickness_mm is None else _number(thickness_mm[i]),
            side_lobe_energy=float(spread.side_lobe_energy[i]),
            relative_snr=relative_snr(snr[i], _reference_terms()[i]),
        )
        for i, name in enumerate(TISSUES)
    )


def _snr_terms(protocol: Protocol, plan: EchoPlan, echoes: TrainEchoes) -> tuple[SnrTerms, ...]:
    """One per tissue; all readouts of a slice count, whichever average they belong to."""
    geometry = protocol.geometry
    return tuple(
        SnrTerms(
            voxel_mm=(geometry.voxel_read_m * 1e3, geometry.voxel_phase_m * 1e3),
            thickness_mm=geometry.slice_thickness_m * 1e3,
            n_lines=int(plan.counts.sum()),
            n_averages=1,
            readout_s=protocol.echo_train.readout_s,
            signal=float(signal),
            field_t=protocol.system.field_strength_t,
        )
        for signal in echoes.amplitude[:, plan.centre_echo]
    )


@lru_cache(maxsize=1)
def _reference_terms() -> tuple[SnrTerms, ...]:
    protocol = Protocol.load(REFERENCE)
    plan = plan_echoes(protocol)
    return _snr_terms(protocol, plan, train_echoes(protocol, [tissue(n) for n in TISSUES], plan.centre_echo))


def _fat_shift(protocol: Protocol) -> FatShift:
    field_t, bandwidth_hz = protocol.system.field_strength_t, protocol.echo_train.pixel_bandwidth_hz
    pulses, thickness_mm = protocol.pulses, protocol.geometry.slice_thickness_m * 1e3
    excitation_hz = pulses.excitation_time_bandwidth / pulses.excitation_duration_s
    refocusing_hz = pulses.refocusing_time_bandwidth / pulses.refocusing_duration_s
    return FatShift(
        read_px=water_fat_shift_px(field_t, bandwidth_hz),
        read_mm=read_displacement_mm(field_t, bandwidth_hz, protocol.geometry.voxel_read_m * 1e3),
        slice_mm=slice_displacement_mm(field_t, excitation_hz, thickness_mm),
        slice_refocused_mm=slice_displacement_mm(field_t, refocusing_hz, thickness_mm * pulses.refocusing_slice_factor),
    )


def _fat_null_s(protocol: Protocol, efficiency: float) -> float | None:
    try:
        return fat_null_s(protocol, tissue(FAT), efficiency)
    except ProtocolError:  # TR is too short for any
        return None


def _checks(protocol: Protocol, time: ScanTime, echoes: TrainEchoes) -> tuple[float | None, tuple[Check, ...]]:
    """B1+rms over TR, and every check; before its export a protocol has no waveform, and no coil or scanner behind it."""
    limit = protocol.system.max_gradient_t_per_m * 1e3
    limits = GradientLimits(limit, protocol.system.max_slew_rate_t_per_m_per_s)
    single_lobes = tuple(
        Check(
            f"{name} gradient, one axis", "mT/m", value * 1e3, limit, f"single lobe, limit of {protocol.system.name!r}"
        )
        for name, value in _gradients_t_per_m(protocol).items()
    )
    b1_rms, exposure = _exposure(protocol, time, echoes)
    waveform = (*check_gradients(None, RASTER_S, limits), check_pns(None, RASTER_S, None))
    return b1_rms, (*exposure, *single_lobes, *waveform)


def _gradients_t_per_m(protocol: Protocol) -> dict[str, float]:
    pulses, thickness_m = protocol.pulses, protocol.geometry.slice_thickness_m
    excitation_hz = pulses.excitation_time_bandwidth / pulses.excitation_duration_s
    refocusing_hz = pulses.refocusing_time_bandwidth / pulses.refocusing_duration_s
    return {
        "readout": readout_gradient_t_per_m(protocol),
        "excitation": excitation_hz / (GAMMA_HZ_PER_T * thickness_m),
        "refocusing": refocusing_hz / (GAMMA_HZ_PER_T * thickness_m * pulses.refocusing_slice_factor),
    }


def _exposure(protocol: Protocol, time: ScanTime, echoes: TrainEchoes) -> tuple[float | None, tuple[Check, ...]]:
    if echoes.pulses is None:
        missing = "no pulse could be designed"
        return None, (Check("B1+rms", "µT", note=missing), Check("peak B1", "µT", note=missing), check_sar(0.0))
    excitation, refocusing, inversion = echoes.pulses.excitation, echoes.pulses.refocusing, echoes.inversion
    angles = refocusing_angles(protocol.echo_train)
    shot = shot_energy_ut2_s(excitation, refocusing, angles.tolist()) + (inversion.energy_ut2_s if inversion else 0.0)
    b1_rms = b1_rms_ut(time.slices_per_package * shot, protocol.schedule.repetition_time_s)
    peaks = [excitation.peak_b1_ut, scaled_peak_ut(refocusing, float(np.abs(angles).max()))]
    peak_ut = max([*peaks, inversion.peak_b1_ut] if inversion else peaks)
    return b1_rms, (check_b1_rms(b1_rms), check_peak_b1(peak_ut), check_sar(b1_rms))


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
