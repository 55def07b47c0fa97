"""The amplitude of every echo of every spin group as a function of B1.

At the nominal B1 it is what `train_echoes` says, with fat suppression and steady state. Elsewhere it changes as the phase graph
across the slice does; a polynomial through a few values of B1 makes maps of it cheap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.spin_groups import SpinGroup, spin_groups
from knerve.sequences.epg import Preparation, tse_echoes
from knerve.sequences.protocol import Protocol
from knerve.sequences.slice_profile_epg import slice_echoes
from knerve.sequences.tissues import relaxation_s
from knerve.sequences.train_echoes import TrainEchoes, refocusing_angles, train_echoes

Real = NDArray[np.float64]

N_B1_VALUES = 5  # a fourth-order polynomial: within 0.1 % of the phase graph for deviations of 20 %
NO_SIGNAL = 1e-9
SILENT = 15  # T2 shorter than the echo spacing by this factor: nothing is left at the first echo
STAND_IN = spin_groups(["muscle"])[0]  # where nothing is heard at all


@dataclass(frozen=True)
class EchoAmplitudes:
    """Amplitudes in units of M0 of water in a perfect slice of nominal thickness.

    Attributes:
        coefficients: (power, group, echo): of the powers of (B1 - 1).
        train: of the groups that are not silent, at the nominal B1.
    """

    coefficients: Real
    train: TrainEchoes

    @property
    def nominal(self) -> Real:
        """(group, echo) at the nominal B1."""
        return np.asarray(self.coefficients[0])

    def at(self, b1: float) -> Real:
        """(group, echo) at a fraction of the nominal B1."""
        powers = (b1 - 1) ** np.arange(len(self.coefficients))
        return np.asarray(np.tensordot(powers, self.coefficients, axes=1))


def echo_amplitudes(
    protocol: Protocol, groups: Sequence[SpinGroup], centre_echo: int, b1_variation: float
) -> EchoAmplitudes:
    """Solve a protocol for these groups; `b1_variation` is the largest deviation of B1 from 1."""
    is_silent = [group.tissue.t2_ms.value * SILENT < protocol.echo_train.echo_spacing_s * 1e3 for group in groups]
    if any(is_silent):
        heard = [i for i, silent in enumerate(is_silent) if not silent]
        audible = echo_amplitudes(protocol, [groups[i] for i in heard] or [STAND_IN], centre_echo, b1_variation)
        coefficients = np.zeros((len(audible.coefficients), len(groups), audible.coefficients.shape[2]))
        coefficients[:, heard] = audible.coefficients[:, : len(heard)]
        return EchoAmplitudes(coefficients, audible.train)
    train = train_echoes(protocol, [group.tissue for group in groups], centre_echo)
    if b1_variation == 0:
        return EchoAmplitudes(train.amplitude[None], train)
    deviations = np.linspace(-b1_variation, b1_variation, N_B1_VALUES)
    solved = np.stack([_at_b1(protocol, groups, train, 1 + deviation) for deviation in deviations])
    nominal = _at_b1(protocol, groups, train, 1.0)
    relative = np.where(nominal > NO_SIGNAL, solved / np.maximum(nominal, NO_SIGNAL), 1.0)
    powers = np.vander(deviations / b1_variation, increasing=True)
    fitted = np.linalg.solve(powers, relative.reshape(N_B1_VALUES, -1)).reshape(relative.shape)
    fitted[0] = 1.0  # rounding aside it is: the middle value is the nominal one
    scale = b1_variation ** -np.arange(N_B1_VALUES, dtype=np.float64)
    return EchoAmplitudes(scale[:, None, None] * fitted * train.amplitude, train)


def _at_b1(protocol: Protocol, groups: Sequence[SpinGroup], train: TrainEchoes, b1: float) -> Real:
    """(group, echo) per M0 of the group; a spectral suppression is left to `train_echoes`."""
    t1_s, t2_s = relaxation_s([group.tissue for group in groups])
    angles_deg, spacing_s = refocusing_angles(protocol.echo_train).tolist(), protocol.echo_train.echo_spacing_s
    repetition_time_s, suppression = protocol.schedule.repetition_time_s, protocol.fat_suppression
    preparation = None
    if suppression.method == "stir" and suppression.inversion_time_s is not None:
        preparation = Preparation((-train.efficiency).tolist(), suppression.inversion_time_s)
    if train.pulses is not None:
        return slice_echoes(
            t1_s,
            t2_s,
            angles_deg,
            spacing_s,
            train.pulses,
            repetition_time_s=repetition_time_s,
            b1=b1,
            preparation=preparation,
        ).amplitude
    ideal = tse_echoes(
        t1_s,
        t2_s,
        angles_deg,
        spacing_s,
        repetition_time_s=repetition_time_s,
        excitation_deg=protocol.echo_train.excitation_angle_deg,
        b1=(b1,),
        preparation=preparation,
    )
    return np.abs(ideal.amplitude[:, 0])
