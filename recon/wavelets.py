"""Orthogonal wavelet transform of images, periodic, all levels in one array of the image's (padded) size.

Daubechies' filters h with 2p taps; the high-pass is the mirror g_k = (-1)^k h_(2p-1-k). The transform W of any number of axes
is orthogonal, W^T W = 1, so its inverse is its adjoint.

Filters: Daubechies 1988, doi:10.1002/cpa.3160410705, here from their closed form or spectral factorisation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

VANISHING_MOMENTS = {"haar": 1, "db2": 2, "db3": 3, "db4": 4}
COARSEST_SIDE = 16  # images are not decomposed below about this many pixels


@dataclass(frozen=True)
class WaveletTransform:
    """Wavelet transform over the axes `dims` (counted from the end, negative) of an image with sides `sides`.

    Sides that the levels do not divide are zero-padded: `forward` then maps into a larger space and stays an isometry.
    A circular shift before the transform moves the wavelets' grid over the image.
    """

    name: str
    dims: tuple[int, ...]
    sides: tuple[int, ...]
    levels: int

    @classmethod
    def for_image(cls, name: str, shape: Sequence[int], dims: Sequence[int]) -> WaveletTransform:
        """As many levels as leave about `COARSEST_SIDE` pixels on the shortest side; axes too short for one are left out."""
        used = tuple(d for d in dims if shape[d] >= 2 * len(FILTERS[name])) or tuple(dims)[-1:]
        sides = tuple(shape[d] for d in used)
        levels = max(1, int(math.log2(max(2, min(sides) / COARSEST_SIDE))))
        return cls(name, used, sides, levels)

    @property
    def padded_sides(self) -> tuple[int, ...]:
        """Sides rounded up to a multiple of 2^levels."""
        return tuple(-(-n // self.period) * self.period for n in self.sides)

    @property
    def period(self) -> int:
        """Shifts by this many pixels leave the grid of the wavelets where it is."""
        return 2**self.levels

    def forward(self, image: Tensor, shift: Sequence[int] | None = None) -> Tensor:
        """Coefficients: coarsest approximation in the corner, details of each level outside of it."""
        coefficients = self._pad(image)
        if shift is not None:
            coefficients = torch.roll(coefficients, tuple(shift), self.dims)
        sides = self.padded_sides
        for _ in range(self.levels):
            corner = self._corner(coefficients, sides)
            for dim in self.dims:
                corner = _analyse(corner, dim, FILTERS[self.name])
            self._corner(coefficients, sides).copy_(corner)
            sides = tuple(n // 2 for n in sides)
        return coefficients

    def adjoint(self, coefficients: Tensor, shift: Sequence[int] | None = None) -> Tensor:
        """Image from coefficients: the inverse, and the adjoint, of `forward` with the same shift."""
        image = coefficients.clone()
        for level in reversed(range(self.levels)):
            sides = tuple(n // 2**level for n in self.padded_sides)
            corner = self._corner(image, sides)
            for dim in reversed(self.dims):
                corner = _synthesise(corner, dim, FILTERS[self.name])
            self._corner(image, sides).copy_(corner)
        if shift is not None:
            image = torch.roll(image, tuple(-n for n in shift), self.dims)
        return self._corner(image, self.sides)

    def coarsest_corner(self, coefficients: Tensor) -> Tensor:
        """View of the coarsest approximation."""
        return self._corner(coefficients, tuple(n // self.period for n in self.padded_sides))

    def details(self, coefficients: Tensor) -> Iterator[Tensor]:
        """Views of the bands of details: all but the coarsest approximation."""
        sides = self.padded_sides
        for _ in range(self.levels):
            corner, sides = self._corner(coefficients, sides), tuple(n // 2 for n in sides)
            for halves in product((0, 1), repeat=len(self.dims)):
                band = corner
                for dim, n, half in zip(self.dims, sides, halves, strict=True):
                    band = band.narrow(dim, half * n, n)
                if any(halves):
                    yield band

    def _pad(self, image: Tensor) -> Tensor:
        shape = list(image.shape)
        for dim, side in zip(self.dims, self.padded_sides, strict=True):
            shape[dim] = side
        padded = image.new_zeros(shape)
        self._corner(padded, self.sides).copy_(image)
        return padded

    def _corner(self, values: Tensor, sides: Sequence[int]) -> Tensor:
        for dim, side in zip(self.dims, sides, strict=True):
            values = values.narrow(dim, 0, side)
        return values


def _analyse(values: Tensor, dim: int, low_pass: tuple[float, ...]) -> Tensor:
    """One level along one axis: low-pass half, then high-pass half."""
    phases = values.unflatten(dim, (values.shape[dim] // 2, 2)).unbind(dim)
    low = torch.zeros_like(phases[0])
    high = torch.zeros_like(phases[0])
    for k, tap in enumerate(low_pass):
        phase = phases[k % 2] if k < 2 else torch.roll(phases[k % 2], -(k // 2), dim)
        low.add_(phase, alpha=tap)
        high.add_(phase, alpha=_mirror(low_pass, k))
    return torch.cat([low, high], dim=dim)


def _synthesise(values: Tensor, dim: int, low_pass: tuple[float, ...]) -> Tensor:
    """The transpose of `_analyse`."""
    low, high = values.chunk(2, dim)
    phases = [torch.zeros_like(low), torch.zeros_like(low)]
    for k, tap in enumerate(low_pass):
        part = tap * low + _mirror(low_pass, k) * high
        phases[k % 2] += part if k < 2 else torch.roll(part, k // 2, dim)
    return torch.stack(phases, dim=dim).flatten(dim - 1, dim)


def _mirror(low_pass: tuple[float, ...], k: int) -> float:
    """Tap k of the high-pass filter."""
    return (-1) ** k * low_pass[len(low_pass) - 1 - k]


def _daubechies(p: int) -> tuple[float, ...]:
    """Minimum-phase filter with p vanishing moments by spectral factorisation: H(z) = (1 + z)^p Q(z)."""
    binomials = [math.comb(p - 1 + k, k) for k in range(p)]
    # P(y) = Σ C(p-1+k, k) y^k with y = (2 - z - 1/z) / 4; the roots inside the unit circle make Q
    in_z = np.zeros(2 * p - 1)
    for k, b in enumerate(binomials):
        term = np.array([1.0])
        for _ in range(k):
            term = np.convolve(term, [-0.25, 0.5, -0.25])
        in_z[p - 1 - k : p + k] += b * term
    inside = [root for root in np.roots(in_z) if abs(root) < 1]
    taps = np.real(np.poly(inside))
    for _ in range(p):
        taps = np.convolve(taps, [1.0, 1.0])
    return tuple(float(tap) for tap in taps * math.sqrt(2) / taps.sum())


FILTERS = {name: _daubechies(p) for name, p in VANISHING_MOMENTS.items()}
