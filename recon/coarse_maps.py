"""Sensitivities on a coarse grid: eigenvectors of the small matrices that the patch projector becomes in image space.

    Q(r) = 1/K Σ_ij P_(c,i),(c',j) exp(-2πi (j - i) r / n)

First everything with the same lag j - i is added up, then the lags are transformed, one axis after the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

COARSE_POINTS_PER_SAMPLE = 12  # coarse grid points per kernel sample and field of view
MARGIN = 4  # of these, beyond the image: interpolation asks for two on either side
NEGLIGIBLE = (
    0.25,
    0.6,
)  # eigenvalues of the first and second vector that no mask lets through: known as small is enough
MATRIX_BYTES = 1 << 22  # of small matrices at once: they stay in the processor's cache


@dataclass(frozen=True)
class CoarseGrid:
    """A grid that carries Q.

    Attributes:
        sides: ([z,] y, x).
        fov: field of view that the calibration samples encode, over that of the grid, ([z,] y, x).
        reach: extent along x over that of the image.
    """

    sides: tuple[int, ...]
    fov: tuple[float, ...]
    reach: float = 1.0


def coarse_grid(shape: Sequence[int], kernel: Sequence[int], fov: Sequence[float]) -> CoarseGrid:
    """The grid for an image.

    Q repeats itself after the field of view of the calibration. Where that is larger than the image along the readout, the
    image's last columns must not be interpolated with its first: the grid reaches beyond both.

    Args:
        shape: of the image, ([z,] y, x).
        kernel: sides of the patches, same order.
        fov: field of view that the calibration samples encode, over that of the image, same order.
    """
    sides = tuple(min(n, COARSE_POINTS_PER_SAMPLE * k) for n, k in zip(shape, kernel, strict=True))
    if fov[-1] <= 1:
        return CoarseGrid(sides, tuple(fov))
    n_x = sides[-1] + MARGIN
    reach = n_x / sides[-1]
    return CoarseGrid((*sides[:-1], n_x), (*fov[:-1], fov[-1] / reach), reach)


def coarse_eigenvectors(
    projector: Tensor, grid: Sequence[int], fov: Sequence[float], n_vectors: int
) -> tuple[Tensor, Tensor]:
    """Eigenvectors of Q of largest eigenvalue at the points of the grid.

    Args:
        projector: (sides of the patch..., coil) twice, of `signal_projector`.
        grid: its sides, ([z,] y, x).
        fov: field of view that the calibration samples encode, over that of the grid, ([z,] y, x).
        n_vectors: 1 or 2.

    Returns:
        vectors (grid..., coil, vector) and eigenvalues (grid..., vector), 0 to 1. Where an eigenvalue is certain to be
        `NEGLIGIBLE` the vector may be zero and the eigenvalue an upper bound.
    """
    vectors, values = eigenvectors_of_sums(lag_sums(projector)[None], grid, fov, n_vectors)
    return vectors[0], values[0]


def eigenvectors_of_sums(
    sums: Tensor, grid: Sequence[int], fov: Sequence[float], n_vectors: int
) -> tuple[Tensor, Tensor]:
    """The same of several slices, from their `lag_sums (slice, lags..., coil, coil)`; results begin with the slice."""
    widths = [(n + 1) // 2 for n in sums.shape[1:-2]]
    sums = sums / math.prod(widths)
    phases = [_phase_factors(g, k, f).to(sums.device) for g, k, f in zip(grid, widths, fov, strict=True)]
    for axis, phase in enumerate(phases[:-1], start=1):
        sums = torch.tensordot(phase, sums.movedim(axis, 0), dims=1).movedim(0, axis)
    outer = sums.shape[:-3]
    rows = sums.flatten(0, -4).permute(0, 2, 3, 1)  # (row, coil, coil, lag along x)
    n_coils, n_x = rows.shape[1], grid[-1]
    per_batch = len(rows) if rows.is_cuda else max(1, MATRIX_BYTES // (8 * n_coils**2 * n_x))
    parts = [_row_eigenvectors(batch, phases[-1], n_vectors) for batch in rows.split(per_batch)]
    vectors, values = (torch.cat(part) for part in zip(*parts, strict=True))
    return vectors.unflatten(0, outer), values.clamp(0, 1).unflatten(0, outer)


def lag_sums(projector: Tensor) -> Tensor:
    """Sums over all pairs of patch positions with the same lag j - i, (lags..., coil, coil); lags from -(side - 1) on."""
    n_axes = projector.ndim // 2 - 1
    sums = projector
    for axis in range(n_axes):
        n, other = sums.shape[axis], sums.ndim - (n_axes - axis) - 1
        sums = torch.stack([sums.diagonal(lag, axis, other).sum(-1) for lag in range(1 - n, n)], dim=axis)
    return sums


def _phase_factors(n_grid: int, width: int, fov: float) -> Tensor:
    """exp(-2πi lag r) for the coarse positions r in fractions of the calibration field of view, (position, lag)."""
    position = (torch.arange(n_grid, dtype=torch.float64) - n_grid // 2) / (n_grid * fov)
    lag = torch.arange(-(width - 1), width, dtype=torch.float64)
    return torch.exp(-2j * math.pi * position[:, None] * lag[None, :]).to(torch.complex64)


def _row_eigenvectors(rows: Tensor, phases: Tensor, n_vectors: int) -> tuple[Tensor, Tensor]:
    """Eigenvectors (row, x, coil, vector) and eigenvalues (row, x, vector) from `rows (row, coil, coil, lag)`."""
    from knerve.gpu.lanes import LANES
    from knerve.gpu.leading_eigenvectors import leading_eigenvectors

    n_x = phases.shape[0]
    n_places = -(-n_x // LANES) * LANES
    # real arithmetic gives real and imaginary parts apart: (lag, part) to (part, place)
    transform = torch.zeros(phases.shape[1], 2, 2, n_places, device=rows.device)
    transform[:, 0, 0, :n_x], transform[:, 1, 0, :n_x] = phases.real.T, -phases.imag.T
    transform[:, 0, 1, :n_x], transform[:, 1, 1, :n_x] = phases.imag.T, phases.real.T
    cells = torch.view_as_real(rows.resolve_conj().contiguous()).flatten(-2)
    planes = (cells @ transform.flatten(2).flatten(0, 1)).unflatten(-1, (2, n_places))
    vectors, values = leading_eigenvectors(planes, NEGLIGIBLE[:n_vectors])
    return vectors[:, :n_x], values[:, :n_x]
