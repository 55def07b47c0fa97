"""Coil sensitivities from a coarse grid along x to every column: interpolated, masked and brought to unit norm in one pass.

    s(x) = Σ_k w_k s(x_k) · m(x) / ‖Σ_k w_k s(x_k)‖        m: soft mask of the interpolated eigenvalue

Columns of all coils of the four neighbours stay in the core's own cache; each sensitivity is written once.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knerve.gpu.kernel_cache import kernel
from knerve.gpu.soft_mask import soft_mask
from knerve.gpu.workers import spread

Real = NDArray[np.float32]
PIXELS_AT_ONCE = 512  # of a column
SMALLEST_NORM = 1e-6
FEWEST_COLUMNS = 16  # that are worth a thread


def interpolate_maps(
    rows: Tensor, neighbours: Tensor, weights: Tensor, band: tuple[float, float], maps: Tensor, values: Tensor, k: int
) -> None:
    """Fill set k of `maps` and `values`.

    Args:
        rows: float32 (coarse x, 2 · coil + 1, pixel): real parts, imaginary parts, eigenvalue.
        neighbours: int64 (x, 4), of each column among the coarse ones.
        weights: float32 (x, 4), theirs.
        band: eigenvalues below which the mask is 0 and above which it is 1.
        maps: complex64 (x, set, coil, pixel), contiguous.
        values: float32 (x, set, pixel), contiguous.
        k: which set.
    """
    if rows.is_cuda:
        maps[:, k], values[:, k] = interpolate_maps_plain(rows, neighbours, weights, band)
        return
    source, target = rows.contiguous().numpy(), torch.view_as_real(maps).flatten().numpy()
    nodes, shares, out = neighbours.numpy(), weights.numpy(), values.numpy()
    low, high = np.float32(band[0]), np.float32(band[1])

    def some_columns(start: int, stop: int) -> None:
        scratch = np.empty((source.shape[1] + 1, PIXELS_AT_ONCE), np.float32)
        _columns(start, stop, source, nodes, shares, low, high, k, scratch, target, out)

    spread(some_columns, len(nodes), FEWEST_COLUMNS)


def interpolate_maps_plain(
    rows: Tensor, neighbours: Tensor, weights: Tensor, band: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """The maps (x, coil, pixel) and eigenvalues (x, pixel) of one set, on any device."""
    nodes, shares = neighbours.to(rows.device), weights.to(rows.device)
    fine = (shares[..., None, None] * rows[nodes]).sum(1)
    n_coils = rows.shape[1] // 2
    real, imaginary, value = fine[:, :n_coils], fine[:, n_coils:-1], fine[:, -1].clamp(0, 1)
    norm = (real.square().sum(1) + imaginary.square().sum(1)).sqrt()
    factor = (soft_mask(value, band) / norm.clamp(min=SMALLEST_NORM))[:, None]
    return torch.complex(real * factor, imaginary * factor), value


@kernel
def _columns(
    start: int,
    stop: int,
    rows: Real,
    neighbours: NDArray[np.int64],
    weights: Real,
    low: np.float32,
    high: np.float32,
    k: int,
    scratch: Real,
    maps: Real,
    values: Real,
) -> None:
    n_coils, n_pixels = rows.shape[1] // 2, rows.shape[2]
    n_sets = values.shape[1]
    for x in range(start, stop):
        n, w = neighbours[x], weights[x]
        for first in range(0, n_pixels, PIXELS_AT_ONCE):
            last = min(first + PIXELS_AT_ONCE, n_pixels)
            size = last - first
            factor = scratch[2 * n_coils + 1, :size]
            factor[:] = 0
            for plane in range(2 * n_coils + 1):
                _interpolated(
                    rows[n[0], plane, first:last],
                    rows[n[1], plane, first:last],
                    rows[n[2], plane, first:last],
                    rows[n[3], plane, first:last],
                    w,
                    scratch[plane, :size],
                )
                if plane < 2 * n_coils:
                    _add_squares(scratch[plane, :size], factor)
            _masked(scratch[2 * n_coils, :size], low, high, factor, values[x, k, first:last])
            for coil in range(n_coils):
                at = 2 * (((x * n_sets + k) * n_coils + coil) * n_pixels + first)
                _write(scratch[coil, :size], scratch[n_coils + coil, :size], factor, maps[at : at + 2 * size])


@kernel
def _interpolated(a: Real, b: Real, c: Real, d: Real, w: Real, out: Real) -> None:
    w0, w1, w2, w3 = w[0], w[1], w[2], w[3]
    for i in range(len(out)):
        out[i] = w0 * a[i] + w1 * b[i] + w2 * c[i] + w3 * d[i]


@kernel
def _add_squares(values: Real, total: Real) -> None:
    for i in range(len(total)):
        total[i] += values[i] * values[i]


@kernel
def _masked(value: Real, low: np.float32, high: np.float32, factor: Real, out: Real) -> None:
    """Squared norms in `factor` become mask / norm; eigenvalues go out."""
    zero, one, two, three = np.float32(0), np.float32(1), np.float32(2), np.float32(3)
    smallest, scale = np.float32(SMALLEST_NORM), one / (high - low)
    for i in range(len(out)):
        v = min(max(value[i], zero), one)
        t = min(max((v - low) * scale, zero), one)
        factor[i] = t * t * (three - two * t) / max(np.sqrt(factor[i]), smallest)
        out[i] = v


@kernel
def _write(real: Real, imaginary: Real, factor: Real, out: Real) -> None:
    for i in range(len(factor)):
        out[2 * i] = real[i] * factor[i]
        out[2 * i + 1] = imaginary[i] * factor[i]
