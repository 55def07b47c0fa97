"""What the echo train does to resolution: the signal along ky, and the point spread function that it makes.

Lines read late have decayed, lines read early have not; their Fourier transform is the image of a point along the phase
direction. A decay away from the centre of k-space widens it; a train that reads the centre late narrows it and pays with
side lobes. So the width never stands alone: the energy outside the main lobe is reported with it.
For an even signal the width is 1.207 voxels and 9.7 % of the energy lies in side lobes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knerve.sequences.errors import ProtocolError
from knerve.sequences.profile_width import full_width_half_maximum

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]
Integer = NDArray[np.int_]

NOT_SAMPLED = -1
POINTS_PER_VOXEL = 16


@dataclass(frozen=True)
class Blur:
    """Resolution along the phase direction, as the echo train leaves it: no reconstruction is credited.

    Attributes:
        fwhm_mm: (tissue): full width at half maximum of the point spread function.
        side_lobe_energy: (tissue): fraction of its energy outside the main lobe.
        voxel_mm: nominal voxel.
    """

    fwhm_mm: Real
    side_lobe_energy: Real
    voxel_mm: float


def blur(amplitude: Real | Complex, echo_of_line: Integer, voxel_mm: float) -> Blur:
    """Blur of every tissue.

    Args:
        amplitude: (tissue, echo).
        echo_of_line: (ky): echo (0-based) that reads each line, -1 for lines not sampled; ky ascending.
        voxel_mm: nominal voxel along the phase direction, field of view over number of lines.
    """
    spread, step_voxels = point_spread(signal_along_ky(amplitude, echo_of_line))
    magnitude = np.abs(spread)
    return Blur(
        fwhm_mm=full_width_half_maximum(magnitude, step_voxels * voxel_mm),
        side_lobe_energy=_energy_outside_main_lobe(magnitude),
        voxel_mm=voxel_mm,
    )


def signal_along_ky(amplitude: Real | Complex, echo_of_line: Integer) -> Complex:
    """(tissue, ky): amplitude of every line; lines not sampled take the echo of the nearest line that was.

    Raises:
        ProtocolError: no line is sampled, or a line belongs to an echo that the train does not have.
    """
    echo_of_line = np.asarray(echo_of_line)
    n_echoes = np.shape(amplitude)[-1]
    sampled = np.flatnonzero(echo_of_line != NOT_SAMPLED)
    if not len(sampled):
        raise ProtocolError("No line of k-space is sampled: there is no point spread function.")
    first, last = echo_of_line[sampled].min(), echo_of_line[sampled].max()
    if first < 0 or last >= n_echoes:
        raise ProtocolError(f"Lines belong to echoes {first} to {last}, but the train has echoes 0 to {n_echoes - 1}.")
    after = np.searchsorted(sampled, np.arange(len(echo_of_line))).clip(1, max(len(sampled) - 1, 1))
    left, right = sampled[after - 1], sampled[np.minimum(after, len(sampled) - 1)]
    lines = np.arange(len(echo_of_line))
    nearest = np.where(np.abs(lines - left) <= np.abs(right - lines), left, right)
    return np.asarray(amplitude, dtype=np.complex128)[..., echo_of_line[nearest]]


def point_spread(signal: Real | Complex) -> tuple[Complex, float]:
    """Point spread functions (tissue, sample) of signals (tissue, ky), the point in the middle, and the step in voxels."""
    n_lines = signal.shape[-1]
    n_samples = 2 ** int(np.ceil(np.log2(n_lines * POINTS_PER_VOXEL)))
    spread = np.fft.fftshift(np.fft.ifft(signal, n=n_samples, axis=-1), axes=-1)
    return np.asarray(spread), n_lines / n_samples


def _energy_outside_main_lobe(magnitude: Real) -> Real:
    """(tissue): the main lobe ends at the first minimum on either side of the maximum."""
    outside = []
    for curve in magnitude:
        top = int(curve.argmax())
        stop = top + _first_minimum(curve[top:])
        start = top - _first_minimum(curve[top::-1])
        outside.append(1 - np.sum(curve[start : stop + 1] ** 2) / np.sum(curve**2))
    return np.array(outside)


def _first_minimum(falling: Real) -> int:
    rises = np.diff(falling) > 0
    return int(rises.argmax()) if rises.any() else len(falling) - 1
