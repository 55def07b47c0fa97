"""What the object sends at every echo: its tissues, weighted by their echoes, where the readout will see them.

A place x is read at x + u(x) + d, with the displacement u of the smooth field and d of the chemical shift. For the smooth field
that is, exactly and with the area conserved, the series

    displaced(f) = exp(-2πi f d) · sum over n of (-2πi f)ⁿ / n! · F[uⁿ · image](f)

along the readout, which needs few terms while u is below a pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knerve.datasets.echo_amplitudes import EchoAmplitudes
from knerve.datasets.tissue_images import TissueImages

Real = NDArray[np.float64]

SMALLEST_TERM = 1e-3  # the last one; what follows is smaller by far
MOST_TERMS = 40


@dataclass(frozen=True)
class EchoImages:
    """Images of spins that are displaced by the same chemical shift.

    Attributes:
        echoes: (echo, y, x) float32, per M0 of water.
        shift_mm: how far along the readout they lie from where they are; coils hear them at their true place.
    """

    echoes: Tensor
    shift_mm: float


def echo_images(
    images: TissueImages, amplitudes: EchoAmplitudes, shift_mm: Real, b1: Real | None, field_mm: Real | None
) -> list[EchoImages]:
    """One entry for each chemical shift in the slice.

    Args:
        images: shares of the groups.
        amplitudes: of the groups.
        shift_mm: (group): displacement of each group along the readout.
        b1: (y, x), fraction of the nominal B1; None is 1.
        field_mm: (y, x), displacement by the smooth field; None is 0.
    """
    deviation = None if b1 is None else torch.from_numpy(b1 - 1).to(torch.float32)
    parts = []
    shifts = shift_mm[images.groups]
    for shift in np.unique(shifts):
        which = np.flatnonzero(shifts == shift)
        seen = _displaced(images.share[which], images.pixel_mm[0], float(shift), field_mm)
        coefficients = torch.from_numpy(amplitudes.coefficients[:, images.groups[which]]).to(torch.float32)
        parts.append(EchoImages(_weighted(seen, coefficients, deviation), float(shift)))
    return parts


def _weighted(seen: Tensor, coefficients: Tensor, deviation: Tensor | None) -> Tensor:
    """(echo, y, x): sum over groups of their images times the polynomial in the deviation of B1, by Horner's rule."""
    flat = seen.flatten(1)
    powers = coefficients if deviation is not None else coefficients[:1]
    total = powers[-1].T @ flat
    for power in reversed(powers[:-1].unbind()):
        total = torch.addcmul(power.T @ flat, total, torch.as_tensor(deviation).flatten())
    return total.reshape(-1, *seen.shape[1:])


def _displaced(share: Tensor, pixel_mm: float, shift_mm: float, field_mm: Real | None) -> Tensor:
    if shift_mm == 0 and field_mm is None:
        return share
    n = share.shape[-1]
    frequency = torch.fft.rfftfreq(n, pixel_mm)
    spectrum = torch.fft.rfft(share)
    if field_mm is not None:
        step = torch.from_numpy(field_mm).to(torch.float32)
        largest = float(2 * math.pi * frequency[-1] * step.abs().max())
        moment, turn = share, torch.ones_like(frequency, dtype=torch.complex64)
        for term in range(1, _n_terms(largest) + 1):
            moment = moment * step
            turn = turn * (-2j * math.pi * frequency / term)
            spectrum = spectrum + turn * torch.fft.rfft(moment)
    return torch.fft.irfft(spectrum * torch.exp(-2j * math.pi * frequency * shift_mm), n)


def _n_terms(largest: float) -> int:
    """Terms after the first until xⁿ / n! is negligible."""
    term, n = 1.0, 0
    while term > SMALLEST_TERM and n < MOST_TERMS:
        n += 1
        term *= largest / n
    return n
