"""The echo train of a protocol: its refocusing angles, its pulses, and what every tissue gives at every echo.

The phase graph is solved across the slice with the protocol's own pulses; where none can be designed, with ideal pulses that
know no slice, and the result says so. How well an inversion works is simulated with its own pulse. Slices are taken as
independent: cross-talk and magnetisation transfer from neighbouring slices are not in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knerve.sequences.epg import Preparation, tse_echoes
from knerve.sequences.errors import ProtocolError
from knerve.sequences.inversion_efficiency import inversion_efficiency, slice_efficiency
from knerve.sequences.inversion_pulse import InversionPulse, inversion_pulse
from knerve.sequences.refocusing_trains import Angles, constant_train, hyperecho_train, traps_train
from knerve.sequences.rf_pulse import excitation_pulse, refocusing_pulse
from knerve.sequences.sections import EchoTrain, Sections
from knerve.sequences.slice_profile_epg import SliceEchoes, SlicePulses, slice_echoes
from knerve.sequences.timing import scan_time
from knerve.sequences.tissues import Tissue, relaxation_s

Real = NDArray[np.float64]

NO_RELAXATION_S = 1e9


@dataclass(frozen=True)
class TrainEchoes:
    """Echoes of a protocol in its steady state.

    Attributes:
        amplitude: (tissue, echo): magnitude in units of M0 of water in a perfect slice of nominal thickness.
        relaxed: (tissue, echo): the same per M0 of the tissue, from a fully relaxed start without preparation.
        without_relaxation: (echo): of a tissue that does not relax.
        thickness: (tissue): full width at half maximum of the slice at ky = 0 in nominal thicknesses; None without pulses.
        pulses: those of the slice; None where none could be designed.
        inversion: the inversion pulse, or None.
        efficiency: (tissue) of the inversion: Mz becomes -efficiency Mz, of fat-like protons only where the pulse is spectral;
            zero without one.
        model: in words, which phase graph this is.
    """

    amplitude: Real
    relaxed: Real
    without_relaxation: Real
    thickness: Real | None
    pulses: SlicePulses | None
    inversion: InversionPulse | None
    efficiency: Real
    model: str


def refocusing_angles(train: EchoTrain) -> Angles:
    """Angles of a protocol's refocusing pulses in degrees, (echo)."""
    n_echoes, angle_deg = train.echo_train_length, train.refocusing_angle_deg
    match train.refocusing_train:
        case "constant":
            return constant_train(n_echoes, angle_deg)
        case "ramped":
            return constant_train(n_echoes, angle_deg, ramp=True)
        case "traps":
            low_deg = min(60.0, angle_deg)
            return traps_train(n_echoes, train.centre_echo, low_deg, angle_deg, first_deg=max(150.0, angle_deg))
        case "hyperecho":
            return hyperecho_train([angle_deg] * (n_echoes // 2))


def slice_pulses(protocol: Sections) -> SlicePulses:
    """The slice-selective pulses of a protocol; the refocusing pulse is designed for the largest angle of the train.

    Raises:
        ProtocolError: there are none with these durations, time-bandwidth products and angles.
    """
    train, asked = protocol.echo_train, protocol.pulses
    largest_deg = float(np.abs(refocusing_angles(train)).max())
    return SlicePulses(
        excitation_pulse(asked.excitation_duration_s, asked.excitation_time_bandwidth, train.excitation_angle_deg),
        refocusing_pulse(asked.refocusing_duration_s, asked.refocusing_time_bandwidth, largest_deg),
        asked.refocusing_slice_factor,
    )


def train_echoes(protocol: Sections, tissues: Sequence[Tissue], centre_echo: int) -> TrainEchoes:
    """Echoes of every tissue; `centre_echo` reads ky = 0."""
    t1_s, t2_s = relaxation_s(tissues)
    density = np.array([[each.pd.value] for each in tissues])
    pulses, model = _designed(protocol)
    t1_and_none, t2_and_none = (np.append(times_s, NO_RELAXATION_S) for times_s in (t1_s, t2_s))
    relaxed = _solve(protocol, pulses, t1_and_none, t2_and_none, math.inf, None)
    inversion = inversion_pulse(protocol)
    efficiency = np.zeros(len(tissues))
    if inversion is not None:
        efficiency = _efficiency(inversion, pulses, relaxed, t1_s, t2_s, centre_echo)
        model += _inversion_words(efficiency, tissues, is_selective=inversion.is_selective)
    solved = _solve(
        protocol, pulses, t1_s, t2_s, protocol.schedule.repetition_time_s, _preparation(protocol, efficiency)
    )
    steady = solved.amplitude
    if protocol.fat_suppression.method == "spair":
        steady = _after_spair(protocol, tissues, efficiency, steady, relaxed.amplitude[:-1])
    return TrainEchoes(
        amplitude=density * steady,
        relaxed=relaxed.amplitude[:-1],
        without_relaxation=relaxed.amplitude[-1],
        thickness=solved.effective_thickness(centre_echo) if isinstance(solved, SliceEchoes) else None,
        pulses=pulses,
        inversion=inversion,
        efficiency=efficiency,
        model=model,
    )


@dataclass(frozen=True)
class _IdealEchoes:
    """Magnitudes (tissue, echo) per M0 of pulses that know no slice."""

    amplitude: Real


def _designed(protocol: Sections) -> tuple[SlicePulses | None, str]:
    try:
        pulses = slice_pulses(protocol)
    except ProtocolError as problem:
        return None, f"ideal pulses without a slice profile ({problem})"
    return pulses, "resolved across the slice, SLR pulses designed from the protocol"


def _solve(
    protocol: Sections,
    pulses: SlicePulses | None,
    t1_s: Real,
    t2_s: Real,
    repetition_time_s: float,
    preparation: Preparation | None,
) -> SliceEchoes | _IdealEchoes:
    train = protocol.echo_train
    angles_deg, spacing_s = refocusing_angles(train).tolist(), train.echo_spacing_s
    if pulses is None:
        ideal = tse_echoes(
            t1_s,
            t2_s,
            angles_deg,
            spacing_s,
            repetition_time_s=repetition_time_s,
            excitation_deg=train.excitation_angle_deg,
            preparation=preparation,
        )
        return _IdealEchoes(np.abs(ideal.amplitude[:, 0]))
    return slice_echoes(
        t1_s,
        t2_s,
        angles_deg,
        spacing_s,
        pulses,
        repetition_time_s=repetition_time_s,
        preparation=preparation,
    )


def _efficiency(
    inversion: InversionPulse,
    pulses: SlicePulses | None,
    relaxed: SliceEchoes | _IdealEchoes,
    t1_s: Real,
    t2_s: Real,
    centre_echo: int,
) -> Real:
    """(tissue): in a slice, of the places that the echo at ky = 0 comes from, each with its share."""
    if not (inversion.is_selective and pulses and isinstance(relaxed, SliceEchoes)):
        return inversion_efficiency(inversion, (0.0,), tuple(t1_s.tolist()), tuple(t2_s.tolist()))[:, 0]
    profile = relaxed.profile[: len(t1_s), :, centre_echo]
    share = (profile * profile.sum(axis=1, keepdims=True).conj()).real
    return slice_efficiency(inversion, pulses.excitation, relaxed.place, share, t1_s, t2_s)


def _inversion_words(efficiency: Real, tissues: Sequence[Tissue], *, is_selective: bool) -> str:
    """What the simulation of the pulse gave, over the tissues that it inverts."""
    inverted = [f for f, each in zip(efficiency, tissues, strict=True) if is_selective or each.fat_like_fraction > 0]
    if not inverted:
        return ""
    return f", inversion efficiency {min(inverted):.3f} to {max(inverted):.3f} by a Bloch simulation of its pulse"


def _preparation(protocol: Sections, efficiency: Real) -> Preparation | None:
    """STIR inverts everything in the slice; SPAIR leaves water alone, and fat is dealt with in `_after_spair`."""
    inversion_time_s = protocol.fat_suppression.inversion_time_s
    if protocol.fat_suppression.method != "stir" or inversion_time_s is None:
        return None
    return Preparation((-efficiency).tolist(), inversion_time_s)


def _after_spair(protocol: Sections, tissues: Sequence[Tissue], efficiency: Real, steady: Real, relaxed: Real) -> Real:
    """Fat is inverted before every slice, not once per TR, and recovers freely in between.

    Mz = 1 - (1 + f) exp(-TI/T1) / (1 + f exp(-period/T1))
    """
    inversion_time_s = protocol.fat_suppression.inversion_time_s or 0.0
    t1_s, _ = relaxation_s(tissues)
    remembered = 1 + efficiency * np.exp(-inversion_period_s(protocol) / t1_s)
    mz = 1 - (1 + efficiency) * np.exp(-inversion_time_s / t1_s) / remembered
    share = np.array([[each.fat_like_fraction] for each in tissues])
    return np.asarray((1 - share) * steady + share * np.abs(mz)[:, None] * relaxed)


def inversion_period_s(protocol: Sections) -> float:
    """From one spectral inversion to the next: they are played before every slice."""
    return protocol.schedule.repetition_time_s / scan_time(protocol).slices_per_package
