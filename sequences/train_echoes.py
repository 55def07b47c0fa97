"""The echo train of a protocol: its refocusing angles, its pulses, and what every tissue gives at every echo.

The phase graph is solved across the slice with the protocol's own pulses; where none can be designed, with ideal pulses that
know no slice, and the result says so. Slices are taken as independent: cross-talk and magnetisation transfer from neighbouring
slices are not in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knerve.sequences.epg import Preparation, tse_echoes
from knerve.sequences.errors import ProtocolError
from knerve.sequences.refocusing_trains import Angles, constant_train, hyperecho_train, traps_train
from knerve.sequences.rf_pulse import excitation_pulse, refocusing_pulse
from knerve.sequences.sections import EchoTrain, Sections
from knerve.sequences.slice_profile_epg import SlicePulses, slice_echoes
from knerve.sequences.timing import scan_time
from knerve.sequences.tissues import Tissue, relaxation_s

Real = NDArray[np.float64]

INVERSION_EFFICIENCY = 0.95  # assumed of an adiabatic pulse at 3 T
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
        model: in words, which phase graph this is.
    """

    amplitude: Real
    relaxed: Real
    without_relaxation: Real
    thickness: Real | None
    pulses: SlicePulses | None
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


def train_echoes(protocol: Sections, tissues: Sequence[Tissue], centre_echo: int) -> TrainEchoes:
    """Echoes of every tissue; `centre_echo` reads ky = 0."""
    t1_s, t2_s = relaxation_s(tissues)
    density = np.array([[each.pd.value] for each in tissues])
    pulses, model = _designed(protocol)
    steady, thickness = _solve(
        protocol, pulses, t1_s, t2_s, protocol.schedule.repetition_time_s, _preparation(protocol, tissues), centre_echo
    )
    t1_and_none, t2_and_none = (np.append(times_s, NO_RELAXATION_S) for times_s in (t1_s, t2_s))
    relaxed, _ = _solve(protocol, pulses, t1_and_none, t2_and_none, math.inf, None, centre_echo)
    if protocol.fat_suppression.method == "spair":
        steady = _after_spair(protocol, tissues, steady, relaxed[:-1])
    if protocol.fat_suppression.method != "none":
        model += f", with an inversion efficiency of {INVERSION_EFFICIENCY:g} assumed"
    return TrainEchoes(density * steady, relaxed[:-1], relaxed[-1], thickness, pulses, model)


def _designed(protocol: Sections) -> tuple[SlicePulses | None, str]:
    train, asked = protocol.echo_train, protocol.pulses
    largest_deg = float(np.abs(refocusing_angles(train)).max())
    try:
        pulses = SlicePulses(
            excitation_pulse(asked.excitation_duration_s, asked.excitation_time_bandwidth, train.excitation_angle_deg),
            refocusing_pulse(asked.refocusing_duration_s, asked.refocusing_time_bandwidth, largest_deg),
            asked.refocusing_slice_factor,
        )
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
    centre_echo: int,
) -> tuple[Real, Real | None]:
    """Magnitudes (tissue, echo) per M0, and the width of the slice (tissue)."""
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
        return np.abs(ideal.amplitude[:, 0]), None
    echoes = slice_echoes(
        t1_s,
        t2_s,
        angles_deg,
        spacing_s,
        pulses,
        repetition_time_s=repetition_time_s,
        preparation=preparation,
    )
    return echoes.amplitude, echoes.effective_thickness(centre_echo)


def _preparation(protocol: Sections, tissues: Sequence[Tissue]) -> Preparation | None:
    """STIR inverts everything in the slice; SPAIR leaves water alone, and fat is dealt with in `_after_spair`."""
    inversion_time_s = protocol.fat_suppression.inversion_time_s
    if protocol.fat_suppression.method != "stir" or inversion_time_s is None:
        return None
    return Preparation([-INVERSION_EFFICIENCY] * len(tissues), inversion_time_s)


def _after_spair(protocol: Sections, tissues: Sequence[Tissue], steady: Real, relaxed: Real) -> Real:
    """Fat is inverted before every slice, not once per TR, and recovers freely in between.

    Mz = 1 - (1 + f) exp(-TI/T1) / (1 + f exp(-period/T1))
    """
    inversion_time_s = protocol.fat_suppression.inversion_time_s or 0.0
    period_s = protocol.schedule.repetition_time_s / scan_time(protocol).slices_per_package
    t1_s, _ = relaxation_s(tissues)
    remembered = 1 + INVERSION_EFFICIENCY * np.exp(-period_s / t1_s)
    mz = 1 - (1 + INVERSION_EFFICIENCY) * np.exp(-inversion_time_s / t1_s) / remembered
    share = np.array([[each.fat_like_fraction] for each in tissues])
    return np.asarray((1 - share) * steady + share * np.abs(mz)[:, None] * relaxed)
