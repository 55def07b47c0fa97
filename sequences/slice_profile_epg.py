"""Echoes of a slice as its real pulses excite and refocus it: the phase graph at every place across the slice, then summed.

At the edge of a slice the flip angles fall, differently for excitation and refocusing, so that echoes change and the slice
gets thinner than the protocol says. Each place has its own 3 x 3 operators: the rotation by pulse and gradient, with the
gradient's own winding taken out (half before and half after a refocusing pulse, where the crushers see it; by the
rephaser after the excitation). Relaxation during the refocusing pulses is in the model to first order: without it the
eighth echo of muscle comes out 2 % too low, the fifteenth 9 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from knerve.sequences.epg import Preparation, TimeAlongZ, shot_response, spinor_operator, steady_state
from knerve.sequences.errors import ProtocolError
from knerve.sequences.profile_width import full_width_half_maximum
from knerve.sequences.rf_pulse import RfPulse

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]

HALF_WIDTH = 1.25  # places run to this many slice thicknesses on either side
MOMENT_EVERY = 8  # samples of a pulse, for the time that magnetisation spends along z


@dataclass(frozen=True)
class SlicePulses:
    """The RF pulses of a sequence and the slices that they select.

    Attributes:
        excitation: its gradient selects the nominal slice.
        refocusing: scaled in amplitude to each angle of the train.
        refocusing_width: width of the refocused slice over the nominal one.
    """

    excitation: RfPulse
    refocusing: RfPulse
    refocusing_width: float = 1.2


@dataclass(frozen=True)
class SliceEchoes:
    """Echoes of a slice, in units of M0 of a perfect slice of nominal thickness.

    Attributes:
        amplitude: (tissue, echo): magnitude of the signal of the whole slice.
        profile: complex, (tissue, place, echo).
        place: (place), in nominal slice thicknesses, 0 in the middle.
    """

    amplitude: Real
    profile: Complex
    place: Real

    def effective_thickness(self, echo: int) -> Real:
        """(tissue): full width at half maximum of the slice at an echo (0-based), in nominal thicknesses."""
        return full_width_half_maximum(np.abs(self.profile[:, :, echo]), self.place[1] - self.place[0])

    def equivalent_thickness(self, echo: int) -> Real:
        """(tissue): area under the slice profile over its height in the middle, in nominal thicknesses."""
        profile = np.abs(self.profile[:, :, echo])
        return np.asarray(profile.sum(axis=1) * (self.place[1] - self.place[0]) / profile[:, len(self.place) // 2])


def slice_echoes(
    t1_s: Real,
    t2_s: Real,
    refocusing_deg: Sequence[float],
    echo_spacing_s: float,
    pulses: SlicePulses,
    *,
    repetition_time_s: float = math.inf,
    b1: float = 1.0,
    n_places: int = 33,
    preparation: Preparation | None = None,
    restore: bool = False,
) -> SliceEchoes:
    """Echoes of every tissue in the steady state of TR.

    Args:
        t1_s: (tissue).
        t2_s: (tissue).
        refocusing_deg: (echo), signed.
        echo_spacing_s: ESP.
        pulses: excitation and refocusing.
        repetition_time_s: TR, infinite for a fully relaxed start.
        b1: fraction of the nominal B1.
        n_places: across the slice; odd, so that one lies in the middle.
        preparation: see `epg.Preparation`; it acts on the whole slice.
        restore: see `epg.shot_response`.
    """
    train = tuple(float(angle) for angle in refocusing_deg)
    place = np.linspace(-HALF_WIDTH, HALF_WIDTH, _odd(n_places))
    excitation = _excitation_operators(pulses, b1, n_places)
    refocusing, mean_along_z = _refocusing_operators(pulses, train, b1, n_places)
    along_z = TimeAlongZ(mean_along_z, pulses.refocusing.duration_s)
    shot = shot_response(t1_s, t2_s, excitation, refocusing, echo_spacing_s, along_z=along_z, restore=restore)
    profile = steady_state(shot, t1_s, len(train) * echo_spacing_s, repetition_time_s, preparation).amplitude
    amplitude = np.abs(profile.sum(axis=1)) * (place[1] - place[0])
    return SliceEchoes(amplitude, profile, place)


@lru_cache(maxsize=32)
def _excitation_operators(pulses: SlicePulses, b1: float, n_places: int) -> Complex:
    """(place, 3, 3), the slice rephased."""
    pulse = pulses.excitation
    place = np.linspace(-HALF_WIDTH, HALF_WIDTH, n_places)
    a, b = pulse.spinors(place, b1)
    rewound = np.exp(1j * np.pi * pulse.rephasing * pulse.time_bandwidth * place)
    excitation = spinor_operator(a * rewound, 1j * b * rewound.conj())  # 1j: B1 has the phase of the excitation
    excitation.setflags(write=False)
    return excitation


@lru_cache(maxsize=32)
def _refocusing_operators(
    pulses: SlicePulses, train: tuple[float, ...], b1: float, n_places: int
) -> tuple[Complex, Complex]:
    """(echo, place, 3, 3): what each pulse does, and the mean projection on z meanwhile; a search over protocols reuses them."""
    if not pulses.refocusing_width > 0:
        raise ProtocolError(f"The refocused slice is {pulses.refocusing_width:g} nominal slices wide; give 1 to 1.5.")
    pulse = pulses.refocusing
    place = np.linspace(-HALF_WIDTH, HALF_WIDTH, n_places) / pulses.refocusing_width
    angles, which = np.unique(train, return_inverse=True)
    unwound = np.exp(1j * np.pi * pulse.time_bandwidth * place)
    mean_along_z = np.zeros((len(angles), n_places, 3, 3), dtype=np.complex128)
    moments = range(min(MOMENT_EVERY, len(pulse.b1_hz)) // 2, len(pulse.b1_hz), MOMENT_EVERY)
    for sample, (a, b) in enumerate(pulse.spinor_steps(place, (angles / pulse.flip_deg * b1)[:, None])):
        if sample in moments:
            z = np.stack([-(a * b).conj() * unwound.conj(), -a * b * unwound, np.abs(a) ** 2 - np.abs(b) ** 2], axis=-1)
            mean_along_z += (z[..., [1, 0, 2]] * (2, 2, 1))[..., :, None] * z[..., None, :] / len(moments)
    refocusing = spinor_operator(a * unwound, b)[which]
    mean_along_z = mean_along_z[which]
    refocusing.setflags(write=False)
    mean_along_z.setflags(write=False)
    return refocusing, mean_along_z


def _odd(n_places: int) -> int:
    if n_places < 3 or n_places % 2 == 0:
        raise ProtocolError(f"{n_places} places across the slice were asked for; give an odd number, 33 for instance.")
    return n_places
