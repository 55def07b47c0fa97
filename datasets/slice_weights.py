"""How much each depth counts in a slice: the profile of the protocol's own pulses, displaced for fat and where the field is bent.

The shape is that of nerve, fully relaxed, at the echo that reads ky = 0; the profiles of all tissues with signal at that echo
have the same width within a few percent. The strength at every echo is not in it: `echo_amplitudes`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knerve.sequences.protocol import Protocol
from knerve.sequences.quantities import GAMMA_HZ_PER_T
from knerve.sequences.slice_profile_epg import HALF_WIDTH, slice_echoes
from knerve.sequences.tissues import relaxation_s, tissue
from knerve.sequences.train_echoes import TrainEchoes, refocusing_angles

Real = NDArray[np.float64]

SUBPLANE_MM = 0.5  # depths are sampled at about this pitch
NEGLIGIBLE = 0.002  # of the slice
SAME_SHAPE = 0.02
N_PLACES = 129
SHAPE_OF = "nerve"


@dataclass(frozen=True)
class SliceProfile:
    """The slice as a function of depth.

    Attributes:
        depth_mm: (place), 0 in the middle of the slice.
        below: (place): the part of the slice below each depth, from 0 to 1.
        mm_per_hz: displacement of spins that precess faster by 1 Hz, along the normal (it is negative).
    """

    depth_mm: Real
    below: Real
    mm_per_hz: float

    def between(self, low_mm: Real | float, high_mm: Real | float) -> Real:
        """The part of the slice between two depths."""
        at_high, at_low = (np.interp(depth, self.depth_mm, self.below) for depth in (high_mm, low_mm))
        return np.asarray(at_high - at_low)

    def resembles(self, other: SliceProfile) -> bool:
        """Whether the two nowhere differ by more than a few percent of the slice."""
        below = np.interp(other.depth_mm, self.depth_mm, self.below)
        return float(np.abs(below - other.below).max()) < SAME_SHAPE

    @property
    def extent_mm(self) -> float:
        """All but a negligible part of the slice lies within this distance from its middle."""
        ends = np.interp([NEGLIGIBLE, 1 - NEGLIGIBLE], self.below, self.depth_mm)
        return float(np.abs(ends).max())


def slice_profile(protocol: Protocol, train: TrainEchoes, centre_echo: int) -> SliceProfile:
    """The profile of a protocol; a box where its pulses could not be designed."""
    thickness_mm, pulses = protocol.geometry.slice_thickness_m * 1e3, protocol.pulses
    excitation_hz = pulses.excitation_time_bandwidth / pulses.excitation_duration_s
    refocusing_hz = pulses.refocusing_time_bandwidth / pulses.refocusing_duration_s
    # excitation and refocusing displace a little differently; what both select lies in between
    mm_per_hz = -thickness_mm * (1 / excitation_hz + pulses.refocusing_slice_factor / refocusing_hz) / 2
    if train.pulses is None:
        edges = np.array([-0.5, 0.5]) * thickness_mm
        return SliceProfile(edges, np.array([0.0, 1.0]), mm_per_hz)
    t1_s, t2_s = relaxation_s([tissue(SHAPE_OF)])
    angles_deg = refocusing_angles(protocol.echo_train).tolist()
    spacing_s = protocol.echo_train.echo_spacing_s
    echoes = slice_echoes(t1_s, t2_s, angles_deg, spacing_s, train.pulses, n_places=N_PLACES)
    profile = np.abs(echoes.profile[0, :, centre_echo])
    edges = np.linspace(-HALF_WIDTH, HALF_WIDTH, N_PLACES + 1) * thickness_mm
    return SliceProfile(edges, np.concatenate([[0.0], profile.cumsum() / profile.sum()]), mm_per_hz)


def subplanes_mm(extent_mm: float) -> Real:
    """Depths about `SUBPLANE_MM` apart, symmetric, whose shares reach to ± `extent_mm`."""
    n_each_side = int(np.ceil(extent_mm / SUBPLANE_MM - 0.5))
    return np.asarray(np.arange(-n_each_side, n_each_side + 1) * SUBPLANE_MM)


def subplane_weights(profile: SliceProfile, depths_mm: Real, shift_mm: Real) -> Real:
    """(depth, group): the part of the slice that each plane stands for, summing to 1 over the depths.

    Args:
        profile: of spins on resonance.
        depths_mm: (depth), evenly spaced.
        shift_mm: (group): displacement of the slice of each group.
    """
    half = SUBPLANE_MM / 2
    middle = depths_mm[:, None] - shift_mm[None, :]
    weights = profile.between(middle - half, middle + half)
    weights[weights < NEGLIGIBLE] = 0
    return np.asarray(weights / weights.sum(axis=0))


def resonance_hz(shift_ppm: float, field_t: float) -> float:
    """Frequency of a resonance against water."""
    return shift_ppm * 1e-6 * GAMMA_HZ_PER_T * field_t
